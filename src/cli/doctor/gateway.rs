//! `doorward doctor --envoy` and `--gateway`: the gateway, by its configuration and live.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use doorward_core::identity::ProtectedHeaders;
use url::Url;

use crate::cli::output::{block_on, read_text, refuse};
use crate::cli::{ConfigArgs, Exit, refuse_config};
use crate::config::{self, Settings};
use crate::doctor::envoy::{self, MOST_BYTES};
use crate::doctor::gateway::{self, GatewayProbe};
use crate::doctor::{Report, Section};
use crate::loopback::with_scheme;

#[derive(Debug, Args)]
pub(super) struct GatewayArgs {
    /// Examine a configuration of Envoy, Istio or Envoy Gateway (YAML or JSON, `-` for standard
    /// input, repeatable) instead of the issuers
    #[arg(long, value_name = "FILE", help_heading = "Gateway")]
    envoy: Vec<PathBuf>,
    /// Probe this gateway with spoofed headers and odd paths, instead of examining the issuers;
    /// without a scheme it is https://, on this machine http://
    #[arg(long, value_name = "URL", value_parser = gateway_url, help_heading = "Gateway")]
    gateway: Option<Url>,
    /// With --gateway: a path whose upstream echoes the request's headers. Without one what
    /// arrives there is not seen
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/",
        requires = "gateway",
        help_heading = "Gateway"
    )]
    echo: String,
    /// With --gateway: PEM file of certificate authorities to trust in addition to the system's
    #[arg(long, value_name = "FILE", requires = "gateway", help_heading = "Gateway")]
    gateway_ca: Option<PathBuf>,
}

impl GatewayArgs {
    /// Whether it is the gateway that is to be examined.
    pub(super) fn asked(&self) -> bool {
        self.gateway.is_some() || !self.envoy.is_empty()
    }

    /// Examines files first, then the gateway.
    pub(super) fn examine(
        &self,
        config: &ConfigArgs,
        token: Option<String>,
    ) -> Result<Report, Exit> {
        let settings = settings(config)?;
        let mut report = Report::default();
        for file in &self.envoy {
            report.sections.extend(examine_file(file, &settings)?);
        }
        if let Some(gateway) = &self.gateway {
            let probe = GatewayProbe {
                gateway: gateway.clone(),
                echo: self.echo.clone(),
                token,
                open: settings.bypass.iter().map(ToString::to_string).collect(),
                protected: ProtectedHeaders::new(&settings.headers),
                principal: settings.headers.names.principal_id.clone(),
                ca_file: self.gateway_ca.clone(),
            };
            report.sections.push(examine_gateway(&probe)?);
        }
        Ok(report)
    }
}

/// An address as people write it: `gateway.example`, `localhost:10000`.
fn gateway_url(text: &str) -> Result<Url, url::ParseError> {
    Url::parse(&with_scheme(text))
}

/// The configuration tells which headers and open paths there are. Without one the
/// defaults do: neither needs to know an issuer.
fn settings(args: &ConfigArgs) -> Result<Settings, Exit> {
    let none_named = args.files().is_empty() && args.overrides.is_empty();
    let loaded = config::load(&args.sources().to_look_at()).map(|loaded| loaded.settings);
    let settings = match loaded {
        Err(_) if none_named => Settings::from_yaml("defaults", "auth: { enabled: false }"),
        other => other,
    };
    settings.map_err(|faults| refuse_config(&faults))
}

fn examine_file(path: &Path, settings: &Settings) -> Result<Vec<Section>, Exit> {
    let unusable = |error: &dyn std::fmt::Display| {
        refuse(Exit::Usage)(io::Error::other(format!("{}: {error}", path.display())))
    };
    // One byte more than can be examined tells that there is more.
    let text = read_text(path, MOST_BYTES as u64 + 1).map_err(|error| unusable(&error))?;
    let name =
        if path.as_os_str() == "-" { "standard input".into() } else { path.to_string_lossy() };
    envoy::examine(&name, &text, &settings.headers, settings).map_err(|error| unusable(&error))
}

fn examine_gateway(probe: &GatewayProbe) -> Result<Section, Exit> {
    let spinner = super::spinner("probing the gateway".to_owned());
    let examined = block_on(gateway::examine(probe));
    spinner.finish_and_clear();
    examined.map_err(refuse(Exit::Failed))?.map_err(refuse(Exit::Usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_scheme() {
        for (text, url) in [
            ("gateway.example", "https://gateway.example/"),
            ("gateway.example:8443", "https://gateway.example:8443/"),
            ("localhost:10000", "http://localhost:10000/"),
            ("door.localhost", "http://door.localhost/"),
            ("127.0.0.1:10000", "http://127.0.0.1:10000/"),
            ("[::1]:10000", "http://[::1]:10000/"),
            ("http://gateway.example", "http://gateway.example/"),
            ("https://localhost", "https://localhost/"),
        ] {
            assert_eq!(gateway_url(text).unwrap().as_str(), url);
        }
        assert!(gateway_url("").is_err());
    }
}

//! `--issuer` and `--client-id`: a configuration of nothing but one issuer, for verbs that look.

use clap::Args;

use super::output::say;
use super::style::DIM;
use super::{ConfigArgs, Exit, refuse_config};
use crate::config::{self, Loaded, Sources};
use crate::loopback::with_scheme;

#[derive(Clone, Debug, Args)]
pub(super) struct IssuerArgs {
    /// Go by this issuer, whatever is configured (only --set holds besides)
    #[arg(long, value_name = "URL", help_heading = "Identity provider")]
    issuer: Option<String>,
    /// With --issuer: the client that users log in with
    #[arg(long, value_name = "ID", requires = "issuer", help_heading = "Identity provider")]
    client_id: Option<String>,
}

impl IssuerArgs {
    /// The configuration, or that of the issuer which is named here. Says what is wrong with it.
    pub(super) fn load(&self, config: &ConfigArgs) -> Result<Loaded, Exit> {
        let sources = match &self.issuer {
            None => config.sources().to_look_at(),
            Some(issuer) => self.alone(issuer, config),
        };
        config::load(&sources).map_err(|faults| {
            let exit = refuse_config(&faults);
            if self.issuer.is_none() {
                say!("{DIM}--issuer URL goes by an issuer whatever is configured{DIM:#}");
            }
            exit
        })
    }

    fn alone(&self, issuer: &str, config: &ConfigArgs) -> Sources {
        let oidc = serde_json::json!({
            "issuer": with_scheme(issuer),
            "client_id": self.client_id,
            // Without a client nobody has said whom tokens should be for.
            "verify_audience": self.client_id.is_some(),
        });
        let text = serde_json::json!({"auth": {"oidc": oidc}}).to_string();
        Sources::none().inline_yaml("--issuer", &text).overrides(config.overrides.clone())
    }
}

//! Where everything of the demonstration listens, and the files that say so.

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::str::FromStr;

use doorward_dev::DevIssuer;
use url::{Host, Url};

use super::{DemoArgs, DemoError};
use crate::config::{EDITORS, SCHEMA_FILE, json_schema};
use crate::init::EnvoyPorts;
use crate::whole_file::{self, Existing};

/// Whom Envoy passes requests on to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    host: String,
    port: u16,
}

/// Where everything listens, all on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) listener: SocketAddr,
    pub(super) envoy_admin: SocketAddr,
    pub(super) issuer: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) grpc: SocketAddr,
    pub(super) http: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) console: SocketAddr,
}

impl Ports {
    /// The ports the documentation uses where they are free, for people; any free ones
    /// for `--once` and `--port 0`, which may run beside anything.
    pub(super) fn choose(args: &DemoArgs, envoy: bool) -> Result<Self, DemoError> {
        let any = args.once || args.port == Some(0);
        let named = args.port.filter(|port| *port != 0);
        // Held until all are chosen: no two get the same.
        let mut held = Vec::new();
        let mut choose = |usual: u16, named: Option<u16>| {
            let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
            let listener = match named {
                Some(port) => bind(port),
                None if any => bind(0),
                None => bind(usual).or_else(|_| bind(0)),
            };
            let address = listener.and_then(|listener| {
                let address = listener.local_addr();
                held.push(listener);
                address
            });
            address.map_err(|source| DemoError::Port { port: named.unwrap_or(usual), source })
        };
        // Another process listens there, now or later.
        let leave = |usual: u16| (Ipv4Addr::LOCALHOST, usual).into();
        let mut served = |usual, named: Option<u16>| match args.issuer_only && !any {
            true => Ok(leave(named.unwrap_or(usual))),
            false => choose(usual, named),
        };
        let at_envoy = envoy || args.issuer_only;
        Ok(Self {
            listener: served(10000, named.filter(|_| at_envoy))?,
            envoy_admin: served(9901, None)?,
            grpc: served(9191, None)?,
            http: served(8181, named.filter(|_| !at_envoy))?,
            admin: served(9192, None)?,
            console: served(9193, None)?,
            upstream: served(8080, None)?,
            issuer: choose(9180, None)?,
        })
    }

    pub(super) fn envoy(&self, upstream: &Upstream) -> EnvoyPorts {
        EnvoyPorts {
            listener: self.listener.port(),
            admin: self.envoy_admin.port(),
            grpc: self.grpc.port(),
            http: self.http.port(),
            upstream: (upstream.host.clone(), upstream.port),
        }
    }

    /// Doorward's configuration: nothing but the issuer and where to listen.
    pub(super) fn doorward(&self, issuer: &DevIssuer) -> String {
        let Self { grpc, http, admin, console, .. } = self;
        format!(
            "{}server:\n  grpc: {{ listen: '{grpc}' }}\n  http: {{ listen: '{http}' }}\n  \
             admin: {{ listen: '{admin}' }}\n  console: {{ listen: '{console}' }}\n",
            believe(issuer)
        )
    }

    /// Writes both configurations into `dir`, which is made where there is none.
    pub(super) fn write(
        &self,
        dir: &Path,
        issuer: &DevIssuer,
        upstream: &Upstream,
    ) -> Result<(), DemoError> {
        let doorward = format!(
            "{EDITORS}\n# Written by `doorward demo`. Its issuer gives a token to anyone who asks \
             on this\n# machine; `doorward demo --issuer-only` runs it. Replace it with your own \
             provider.\n{}",
            self.doorward(issuer)
        );
        let files = [
            (dir.join("doorward.yaml"), doorward),
            (dir.join("envoy.yaml"), self.envoy(upstream).configuration()),
            (dir.join(SCHEMA_FILE), format!("{:#}\n", json_schema())),
        ];
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DemoError::Write { path, source }
        };
        if let Some((there, _)) = files.iter().find(|(path, _)| path.exists()) {
            return Err(DemoError::Exists(there.clone()));
        }
        fs::create_dir_all(dir).map_err(failed(dir))?;
        for (path, text) in &files {
            let written = whole_file::write(path, text.as_bytes(), 0o644, Existing::Kept);
            written.map_err(failed(path))?;
        }
        Ok(())
    }
}

/// The lines that make a Doorward believe the development issuer.
pub(super) fn believe(issuer: &DevIssuer) -> String {
    let (url, audience, client) = (issuer.issuer_url(), issuer.audience(), issuer.client_id());
    format!(
        "auth:\n  oidc:\n    issuer: {url}\n    client_id: {client}\n    audience: {audience}\n"
    )
}

impl From<SocketAddr> for Upstream {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "write it as http://HOST:PORT";
        let url = Url::parse(text).map_err(|error| format!("{error}; {wanted}"))?;
        if url.scheme() == "https" {
            return Err("Envoy needs to know which certificates to trust there: use --write, and \
                        add a transport_socket to the cluster `upstream` in envoy.yaml"
                .into());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(wanted.into()),
        };
        let bare = url.path() == "/" && url.query().is_none() && url.username().is_empty();
        match url.port_or_known_default() {
            Some(port) if url.scheme() == "http" && bare => Ok(Self { host, port }),
            _ => Err(wanted.into()),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "http://[{}]:{}", self.host, self.port),
            false => write!(f, "http://{}:{}", self.host, self.port),
        }
    }
}

//! What there is to see of a demonstration.

use std::path::PathBuf;

use doorward_dev::DevIssuer;

use super::ports::{Ports, Upstream};

/// What there is to see: addresses and names, no handles.
#[derive(Debug)]
pub(super) struct Setup {
    /// Where requests come in; `None`: nothing but the issuer runs.
    pub(super) front: Option<Front>,
    pub(super) issuer: DevIssuer,
    pub(super) ports: Ports,
    pub(super) upstream: Upstream,
    /// Whether the upstream is the one that echoes.
    pub(super) echoes: bool,
    /// Where the configuration was written.
    pub(super) written: Option<PathBuf>,
    /// Which Envoy runs, or can.
    pub(super) envoy: Option<PathBuf>,
    /// The module, where Doorward runs inside that Envoy.
    pub(super) module: Option<PathBuf>,
}

/// Where requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// Requests come through Envoy.
    Envoy,
    /// Straight at Doorward's HTTP front: there is no Envoy.
    Http,
}

impl Setup {
    /// What clients are told to be the platform.
    pub(super) fn base_url(&self) -> String {
        match self.front {
            Some(Front::Http) => format!("http://{}", self.ports.http),
            Some(Front::Envoy) | None => format!("http://{}", self.ports.listener),
        }
    }

    /// The URL of a path behind the gateway.
    pub(super) fn url(&self, path: &str) -> String {
        let under = if self.front == Some(Front::Http) { "/apis/auth/ext-authz" } else { "" };
        format!("{}{under}{path}", self.base_url())
    }

    /// The URL of a token for `user`.
    pub(super) fn token_url(&self, user: &str) -> String {
        format!("{}/dev/token/{user}", self.issuer.issuer_url())
    }
}

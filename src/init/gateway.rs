//! The gateway's side: the very files of `envoy/`, with addresses filled in.

use std::net::IpAddr;
use std::str::FromStr;

use super::configuration::Runs;
use super::envoy_ports::EnvoyPorts;

const ISTIO_MESH: &str = include_str!("../../envoy/istio/mesh.yaml");
const ISTIO_GATEWAY: &str = include_str!("../../envoy/istio/gateway.yaml");
const ENVOY_GATEWAY: &str = include_str!("../../envoy/envoy-gateway/gateway.yaml");
const KUBERNETES: &str = include_str!("../../envoy/kubernetes/doorward.yaml");

/// What the files are called in `envoy/`, and beside a `doorward.yaml`.
const NAMES: [(&str, &str); 6] = [
    ("envoy/envoy.yaml", "envoy.yaml"),
    ("envoy/module.yaml", "envoy.yaml"),
    ("envoy/istio/mesh.yaml", "istio-mesh.yaml"),
    ("envoy/istio/gateway.yaml", "istio-gateway.yaml"),
    ("envoy/envoy-gateway/gateway.yaml", "envoy-gateway.yaml"),
    ("envoy/kubernetes/doorward.yaml", "kubernetes.yaml"),
];

/// A gateway that Doorward is asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    /// Envoy on this machine.
    Envoy,
    /// Envoy on this machine, with Doorward inside it.
    Module,
    /// Istio's ingress gateway.
    Istio,
    /// Envoy Gateway, by the Gateway API.
    EnvoyGateway,
}

/// The service to guard: `127.0.0.1:8080`, or in a cluster `SERVICE.NAMESPACE:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    host: String,
    port: u16,
}

/// Why a text names no upstream.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUpstream {
    /// It is no `HOST:PORT`.
    #[error("expected HOST:PORT, such as 127.0.0.1:8080 or api.internal:443")]
    NotAnAddress,
    /// In a cluster, a service is told by its name and its namespace.
    #[error(
        "in a cluster the upstream is a service: expected SERVICE.NAMESPACE:PORT, such as platform.platform:8080"
    )]
    NotAService,
}

impl FromStr for Upstream {
    type Err = BadUpstream;

    fn from_str(text: &str) -> Result<Self, BadUpstream> {
        let (host, port) = text.rsplit_once(':').ok_or(BadUpstream::NotAnAddress)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(BadUpstream::NotAnAddress)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_address = bracketed
            .unwrap_or(host)
            .parse()
            .is_ok_and(|address: IpAddr| address.is_ipv6() == bracketed.is_some());
        let is_name = !host.is_empty()
            && host.split('.').all(|label| {
                !label.is_empty()
                    && label
                        .chars()
                        .all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_')
            });
        if !is_address && !is_name {
            return Err(BadUpstream::NotAnAddress);
        }
        Ok(Self { host: bracketed.unwrap_or(host).to_owned(), port })
    }
}

impl Upstream {
    /// Name and namespace of a service in a cluster.
    fn service(&self) -> Result<(&str, &str), BadUpstream> {
        let (name, rest) = self.host.split_once('.').ok_or(BadUpstream::NotAService)?;
        let namespace = rest
            .strip_suffix(".svc.cluster.local")
            .or_else(|| rest.strip_suffix(".svc"))
            .unwrap_or(rest);
        let is_label = |text: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-')
        };
        if is_label(name) && is_label(namespace) && self.host.parse::<IpAddr>().is_err() {
            Ok((name, namespace))
        } else {
            Err(BadUpstream::NotAService)
        }
    }
}

impl Gateway {
    /// Where Doorward runs, for this gateway.
    #[must_use]
    pub fn runs(self) -> Runs {
        match self {
            Self::Envoy => Runs::Here,
            Self::Module => Runs::InsideEnvoy,
            Self::Istio | Self::EnvoyGateway => Runs::InCluster,
        }
    }

    /// What is guarded where nobody says it.
    #[must_use]
    pub fn default_upstream(self) -> Upstream {
        let in_cluster = self.runs() == Runs::InCluster;
        let host = if in_cluster { "platform.platform" } else { "127.0.0.1" };
        Upstream { host: host.to_owned(), port: 8080 }
    }

    /// The names of the files that [`files`](Self::files) makes.
    #[must_use]
    pub fn file_names(self) -> &'static [&'static str] {
        match self {
            Self::Envoy | Self::Module => &["envoy.yaml"],
            Self::Istio => &["kubernetes.yaml", "istio-mesh.yaml", "istio-gateway.yaml"],
            Self::EnvoyGateway => &["kubernetes.yaml", "envoy-gateway.yaml"],
        }
    }

    /// The texts of its files, in the order of [`file_names`](Self::file_names). `keys` is where
    /// Doorward's configuration is, as the module inside Envoy can find it.
    ///
    /// # Errors
    /// `upstream` is not what this gateway can be told to guard.
    pub fn files(
        self,
        upstream: &Upstream,
        configuration: &str,
        keys: &str,
    ) -> Result<Vec<String>, BadUpstream> {
        let texts = match self {
            Self::Envoy => vec![ports(upstream).configuration()],
            Self::Module => vec![ports(upstream).with_module(keys)],
            Self::Istio => vec![kubernetes(configuration), ISTIO_MESH.to_owned(), istio(upstream)?],
            Self::EnvoyGateway => vec![kubernetes(configuration), envoy_gateway(upstream)?],
        };
        Ok(texts.into_iter().map(renamed).collect())
    }
}

/// Comments name files by where they are.
fn renamed(text: String) -> String {
    NAMES.iter().fold(text, |text, (there, here)| text.replace(there, here))
}

fn ports(upstream: &Upstream) -> EnvoyPorts {
    let upstream = (upstream.host.clone(), upstream.port);
    EnvoyPorts { listener: 10000, admin: 9901, grpc: 9191, http: 8181, upstream }
}

fn istio(upstream: &Upstream) -> Result<String, BadUpstream> {
    let (name, namespace) = upstream.service()?;
    Ok(ISTIO_GATEWAY
        .replace("platform.platform.svc", &format!("{name}.{namespace}.svc"))
        .replace("{ number: 8080 }", &format!("{{ number: {} }}", upstream.port))
        .replace("namespace: platform\n", &format!("namespace: {namespace}\n"))
        .replace("namespaces: [\"platform\"]", &format!("namespaces: [\"{namespace}\"]")))
}

fn envoy_gateway(upstream: &Upstream) -> Result<String, BadUpstream> {
    let (name, namespace) = upstream.service()?;
    Ok(ENVOY_GATEWAY
        .replace(
            "{ name: platform, port: 8080 }",
            &format!("{{ name: {name}, port: {} }}", upstream.port),
        )
        .replace("namespace: platform\n", &format!("namespace: {namespace}\n"))
        .replace("namespace: platform }", &format!("namespace: {namespace} }}")))
}

/// Doorward in the cluster, with this configuration in its ConfigMap.
fn kubernetes(configuration: &str) -> String {
    const KEY: &str = "  doorward.yaml: |\n";
    let Some((front, rest)) = KUBERNETES.split_once(KEY) else { return KUBERNETES.to_owned() };
    let Some((_, behind)) = rest.split_once("\n---\n") else { return KUBERNETES.to_owned() };
    let lines: String = configuration.lines().map(|line| format!("    {line}\n")).collect();
    format!("{front}{KEY}{lines}---\n{behind}")
}

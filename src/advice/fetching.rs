//! A document cannot be fetched: network, TLS, or somebody who wants to know who asks.

use crate::discovery::{Access, FetchError, FetchErrorKind, Obstacle};

/// What to do about it; `otherwise` when the answer is no document at all.
pub(crate) fn not_fetched(error: &FetchError, access: &Access, otherwise: String) -> String {
    if let Some(obstacle) = error.obstacle() {
        return in_the_way(obstacle, access);
    }
    match &error.kind {
        FetchErrorKind::Status { status: 401 | 403, .. } => credentials(access).into(),
        FetchErrorKind::Status { status: 500.., .. } => {
            "the provider, or a proxy in front of it, is failing: look at its log".into()
        }
        FetchErrorKind::Bearer(_) => {
            "put the token there, or remove key_bearer_file: in Kubernetes the token of the pod \
             is at /var/run/secrets/kubernetes.io/serviceaccount/token"
                .into()
        }
        FetchErrorKind::BearerWithheld { .. } => {
            "set jwks_uri to the host that may see the token: in Kubernetes \
             https://kubernetes.default.svc/openid/v1/jwks"
                .into()
        }
        FetchErrorKind::Client(_)
        | FetchErrorKind::Exchange(_)
        | FetchErrorKind::TimedOut(_)
        | FetchErrorKind::WantsTls(_)
        | FetchErrorKind::Status { .. }
        | FetchErrorKind::Tls(_)
        | FetchErrorKind::TooLarge
        | FetchErrorKind::Encoded
        | FetchErrorKind::TooManyRedirects
        | FetchErrorKind::BadRedirect
        | FetchErrorKind::RefusedRedirect { .. } => otherwise,
    }
}

fn in_the_way(obstacle: Obstacle, access: &Access) -> String {
    match obstacle {
        Obstacle::UnknownHost => {
            "the host name does not resolve: check its spelling, and this machine's DNS"
        }
        Obstacle::Refused => {
            "nothing listens there: check host and port, and that the provider is running"
        }
        Obstacle::TimedOut => {
            "no answer in time: look for a firewall in between, for a proxy that should be used \
             (HTTPS_PROXY, or this issuer's proxy), or raise keys.timeout"
        }
        Obstacle::Proxy => "check this issuer's proxy, and HTTPS_PROXY",
        Obstacle::ProxyCredentials => {
            "the proxy wants a name and a password: proxy: http://user:password@host"
        }
        Obstacle::NotPlain => "if that port speaks TLS, write https:// in the issuer's URL",
        Obstacle::NotTls => {
            "that port does not speak TLS: check it; plain http is taken from loopback, or with \
             this issuer's allow_http"
        }
        Obstacle::Untrusted => return untrusted(access),
        Obstacle::NoAuthorities => {
            "install the system's certificate authorities (ca-certificates), or set ca_file"
        }
        Obstacle::Expired | Obstacle::NotYetValid => {
            "renew the certificate at the provider, or correct this machine's clock"
        }
        Obstacle::Nameless => {
            "the certificate does not say which host it is for (a common name alone does not \
             count): reissue it with a subjectAltName, such as openssl req -x509 … -addext \
             subjectAltName=DNS:idp.example"
        }
        Obstacle::OtherHost => "the certificate is for another host: use the name in it",
        Obstacle::Handshake => {
            "check that this port speaks TLS, and which certificate it shows: openssl s_client \
             -connect host:port"
        }
        Obstacle::NoRoute | Obstacle::Broken => {
            "the connection failed or was closed: check the network path (firewall, proxy, \
             NO_PROXY)"
        }
    }
    .into()
}

fn untrusted(access: &Access) -> String {
    let wanted = "the PEM certificate of the authority that signed it, or the issuer's own \
                  certificate (openssl s_client -connect host:port -showcerts)";
    match &access.ca_file {
        Some(path) => format!(
            "the certificate is neither in {} nor of an authority that is: add {wanted}",
            path.display()
        ),
        None => format!(
            "the certificate is of an authority that is not trusted here: set this issuer's \
             ca_file to a file with {wanted}"
        ),
    }
}

fn credentials(access: &Access) -> &'static str {
    if access.key_bearer.is_some() {
        "the token in key_bearer_file is not allowed to read it: in Kubernetes, bind its service \
         account to the ClusterRole system:service-account-issuer-discovery"
    } else {
        "the issuer, or a proxy in between, requires authentication: an issuer with public keys \
         needs none; for Kubernetes' API server set key_bearer_file to a token"
    }
}

//! A document cannot be fetched: network, TLS, or somebody who wants to know who asks.

use crate::discovery::{Access, FetchError, FetchErrorKind, Obstacle};

/// What to do about it; `otherwise` when the answer is no document at all.
pub(crate) fn not_fetched(error: &FetchError, access: &Access, otherwise: String) -> String {
    if let Some(obstacle) = error.obstacle() {
        return in_the_way(obstacle, error.host(), Some(access));
    }
    let kind = &error.kind;
    let known = if let FetchErrorKind::Status { status: 401 | 403, .. } = kind {
        credentials(access)
    } else if let FetchErrorKind::Status { status: 500.., .. } = kind {
        "the provider, or a proxy in front of it, is failing: look at its log"
    } else if let FetchErrorKind::Bearer(_) = kind {
        "put the token there, or remove key_bearer_file: in Kubernetes the token of the pod is at \
         /var/run/secrets/kubernetes.io/serviceaccount/token"
    } else if let FetchErrorKind::BearerWithheld { .. } = kind {
        "set jwks_uri to the host that may see the token: in Kubernetes \
         https://kubernetes.default.svc/openid/v1/jwks"
    } else {
        return otherwise;
    };
    known.to_owned()
}

/// What to do about an obstacle on the way to `host`: in the settings of the issuer (`access`), or
/// where there are none, in the options of `auth login`.
pub(crate) fn in_the_way(obstacle: Obstacle, host: &str, access: Option<&Access>) -> String {
    let either = |of_issuer, of_login| if access.is_some() { of_issuer } else { of_login };
    match obstacle {
        Obstacle::UnknownHost => format!(
            "the host name does not resolve: check the spelling of {host}, VPN and this machine's DNS"
        ),
        Obstacle::Refused => {
            "nothing listens there: check host and port, and that it runs".to_owned()
        }
        Obstacle::NoRoute | Obstacle::TimedOut | Obstacle::Broken => format!(
            "check the network (firewall, VPN, HTTPS_PROXY and NO_PROXY){}, and try again",
            either(", this issuer's proxy and keys.timeout", "")
        ),
        Obstacle::Proxy => format!(
            "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY{}",
            either(", and this issuer's proxy", "")
        ),
        Obstacle::ProxyCredentials => {
            "name them in the proxy's URL: http://user:password@host".to_owned()
        }
        Obstacle::NotPlain => format!("if that port speaks TLS, write https://{host}"),
        Obstacle::NotTls => format!(
            "that port does not speak TLS: check it; if it is one for plain http, write \
             http://{host}{}",
            either(" (off loopback this issuer's allow_http has to be set)", "")
        ),
        Obstacle::Handshake => {
            format!("look at what that port shows: openssl s_client -connect {host}")
        }
        Obstacle::Untrusted => {
            let place = match access.map(|access| &access.ca_file) {
                Some(Some(file)) => format!(
                    "the certificate is neither in {} nor of an authority that is: add",
                    file.display()
                ),
                Some(None) => "set this issuer's ca_file to a file with".to_owned(),
                None => "log in with --ca-file FILE,".to_owned(),
            };
            let own = either("the issuer's own certificate", "its own");
            format!(
                "{place} the PEM certificate of the authority that signed it, or {own} (openssl \
                 s_client -connect {host} -showcerts)"
            )
        }
        Obstacle::NoAuthorities => format!(
            "install the system's certificate authorities (ca-certificates), or {}",
            either("set ca_file", "log in with --ca-file FILE")
        ),
        Obstacle::Expired | Obstacle::NotYetValid => {
            "have the certificate renewed, or correct this machine's clock".to_owned()
        }
        Obstacle::OtherHost | Obstacle::Nameless => format!(
            "the certificate is for another host, or names none: use a name that is in it, or have one \
             issued for {host} (subjectAltName)"
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

//! A document cannot be fetched: network, TLS, or somebody who wants to know who asks.

use crate::discovery::{Access, FetchErrorKind};

/// What to do about it; `otherwise` when the answer is no document at all.
pub(in crate::doctor) fn not_fetched(
    kind: &FetchErrorKind,
    access: &Access,
    otherwise: String,
) -> String {
    match kind {
        FetchErrorKind::Client(_) => "check this issuer's proxy, and HTTPS_PROXY".into(),
        FetchErrorKind::Exchange(_) if is_of_tls(kind) => certificate(&kind.to_string(), access),
        FetchErrorKind::Exchange(_) => network(&kind.to_string()).into(),
        FetchErrorKind::TimedOut(_) => {
            "nothing came in time: look for a firewall in between, for a proxy that should be used \
             (HTTPS_PROXY, or this issuer's proxy), or raise keys.timeout"
                .into()
        }
        FetchErrorKind::Status { status: 401 | 403, .. } => credentials(access).into(),
        FetchErrorKind::Status { status: 407, .. } => {
            "the proxy wants a name and a password: proxy: http://user:password@host".into()
        }
        FetchErrorKind::Status { status: 500.., .. } => {
            "the provider, or a proxy before it, is in trouble: look at its log".into()
        }
        FetchErrorKind::Bearer(_) => {
            "put the token there, or take key_bearer_file out: in Kubernetes the token of the pod \
             is at /var/run/secrets/kubernetes.io/serviceaccount/token"
                .into()
        }
        FetchErrorKind::BearerWithheld { .. } => {
            "name the key set with jwks_uri at the host that may see the token: in Kubernetes \
             https://kubernetes.default.svc/openid/v1/jwks"
                .into()
        }
        FetchErrorKind::Status { .. }
        | FetchErrorKind::Tls(_)
        | FetchErrorKind::TooLarge
        | FetchErrorKind::Encoded
        | FetchErrorKind::TooManyRedirects
        | FetchErrorKind::BadRedirect
        | FetchErrorKind::Astray { .. } => otherwise,
    }
}

/// Whether it is the TLS of the other side that failed.
pub(in crate::doctor) fn is_of_tls(kind: &FetchErrorKind) -> bool {
    // Not of the whole text: it begins with the URL.
    let cause = kind.to_string().to_ascii_lowercase();
    let named = ["certificate", "handshake", "invalidcontenttype", "tls"];
    matches!(kind, FetchErrorKind::Exchange(_)) && named.iter().any(|word| cause.contains(word))
}

/// What rustls says, by the words that stay the same from version to version.
fn certificate(found: &str, access: &Access) -> String {
    let found = found.to_ascii_lowercase().replace(' ', "");
    if found.contains("nocertificateauthorities") {
        "install the system's certificate authorities (ca-certificates), or name a ca_file".into()
    } else if found.contains("unknownissuer") || found.contains("causedasendentity") {
        let wanted = "the PEM certificate of the authority that signed it, or the very certificate \
                      that the issuer shows (openssl s_client -connect host:port -showcerts)";
        match &access.ca_file {
            Some(path) => format!(
                "the certificate is neither in {} nor of an authority that is: put there {wanted}",
                path.display()
            ),
            None => format!(
                "the certificate is of an authority that is not trusted here: name in this \
                 issuer's ca_file a file with {wanted}"
            ),
        }
    } else if found.contains("expired") || found.contains("notvalidyet") {
        "renew the certificate at the provider, or set this machine's clock right".into()
    } else if found.contains("unsupportedcertversion") || found.contains("notvalidforanynames") {
        "the certificate does not say which host it is for (a common name alone does not count): \
         issue it anew with a subjectAltName, such as openssl req -x509 … -addext \
         subjectAltName=DNS:idp.example"
            .into()
    } else if found.contains("notvalidforname") {
        "the certificate is of another host: use the name that is in it".into()
    } else {
        "check that this port speaks TLS, and which certificate it shows: openssl s_client -connect \
         host:port"
            .into()
    }
}

fn network(found: &str) -> &'static str {
    if found.contains("dns error") || found.contains("lookup") {
        "the host's name is not known here: check its spelling, and this machine's DNS"
    } else if found.contains("refused") {
        "nothing listens there: check host and port, and that the provider runs"
    } else {
        "the connection was not made or broke: check the way there (firewall, proxy, NO_PROXY)"
    }
}

fn credentials(access: &Access) -> &'static str {
    if access.key_bearer.is_some() {
        "the token in key_bearer_file may not ask: in Kubernetes, bind its service account to the \
         ClusterRole system:service-account-issuer-discovery"
    } else {
        "the issuer, or a proxy in between, wants to know who asks: an issuer that shows its keys to \
         everybody needs nothing; for Kubernetes' API server name a token in key_bearer_file"
    }
}

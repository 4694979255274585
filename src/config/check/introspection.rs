//! Whom to ask about the tokens of an issuer.

use std::path::PathBuf;

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::{Checker, values};
use crate::discovery::{Access, ClientCredentials, IntrospectionSpec, Protocol};
use crate::secret::{ClientSecret, Secret};

/// Whom to ask about tokens of the issuer in `section`, if anybody.
pub(super) fn check(
    c: &mut Checker,
    section: &KeyPath,
    issuer: &raw::Issuer,
    access: Option<&Access>,
) -> Option<Option<IntrospectionSpec>> {
    let Some(raw) = &issuer.introspection else {
        if issuer.opaque {
            c.bad(&section.join("opaque"), BadValue::OpaqueWithoutIntrospection);
            return None;
        }
        return Some(None);
    };
    if !raw.jwts && !issuer.opaque {
        c.bad(&section.join("introspection.jwts"), BadValue::AskedAboutNothing);
    }
    let section = section.join("introspection");
    let endpoint = match &raw.endpoint {
        Some(text) => {
            c.keep(&section.join("endpoint"), values::issuer_url(text, issuer.allow_http))
        }
        None => {
            c.missing(&section.join("endpoint"), &section, BadValue::NoIntrospectionEndpoint);
            None
        }
    };
    let id = match &raw.client_id {
        Some(id) => c.keep(&section.join("client_id"), values::word(id)),
        None => {
            c.missing(&section.join("client_id"), &section, BadValue::NoIntrospectionClient);
            None
        }
    };
    let secret = secret(c, &section, &raw.client_secret, &raw.client_secret_file);
    let within = |span, (min, max)| values::span_within(span, min, max);
    let recheck =
        c.keep(&section.join("cache"), within(&raw.cache, (values::ZERO, values::RECHECK)));
    let timeout = (values::SHORTEST, values::ROUND_TRIP);
    let timeout = c.keep(&section.join("timeout"), within(&raw.timeout, timeout));
    Some(Some(IntrospectionSpec {
        issuer: issuer.issuer.clone()?,
        endpoint: endpoint?,
        protocol: Protocol::Introspection(ClientCredentials {
            id: id?,
            secret: secret?,
            in_form: raw.auth_method == raw::AuthMethod::ClientSecretPost,
        }),
        access: Access { key_bearer: None, ..access?.clone() },
        timeout: timeout?,
        recheck: recheck?,
        unknown_per_second: raw.unknown_per_second,
    }))
}

/// The secret of a client, given itself or as a file.
pub(super) fn secret(
    c: &mut Checker,
    section: &KeyPath,
    text: &Option<Secret>,
    file: &Option<PathBuf>,
) -> Option<Option<ClientSecret>> {
    let file_key = section.join("client_secret_file");
    match (text, file) {
        (None, None) => Some(None),
        (Some(_), Some(_)) => {
            c.bad(&file_key, BadValue::TwoSecrets);
            None
        }
        (Some(secret), None) if secret.expose().is_empty() => {
            c.bad(&section.join("client_secret"), BadValue::Empty);
            None
        }
        (Some(secret), None) => Some(Some(ClientSecret::Text(secret.clone()))),
        (None, Some(path)) => {
            let secret = ClientSecret::File(path.clone());
            c.keep(&file_key, secret.read()).map(|_| Some(secret))
        }
    }
}

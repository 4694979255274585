//! Is the discovery document there, over TLS, and that of the issuer?

use doorward_core::clock::Clock;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use url::Url;

use super::super::report::Finding;
use super::Patient;
use super::clock::Sample;
use crate::advice::discovery as remedies;
use crate::advice::fetching;
use crate::discovery::{
    Document, FetchError, FetchErrorKind, HttpFetcher, KeyLocation, Metadata, MetadataError,
    Obstacle,
};
use crate::loopback::is_loopback;
use crate::product::Product;

/// A discovery document that came.
pub(super) struct Published {
    /// All of it.
    pub(super) document: Value,
    /// What of it is believed; `None`: too little to go on with.
    pub(super) metadata: Option<Metadata>,
    /// What its `Date` says.
    pub(super) sample: Sample,
}

/// The members that name an address people or programs are sent to.
const ENDPOINTS: [&str; 6] = [
    "authorization_endpoint",
    "token_endpoint",
    "device_authorization_endpoint",
    "userinfo_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
];

pub(super) async fn examine(
    patient: &Patient,
    http: &HttpFetcher,
    clock: &dyn Clock,
    findings: &mut Vec<Finding>,
) -> Option<Published> {
    let Some(url) = &patient.discovery_url else {
        findings.push(Finding::pass(
            "discovery",
            "not fetched: the issuer is not a URL, and its keys are configured separately",
        ));
        return None;
    };
    let before = clock.now();
    let answer = http.get(url).await;
    let after = clock.now();
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            findings.push(unreachable(patient, &error));
            return None;
        }
    };
    findings.push(tls(&answer));
    let sample = Sample::of(&answer.header, before, after);
    let Ok(document) = serde_json::from_slice::<Value>(&answer.body) else {
        findings.push(not_json(patient, &answer));
        return None;
    };
    let provider = Product::recognise(patient.issuer(), Some(&document));
    let metadata = match Metadata::parse(&answer.body, patient.issuer(), url) {
        Ok(metadata) => {
            findings.push(found_at(&answer));
            findings.push(issuer_matches(patient, &metadata));
            Some(metadata)
        }
        Err(
            MetadataError::OtherIssuer { published, .. }
            | MetadataError::TrailingSlash { published, .. },
        ) => {
            findings.push(found_at(&answer));
            findings.push(another_issuer(patient, provider, &published));
            // Its other members are looked at all the same: one run should name everything.
            Metadata::parse(&answer.body, &published, url).ok()
        }
        Err(error) => {
            findings.push(incomplete(patient, provider, &error));
            None
        }
    };
    if let Some(metadata) = &metadata {
        findings.push(endpoints(&document, metadata));
    }
    Some(Published { document, metadata, sample })
}

fn found_at(answer: &Document) -> Finding {
    Finding::pass("discovery", format!("found at {}", answer.url))
}

fn tls(answer: &Document) -> Finding {
    if answer.url.scheme() == "https" {
        Finding::pass("tls", "https, and the certificate is trusted here")
    } else if is_loopback(&answer.url) {
        Finding::pass("tls", "plain http, acceptable on loopback")
    } else {
        Finding::warn(
            "tls",
            format!("{} is fetched over plain http (allow_http)", answer.url),
            "use https: anyone on the network path can choose the keys that tokens are verified \
             with",
        )
    }
}

/// Whether keys depend on the document, or only people who log in.
fn in_need(patient: &Patient, check: &'static str, found: String, remedy: String) -> Finding {
    let keys_depend = matches!(patient.settings.keys, KeyLocation::Discovery(_))
        && !patient.settings.borrows_from_primary;
    if keys_depend {
        Finding::fail(check, found, remedy)
    } else {
        Finding::warn(check, found, remedy)
    }
}

fn unreachable(patient: &Patient, error: &FetchError) -> Finding {
    let provider = Product::recognise(patient.issuer(), None);
    let not_found = remedies::not_found(provider);
    let otherwise = if let FetchErrorKind::Status { .. } = &error.kind {
        not_found
    } else {
        format!("the discovery document was not found: {not_found}")
    };
    let remedy = fetching::not_fetched(error, &patient.settings.access, otherwise);
    let of_tls = error.obstacle().is_some_and(Obstacle::is_of_tls);
    let check = if of_tls { "tls" } else { "discovery" };
    in_need(patient, check, error.to_string(), remedy)
}

fn not_json(patient: &Patient, answer: &Document) -> Finding {
    let kind = answer.header.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let html = answer.body.trim_ascii_start().starts_with(b"<");
    let what = if html { "an HTML page" } else { "something that is not JSON" };
    let found = format!("{} answered with {what} ({})", answer.url, kind.unwrap_or("no type"));
    let provider = Product::recognise(patient.issuer(), None);
    let remedy = if html {
        format!(
            "an HTML page for browsers (a login, a proxy, an error) came instead: {}",
            remedies::not_found(provider)
        )
    } else {
        remedies::not_found(provider)
    };
    in_need(patient, "discovery", found, remedy)
}

fn incomplete(patient: &Patient, provider: Product, error: &MetadataError) -> Finding {
    let remedy = match error {
        MetadataError::RefusedUrl { .. } => {
            "have the provider publish an https URL for its key set (its public URL, behind a \
             proxy), or set jwks_uri"
                .to_owned()
        }
        MetadataError::NotJson(_)
        | MetadataError::NotAnObject
        | MetadataError::Missing(_)
        | MetadataError::NotText(_)
        | MetadataError::BadKeySetUrl { .. }
        | MetadataError::TrailingSlash { .. }
        | MetadataError::OtherIssuer { .. } => remedies::not_found(provider),
    };
    in_need(patient, "discovery", error.to_string(), remedy)
}

fn issuer_matches(patient: &Patient, metadata: &Metadata) -> Finding {
    let found = if metadata.issuer == patient.issuer() {
        format!("{:?}, as configured", metadata.issuer)
    } else {
        format!("{:?}: a tenant of {:?}", metadata.issuer, patient.issuer())
    };
    Finding::pass("issuer_match", found)
}

fn another_issuer(patient: &Patient, provider: Product, published: &str) -> Finding {
    let configured = patient.issuer();
    let slash = published.trim_end_matches('/') == configured.trim_end_matches('/');
    let differ = if slash { ": they differ in the trailing slash" } else { "" };
    let found = format!("the document has {published:?}, but {configured:?} is configured{differ}");
    Finding::fail("issuer_match", found, remedies::other_issuer(provider, published))
}

/// A document that came over https must not send anybody to plain http, and one that did not
/// must not send anybody elsewhere by it.
fn endpoints(document: &Value, metadata: &Metadata) -> Finding {
    let believed = |name: &str| -> Option<&Url> {
        match name {
            "authorization_endpoint" => metadata.authorization_endpoint.as_ref(),
            "token_endpoint" => metadata.token_endpoint.as_ref(),
            "device_authorization_endpoint" => metadata.device_authorization_endpoint.as_ref(),
            "userinfo_endpoint" => metadata.userinfo_endpoint.as_ref(),
            "revocation_endpoint" => metadata.revocation_endpoint.as_ref(),
            _ => metadata.introspection_endpoint.as_ref(),
        }
    };
    let named = ENDPOINTS.iter().filter(|name| document.get(name).is_some_and(|it| !it.is_null()));
    let dropped: Vec<_> = named.filter(|name| believed(name).is_none()).copied().collect();
    if dropped.is_empty() {
        return Finding::pass("endpoints", "every endpoint is on https or loopback");
    }
    Finding::fail(
        "endpoints",
        format!(
            "not used, because it is not https or is plain http on another machine: {}",
            dropped.join(", ")
        ),
        "set the provider's public https URL; behind a proxy it has to trust X-Forwarded-Proto",
    )
}

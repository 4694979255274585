//! Is the discovery document there, over TLS, and that of the issuer?

use doorward_core::clock::Clock;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::super::report::Finding;
use super::Examination;
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

pub(super) async fn examine(
    issuer: &Examination,
    http: &HttpFetcher,
    clock: &dyn Clock,
    findings: &mut Vec<Finding>,
) -> Option<Published> {
    let Some(url) = &issuer.discovery_url else {
        findings.push(Finding::pass(
            "discovery",
            "not fetched: the issuer is not a URL, and its keys are configured separately",
        ));
        return None;
    };
    let before = clock.now();
    let answer = http.get(url).await.map_err(|error| findings.push(unreachable(issuer, &error)));
    let answer = answer.ok()?;
    findings.push(tls(&answer));
    let sample = Sample::of(&answer.header, before, clock.now());
    let Ok(document) = serde_json::from_slice::<Value>(&answer.body) else {
        findings.push(not_json(issuer, &answer));
        return None;
    };
    let provider = Product::recognise(issuer.issuer(), Some(&document));
    let found = Finding::pass("discovery", format!("found at {}", answer.url));
    let metadata = match Metadata::parse(&answer.body, issuer.issuer(), url) {
        Ok(metadata) => {
            findings.extend([found, issuer_matches(issuer, &metadata)]);
            Some(metadata)
        }
        Err(
            MetadataError::OtherIssuer { published, .. }
            | MetadataError::TrailingSlash { published, .. },
        ) => {
            findings.extend([found, another_issuer(issuer, provider, &published)]);
            // Its other members are looked at all the same: one run should name everything.
            Metadata::parse(&answer.body, &published, url).ok()
        }
        Err(error) => {
            findings.push(incomplete(issuer, provider, &error));
            None
        }
    };
    findings.extend(metadata.as_ref().map(|metadata| endpoints(&document, metadata)));
    Some(Published { document, metadata, sample })
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
fn in_need(
    issuer: &Examination,
    check: &'static str,
    found: String,
    remedy: impl Into<String>,
) -> Finding {
    let keys_depend = matches!(issuer.settings.keys, KeyLocation::Discovery(_))
        && !issuer.settings.borrows_from_primary;
    let make = if keys_depend { Finding::fail } else { Finding::warn };
    make(check, found, remedy)
}

fn unreachable(issuer: &Examination, error: &FetchError) -> Finding {
    let not_found = remedies::NOT_FOUND.of(issuer.product());
    let otherwise = if let FetchErrorKind::Status { .. } = &error.kind {
        not_found.to_owned()
    } else {
        format!("the discovery document was not found: {not_found}")
    };
    let remedy = fetching::not_fetched(error, &issuer.settings.access, otherwise);
    let of_tls = error.obstacle().is_some_and(Obstacle::is_of_tls);
    let check = if of_tls { "tls" } else { "discovery" };
    in_need(issuer, check, error.to_string(), remedy)
}

fn not_json(issuer: &Examination, answer: &Document) -> Finding {
    let kind = answer.header.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let remedy = remedies::NOT_FOUND.of(issuer.product());
    let (what, remedy) = if answer.body.trim_ascii_start().starts_with(b"<") {
        let page = "an HTML page for browsers (a login, a proxy, an error) came instead";
        ("an HTML page", format!("{page}: {remedy}"))
    } else {
        ("something that is not JSON", remedy.to_owned())
    };
    let found = format!("{} answered with {what} ({})", answer.url, kind.unwrap_or("no type"));
    in_need(issuer, "discovery", found, remedy)
}

fn incomplete(issuer: &Examination, provider: Product, error: &MetadataError) -> Finding {
    let remedy = if let MetadataError::RefusedUrl { .. } = error {
        "have the provider publish an https URL for its key set (its public URL, behind a proxy), or \
         set jwks_uri"
    } else {
        remedies::NOT_FOUND.of(provider)
    };
    in_need(issuer, "discovery", error.to_string(), remedy)
}

fn issuer_matches(issuer: &Examination, metadata: &Metadata) -> Finding {
    let found = if metadata.issuer == issuer.issuer() {
        format!("{:?}, as configured", metadata.issuer)
    } else {
        format!("{:?}: a tenant of {:?}", metadata.issuer, issuer.issuer())
    };
    Finding::pass("issuer_match", found)
}

fn another_issuer(issuer: &Examination, provider: Product, published: &str) -> Finding {
    let configured = issuer.issuer();
    let slash = published.trim_end_matches('/') == configured.trim_end_matches('/');
    let differ = if slash { ": they differ in the trailing slash" } else { "" };
    let found = format!("the document has {published:?}, but {configured:?} is configured{differ}");
    Finding::fail("issuer_match", found, remedies::other_issuer(provider, published))
}

/// A document that came over https must not send anybody to plain http, and one that did not
/// must not send anybody elsewhere by it.
fn endpoints(document: &Value, metadata: &Metadata) -> Finding {
    let believed = [
        ("authorization_endpoint", &metadata.authorization_endpoint),
        ("token_endpoint", &metadata.token_endpoint),
        ("device_authorization_endpoint", &metadata.device_authorization_endpoint),
        ("userinfo_endpoint", &metadata.userinfo_endpoint),
        ("revocation_endpoint", &metadata.revocation_endpoint),
        ("introspection_endpoint", &metadata.introspection_endpoint),
    ];
    let is_named = |name: &str| document.get(name).is_some_and(|it| !it.is_null());
    let dropped = believed.into_iter().filter(|(name, url)| url.is_none() && is_named(name));
    let dropped: Vec<_> = dropped.map(|(name, _)| name).collect();
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

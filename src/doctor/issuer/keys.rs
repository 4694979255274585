//! The key set, fetched from wherever it is configured to be.

use std::path::Path;

use doorward_core::keys::KeySet;
use url::Url;

use super::super::key_set;
use super::super::report::Finding;
use super::Examination;
use crate::advice::fetching;
use crate::advice::keys as remedies;
use crate::discovery::{HttpFetcher, KeyLocation, MAX_DOCUMENT_BYTES, Metadata};
use crate::product::Product;
use crate::regular_file::read_file;

pub(super) async fn examine(
    issuer: &Examination,
    provider: Product,
    metadata: Option<&Metadata>,
    http: &HttpFetcher,
    findings: &mut Vec<Finding>,
) -> Option<KeySet> {
    let document = match &issuer.settings.keys {
        KeyLocation::Inline(document) => document.clone().into_bytes(),
        KeyLocation::File(path) => read(path, findings)?,
        KeyLocation::JwksUri(url) => fetch(issuer, url, http, findings).await?,
        // Without it, what is wrong with discovery has been said.
        KeyLocation::Discovery(_) => fetch(issuer, &metadata?.jwks_uri, http, findings).await?,
        KeyLocation::Borrowed => {
            let found = "the first issuer's: this is another name for it";
            findings.push(Finding::pass("key_set", found));
            return None;
        }
    };
    let no_set = |error| {
        let remedy = remedies::NO_PUBLIC_KEY.of(provider);
        findings.push(Finding::fail("key_set", format!("not a key set: {error}"), remedy));
    };
    let set = KeySet::parse(&document).map_err(no_set).ok()?;
    let announced = metadata.and_then(|m| m.id_token_signing_alg_values_supported.as_deref());
    let accepted = issuer.settings.token.algorithms;
    findings.extend(key_set::examine(&set, accepted, announced, provider, issuer.empty_set));
    Some(set)
}

async fn fetch(
    issuer: &Examination,
    url: &Url,
    http: &HttpFetcher,
    findings: &mut Vec<Finding>,
) -> Option<Vec<u8>> {
    let answer = http.get(url).await.map_err(|error| {
        let otherwise = "open this URL in a browser: it should show a JSON object with keys; \
                         a provider behind a proxy has to know its public URL";
        let remedy = fetching::not_fetched(&error, &issuer.settings.access, otherwise.into());
        findings.push(Finding::fail("jwks_endpoint", error.to_string(), remedy));
    });
    let answer = answer.ok()?;
    findings.push(Finding::pass("jwks_endpoint", answer.url.to_string()));
    Some(answer.body.to_vec())
}

fn read(path: &Path, findings: &mut Vec<Finding>) -> Option<Vec<u8>> {
    let unreadable = |error| {
        let found = format!("key file {}: {error}", path.display());
        let remedy = "make the file readable to this user, or correct jwks_file";
        findings.push(Finding::fail("key_set", found, remedy));
    };
    read_file(path, MAX_DOCUMENT_BYTES).map_err(unreadable).ok()
}

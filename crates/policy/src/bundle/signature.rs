//! The signature of a bundle, as OPA makes it: a JWT that lists all files with their hashes.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256, SHA384, SHA512};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Files, MANIFEST};
use crate::fault::LoadFault;
use crate::sources::parse_data;

/// The file of a bundle that holds its signature.
pub(super) const FILE: &str = ".signatures.json";

/// As deep as data may be nested to be read.
const MAX_DEPTH: u8 = 127;

const UNREADABLE: &str = "it cannot be read";

/// What a bundle's signature is verified with. The key decides the algorithm, not the signature.
#[derive(Clone, Debug)]
pub struct BundleKey {
    algorithm: &'static str,
    key: ParsedPublicKey,
}

impl BundleKey {
    /// A public key in PEM (`BEGIN PUBLIC KEY`): RSA for RS256, P-256 for ES256, Ed25519 for EdDSA.
    ///
    /// # Errors
    /// It is none of these.
    pub fn from_pem(pem: &str) -> Result<Self, BundleKeyError> {
        let body = pem.trim().strip_prefix("-----BEGIN PUBLIC KEY-----");
        let body = body.and_then(|body| body.strip_suffix("-----END PUBLIC KEY-----"));
        let body: String = body.ok_or(BundleKeyError)?.split_ascii_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| BundleKeyError)?;
        let algorithms: [(&str, &'static dyn VerificationAlgorithm); 3] = [
            ("RS256", &RSA_PKCS1_2048_8192_SHA256),
            ("ES256", &ECDSA_P256_SHA256_FIXED),
            ("EdDSA", &ED25519),
        ];
        let mut keys = algorithms.into_iter().filter_map(|(name, algorithm)| {
            let key = ParsedPublicKey::new(algorithm, &der).ok()?;
            Some(Self { algorithm: name, key })
        });
        keys.next().ok_or(BundleKeyError)
    }
}

/// It is no public key that signatures of bundles can be verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a public key in PEM, of RSA (2048 bits or more), P-256 or Ed25519")]
pub struct BundleKeyError;

#[derive(Deserialize)]
struct Signatures {
    signatures: Vec<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    files: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    hash: String,
    #[serde(default)]
    algorithm: Option<String>,
}

/// Verifies that `key` signed just these files.
pub(super) fn verify(
    bundle: &str,
    files: &Files,
    signatures: Option<&[u8]>,
    key: &BundleKey,
) -> Result<(), Vec<LoadFault>> {
    let place = format!("{bundle}:{FILE}");
    let fault = |text: &str| vec![LoadFault::of_file(&place, text)];
    let signatures = signatures.ok_or_else(|| {
        vec![LoadFault::of_file(bundle, "it is not signed, and a key is configured")]
    })?;
    let parsed: Signatures =
        serde_json::from_slice(signatures).map_err(|error| fault(&error.to_string()))?;
    let [token] = parsed.signatures.as_slice() else {
        return Err(fault("it holds another number of signatures than one"));
    };
    let claims = claims(token, key).map_err(fault)?;
    let mut listed: BTreeMap<&str, &Listed> = BTreeMap::new();
    for file in &claims.files {
        listed.insert(file.name.trim_start_matches('/'), file);
    }
    let mut faults = Vec::new();
    for (path, bytes) in files {
        let found = listed.remove(path.as_str());
        if let Err(text) = found
            .ok_or("the signature does not list it")
            .and_then(|listed| matches(listed, path, bytes))
        {
            faults.push(LoadFault::of_file(format!("{bundle}:{path}"), text));
        }
    }
    let missing = listed.into_keys().map(|path| {
        LoadFault::of_file(format!("{bundle}:{path}"), "the signature lists it, and it is missing")
    });
    faults.extend(missing);
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn claims(token: &str, key: &BundleKey) -> Result<Claims, &'static str> {
    const NO_TOKEN: &str = "the signature is no JWT that lists files";
    let (signed, signature) = token.rsplit_once('.').ok_or(NO_TOKEN)?;
    let (header, claims) = signed.split_once('.').ok_or(NO_TOKEN)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| NO_TOKEN);
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| NO_TOKEN)?;
    if header.alg != key.algorithm {
        return Err("the signature's algorithm is not that of the configured key");
    }
    let verified = key.key.verify_sig(signed.as_bytes(), &decode(signature)?);
    verified.map_err(|_| "the signature is not of the configured key")?;
    serde_json::from_slice(&decode(claims)?).map_err(|_| NO_TOKEN)
}

fn matches(listed: &Listed, path: &str, bytes: &[u8]) -> Result<(), &'static str> {
    let algorithm = match listed.algorithm.as_deref().unwrap_or("SHA-256") {
        "SHA-256" => &SHA256,
        "SHA-384" => &SHA384,
        "SHA-512" => &SHA512,
        _ => return Err("its hash is none of SHA-256, SHA-384 and SHA-512"),
    };
    let mut context = Context::new(algorithm);
    match path.rsplit('/').next().unwrap_or(path) {
        "data.json" | MANIFEST => {
            let json: &RawValue = serde_json::from_slice(bytes).map_err(|_| UNREADABLE)?;
            hash_json(json, MAX_DEPTH, &mut context)?;
        }
        "data.yaml" | "data.yml" => {
            let value = parse_data(path, bytes).map_err(|_| UNREADABLE)?;
            let json = serde_json::value::to_raw_value(&value).map_err(|_| UNREADABLE)?;
            hash_json(&json, MAX_DEPTH, &mut context)?;
        }
        _ => context.update(bytes),
    }
    let hash = context.finish();
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    if hex.eq_ignore_ascii_case(&listed.hash) {
        Ok(())
    } else {
        Err("its hash is not the signed one")
    }
}

/// Data is hashed as it is meant, not as it is written: members in the order of their names, nothing
/// between them. Numbers alone stay as they are written.
fn hash_json(json: &RawValue, depth: u8, into: &mut Context) -> Result<(), &'static str> {
    let depth = depth.checked_sub(1).ok_or(UNREADABLE)?;
    let text = json.get().trim();
    let parsed = |_| UNREADABLE;
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(text).map_err(parsed)?;
            into.update(b"{");
            for (at, (name, value)) in members.into_iter().enumerate() {
                into.update(if at > 0 { b"," } else { b"" });
                into.update(encoded(name).as_bytes());
                into.update(b":");
                hash_json(value, depth, into)?;
            }
            into.update(b"}");
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(parsed)?;
            into.update(b"[");
            for (at, item) in items.into_iter().enumerate() {
                into.update(if at > 0 { b"," } else { b"" });
                hash_json(item, depth, into)?;
            }
            into.update(b"]");
        }
        Some(b'"') => {
            into.update(encoded(serde_json::from_str(text).map_err(parsed)?).as_bytes());
        }
        _ => into.update(text.as_bytes()),
    }
    Ok(())
}

/// A text as Go's `encoding/json` writes it, which escapes two line separators.
fn encoded(text: String) -> String {
    let json = Value::String(text).to_string();
    json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

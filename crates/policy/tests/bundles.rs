//! OPA bundles: good ones, and all that can be wrong with one.

use std::io::Write;

use aws_lc_rs::digest::{SHA256, digest};
use doorward_policy::{BundleKey, Limits, LoadFault, Rego, Sources};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::{Curve, Signer, ed, encode};

const POLICY: &str =
    "package authz\ndefault allow := false\nallow if input.path in data.authz.open\n";

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // As they come: the builder itself would refuse odd ones.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bundle(files: &[(&str, &str)]) -> Vec<u8> {
    let files: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    gzip(&tar(&files))
}

fn read(archive: &[u8]) -> Result<Sources, Vec<String>> {
    read_with(archive, None)
}

fn read_with(archive: &[u8], key: Option<&BundleKey>) -> Result<Sources, Vec<String>> {
    let show = |faults: Vec<LoadFault>| faults.iter().map(ToString::to_string).collect();
    Sources::from_bundle("b.tar.gz", archive, key).map_err(show)
}

fn faults(archive: &[u8]) -> String {
    read(archive).unwrap_err().join("\n")
}

const GOOD: [(&str, &str); 5] = [
    ("/.manifest", r#"{"revision": "r1", "roots": ["authz"], "metadata": {"a": 1}}"#),
    ("/authz/policy.rego", POLICY),
    ("./authz/data.json", r#"{"open": ["/a"]}"#),
    ("authz/policy_test.rego", "package authz_test\ntest_x if nonsense("),
    ("authz/README.md", "words"),
];

#[test]
fn a_good_bundle() {
    let sources = read(&bundle(&GOOD)).unwrap();
    assert_eq!(sources.revision(), Some("r1"));
    assert_eq!(sources.data(), &json!({"authz": {"open": ["/a"]}}));
    let policy = Rego::compile(&sources, "data.authz.allow", Limits::default()).unwrap();
    assert_eq!(policy.evaluate(&json!({"path": "/a"})), Ok(Some(json!(true))));
    assert_eq!(policy.evaluate(&json!({"path": "/b"})), Ok(Some(json!(false))));
    // Without a manifest, anything may be anywhere.
    assert_eq!(read(&bundle(&[("data.json", r#"{"x": 1}"#)])).unwrap().revision(), None);
    let yaml = read(&bundle(&[("a/data.yaml", "x: 1\n")])).unwrap();
    assert_eq!(yaml.data(), &json!({"a": {"x": 1}}));
}

#[test]
fn faults_in_modules_name_the_bundle_the_file_and_the_line() {
    let archive = bundle(&[("authz/policy.rego", "package authz\n\nallow if nope(1)\n")]);
    let faults = Rego::compile(&read(&archive).unwrap(), "data.authz.allow", Limits::default());
    let fault = faults.err().unwrap().remove(0).to_string();
    assert!(fault.starts_with("b.tar.gz:authz/policy.rego:3:"), "{fault}");
}

#[test]
fn outside_of_its_roots() {
    let roots = (".manifest", r#"{"roots": ["a/b", "c"]}"#);
    let with = |file: (&str, &str)| read(&bundle(&[roots, file])).map(|_| ());
    assert_eq!(with(("a/b/data.json", r#"{"x": 1}"#)), Ok(()));
    assert_eq!(with(("data.json", r#"{"a": {"b": 1}, "c": 1}"#)), Ok(()));
    assert_eq!(with(("p.rego", "package a.b.x\ny := 1")), Ok(()));
    for file in [
        ("data.json", r#"{"a": 1}"#),
        ("data.json", r#"{"a": {"x": {}}}"#),
        ("a/data.json", r#"{"x": 1}"#),
        ("p.rego", "package a\ny := 1"),
        ("p.rego", "package bb\ny := 1"),
    ] {
        let faults = with(file).unwrap_err();
        assert!(
            faults.concat().contains("outside of the manifest's roots"),
            "{file:?}: {faults:?}"
        );
    }
}

#[test]
fn no_bundles() {
    assert!(faults(b"").contains("no complete .tar.gz"));
    assert!(faults(b"PK\x03\x04").contains("no complete .tar.gz"));
    assert!(faults(&gzip(&[7; 2048])).contains("no complete .tar.gz"));
    let good = bundle(&GOOD);
    for end in 0..good.len() {
        assert!(read(&good[..end]).is_err(), "cut off after {end} of {} bytes", good.len());
    }
    for at in (good.len() - 8)..good.len() {
        let mut broken = good.clone();
        broken[at] ^= 1;
        assert!(read(&broken).is_err(), "its checksum is not looked at");
    }
    assert!(faults(&bundle(&[("../x.rego", POLICY)])).contains("no path in a bundle"));
    assert!(faults(&bundle(&[("a/../../x.rego", POLICY)])).contains("no path in a bundle"));
    assert!(faults(&bundle(&[("a.rego", POLICY), ("./a.rego", POLICY)])).contains("twice"));
    assert!(
        faults(&bundle(&[("a/data.json", "{"), ("b/data.json", "[]")])).contains("a/data.json:1:")
    );
    assert!(faults(&bundle(&[(".manifest", "{\"roots\": 1}")])).contains(".manifest"));
    assert!(faults(&bundle(&[(".manifest", r#"{"wasm": [{}]}"#)])).contains("WebAssembly"));
    assert!(faults(&bundle(&[("patch.json", "{}")])).contains("delta"));
    assert!(faults(&gzip(&tar(&[("a.rego", b"package a\nx := \"\xff\"")]))).contains("UTF-8"));
    let conflict = [("data.json", r#"{"a": {"x": 1}}"#), ("a/data.json", r#"{"x": 2}"#)];
    assert!(faults(&bundle(&conflict)).contains("there is data at `a.x` in another file"));
}

#[test]
fn links_are_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "data.json", "/etc/passwd").unwrap();
    assert!(
        faults(&gzip(&builder.into_inner().unwrap())).contains("neither a file nor a directory")
    );
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![b' '; 257 << 20];
    let bomb = gzip(&tar(&[("data.json", &zeros)]));
    assert!(bomb.len() < 4 << 20);
    assert_eq!(read(&bomb).unwrap_err().len(), 1);
    let padded = {
        let mut archive = tar(&[]);
        archive.extend(&zeros);
        gzip(&archive)
    };
    assert!(faults(&padded).contains("when it is unpacked"));
    let names: Vec<_> = (0..10_001).map(|at| format!("f{at}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    assert!(faults(&gzip(&tar(&many))).contains("over 10000 files"));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As OPA lists them: data by its canonical form, other files by their bytes.
fn listed() -> Value {
    json!({"files": [
        {"name": ".manifest", "algorithm": "SHA-256", "hash": hex(digest(&SHA256, br#"{"revision":"r1"}"#).as_ref())},
        {"name": "authz/data.json", "algorithm": "SHA-256", "hash": hex(digest(&SHA256, br#"{"a":[1,true,null,"<"],"open":["/a"]}"#).as_ref())},
        {"name": "policy.rego", "algorithm": "SHA-256", "hash": hex(digest(&SHA256, POLICY.as_bytes()).as_ref())},
    ]})
}

fn signed(signature: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let signatures = json!({"signatures": [signature]}).to_string();
    let files = [
        (".manifest", "{ \"revision\": \"r1\" }"),
        ("/authz/data.json", "{\"open\": [\"/a\"],\n \"a\": [1, true, null, \"<\"]}"),
        ("/policy.rego", POLICY),
        (".signatures.json", signatures.as_str()),
    ];
    bundle(&[&files[..], more].concat())
}

pub fn pem(kind: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n")
}

/// An Ed25519 key as SubjectPublicKeyInfo (RFC 8410 §4).
fn key_of(signer: &Signer) -> BundleKey {
    use base64::Engine as _;
    let jwk = signer.jwk();
    let decode = |name: &str| {
        let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
        engine.decode(jwk[name].as_str().unwrap()).unwrap()
    };
    let prefix: &[u8] = match jwk["kty"].as_str().unwrap() {
        "OKP" => &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00],
        _ => &[
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
        ],
    };
    let y = if jwk["kty"] == "EC" { decode("y") } else { Vec::new() };
    BundleKey::from_pem(&pem("PUBLIC KEY", &[prefix, &decode("x"), &y].concat())).unwrap()
}

#[test]
fn signed_bundles() {
    let (signer, other) = (ed("k", 1), ed("k", 2));
    let key = key_of(&signer);
    let good = signed(&signer.token("EdDSA", &listed()), &[]);
    assert!(read_with(&good, Some(&key)).is_ok(), "{:?}", read_with(&good, Some(&key)).err());
    // Nobody asks for the signature.
    assert!(read(&good).is_ok());
    let fault = |archive: &[u8]| read_with(archive, Some(&key)).unwrap_err().join("\n");
    assert!(fault(&bundle(&GOOD)).contains("not signed"));
    assert!(
        fault(&signed(&other.token("EdDSA", &listed()), &[])).contains("not of the configured key")
    );
    assert!(fault(&signed("a.b.c", &[])).contains("no JWT"));
    assert!(fault(&signed("", &[])).contains("no JWT"));
    let more = fault(&signed(&signer.token("EdDSA", &listed()), &[("x.rego", "package x")]));
    assert_eq!(more, "b.tar.gz:x.rego: the signature does not list it");
    let none = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(listed().to_string()));
    assert!(fault(&signed(&none, &[])).contains("algorithm"));
    let mut less = listed();
    less["files"].as_array_mut().unwrap().pop();
    assert!(fault(&signed(&signer.token("EdDSA", &less), &[])).contains("does not list it"));
    let mut wrong = listed();
    wrong["files"][2]["hash"] = json!("00");
    assert!(fault(&signed(&signer.token("EdDSA", &wrong), &[])).contains("not the signed one"));
    let mut extra = listed();
    extra["files"].as_array_mut().unwrap().push(json!({"name": "gone.rego", "hash": "00"}));
    assert!(fault(&signed(&signer.token("EdDSA", &extra), &[])).contains("and it is missing"));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut nested = listed();
    let entry = json!({"name": "x/data.json", "hash": "00"});
    nested["files"].as_array_mut().unwrap().push(entry);
    let nested = signed(&signer.token("EdDSA", &nested), &[("x/data.json", &deep)]);
    assert_eq!(fault(&nested), "b.tar.gz:x/data.json: it cannot be read");
    let mut weak = listed();
    weak["files"][2]["algorithm"] = json!("MD5");
    assert!(fault(&signed(&signer.token("EdDSA", &weak), &[])).contains("SHA-256"));
}

#[test]
fn signed_with_es256() {
    let signer = Signer::ec("k", Curve::P256);
    let archive = signed(&signer.token("ES256", &listed()), &[]);
    assert!(read_with(&archive, Some(&key_of(&signer))).is_ok());
    assert!(read_with(&archive, Some(&key_of(&ed("k", 1)))).is_err());
    for no_key in [
        "",
        "nonsense",
        &pem("PUBLIC KEY", b"nonsense"),
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
    ] {
        assert!(BundleKey::from_pem(no_key).is_err());
    }
}

//! `doorward explain` as a program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::signer::{RSA, jwks};

/// The issuer of its tokens.
pub const ISSUER: &str = "https://idp.example";

/// A configuration of one issuer in a file, with these settings over it; `null` takes one away.
pub fn config(dir: &Path, oidc: &Value) -> PathBuf {
    let mut config = json!({
        "auth": {"oidc": {"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])}},
        "rules": {"bypass": ["/health"]},
    });
    for (key, value) in oidc.as_object().unwrap() {
        config["auth"]["oidc"][key] = value.clone();
        if value.is_null() {
            config["auth"]["oidc"].as_object_mut().unwrap().remove(key);
        }
    }
    let path = dir.join("doorward.json");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

/// The step of this check.
pub fn step<'v>(told: &'v Value, check: &str) -> &'v Value {
    let steps = told["steps"].as_array().unwrap();
    steps.iter().find(|step| step["check"] == check).unwrap_or_else(|| panic!("{check}: {told:#}"))
}

/// The one step that failed.
pub fn failed(told: &Value) -> &Value {
    let steps = told["steps"].as_array().unwrap();
    let mut failed = steps.iter().filter(|step| step["outcome"] == "fail");
    let first = failed.next().unwrap_or_else(|| panic!("nothing failed: {told:#}"));
    assert!(failed.next().is_none(), "one check decides: {told:#}");
    first
}

/// Runs `doorward explain` with `input` on its standard input.
pub fn explain(config: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .env_clear()
        .arg("explain")
        .arg("--config")
        .arg(config)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not want its input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The explanation as JSON, and the exit code.
pub fn told(config: &Path, arguments: &[&str], input: &str) -> (Value, i32) {
    let arguments: Vec<_> = arguments.iter().copied().chain(["--json"]).collect();
    let output = explain(config, &arguments, input.as_bytes());
    let told = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    (told, output.status.code().unwrap())
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

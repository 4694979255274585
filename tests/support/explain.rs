//! `doorward explain` as a program.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

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

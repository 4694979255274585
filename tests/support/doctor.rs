//! `doorward doctor` as a program.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// What `doorward doctor --json` said.
pub struct Said {
    pub code: i32,
    pub report: Value,
    pub stderr: String,
}

impl Said {
    /// `fail device_grant`, `warn groups`: everything but what passed.
    pub fn faults(&self) -> Vec<String> {
        let findings = self.findings().filter(|finding| finding["outcome"] != "pass");
        let name = |it: &Value| format!("{} {}", text(&it["outcome"]), text(&it["check"]));
        findings.map(name).collect()
    }

    pub fn findings(&self) -> impl Iterator<Item = &Value> {
        let sections = self.report["sections"].as_array().into_iter().flatten();
        sections.flat_map(|section| section["findings"].as_array().unwrap())
    }

    /// The finding of this check.
    pub fn finding(&self, check: &str) -> &Value {
        let found = self.findings().find(|finding| finding["check"] == check);
        found.unwrap_or_else(|| panic!("no {check}: {:#} {}", self.report, self.stderr))
    }

    pub fn assert_well(&self) {
        assert_eq!(self.faults(), [""; 0], "{:#}", self.report);
        assert!(self.findings().count() > 10, "{:#} {}", self.report, self.stderr);
        assert_eq!((self.code, &self.report["outcome"]), (0, &json!("pass")));
    }

    /// This fault and no other, with these words in its remedy.
    pub fn assert_only(&self, fault: &str, remedy: &str) {
        assert_eq!(self.faults(), [fault], "{:#}", self.report);
        let (outcome, check) = fault.split_once(' ').unwrap();
        let said = text(&self.finding(check)["remedy"]);
        assert!(said.contains(remedy), "{fault}: {said}");
        assert_eq!(self.code, i32::from(outcome == "fail"));
        assert_eq!(self.report["outcome"], outcome);
    }
}

/// A string of the report.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Its exit code, standard output and standard error.
pub async fn doctor(arguments: &[&str], stdin: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .env_clear()
        .arg("doctor")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // It may not read it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// Examines what this configuration names, and this token.
pub async fn examine(config: &Value, token: Option<&str>) -> Said {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doorward.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let mut arguments = vec!["--json", "--config", file.to_str().unwrap()];
    if token.is_some() {
        arguments.extend(["--token", "-"]);
    }
    let (code, stdout, stderr) = doctor(&arguments, token.unwrap_or_default()).await;
    let report = serde_json::from_str(&stdout)
        .unwrap_or_else(|error| panic!("{error}: {stdout:?} {stderr:?}"));
    Said { code, report, stderr }
}

/// A configuration of a primary issuer.
pub fn oidc(settings: Value) -> Value {
    json!({"auth": {"oidc": settings}})
}

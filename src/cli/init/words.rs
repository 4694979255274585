//! What `doorward init` says when all is written: what was found, what is missing, what to run.

use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::Value;

use super::Provider;
use crate::advice::token_advice;
use crate::cli::lines::{self, WORD};
use crate::cli::style::{GOOD, HEAD};
use crate::doctor::{Examined, Outcome};
use crate::init::{Choices, Gateway, Runs};
use crate::printable::printable;

/// Where the text of what tokens have to hold begins.
const ADVICE_COLUMN: usize = 14;

/// What was found, what is missing and what to run next.
pub(super) fn say(
    provider: &Provider,
    gateway: Option<Gateway>,
    targets: &[&PathBuf],
    out: &mut dyn Write,
) -> io::Result<()> {
    let Provider { choices, examined, .. } = provider;
    let product = choices.product.name();
    writeln!(out, "\n{HEAD}{product}{HEAD:#} at {}", printable(&choices.issuer))?;
    if examined.section.findings.iter().all(|finding| finding.outcome == Outcome::Pass) {
        writeln!(
            out,
            "  {GOOD}ready{GOOD:#}: users can log in with client {:?}",
            printable(&choices.client_id)
        )?;
    } else {
        writeln!(out, "  still to do at the provider:")?;
        faults(examined, out)?;
    }
    let advice = token_advice(
        choices.product,
        &choices.client_id,
        &choices.audience(),
        choices.groups_claim(examined.document.as_ref().unwrap_or(&Value::Null)),
    );
    writeln!(out, "\n{HEAD}What its tokens need{HEAD:#} (the last command below checks it):")?;
    for (name, text) in [("audience", advice.audience), ("groups", advice.groups)] {
        writeln!(out, "  {name:<10}  {}", lines::broken(&text, ADVICE_COLUMN))?;
    }
    if choices.runs == Runs::InCluster {
        writeln!(
            out,
            "\n{HEAD}To fill in{HEAD:#}: the image in kubernetes.yaml, and in the gateway's file \
             the host name and its certificate"
        )?;
    }
    writeln!(out, "\n{HEAD}Next steps:{HEAD:#}")?;
    commands(choices, gateway, targets).iter().try_for_each(|line| writeln!(out, "  {line}"))
}

fn commands(choices: &Choices, gateway: Option<Gateway>, targets: &[&PathBuf]) -> Vec<String> {
    let quoted = |text: &str| {
        let plain =
            text.chars().all(|char| char.is_ascii_alphanumeric() || "-_./:@%+=".contains(char));
        if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    let names: Vec<_> = targets.iter().map(|file| quoted(&file.display().to_string())).collect();
    let [config, side @ ..] = names.as_slice() else { return Vec::new() };
    let mut lines = Vec::new();
    match gateway {
        None => lines.push(format!("doorward serve --config {config}")),
        Some(Gateway::Envoy) => {
            lines.push(format!("doorward serve --config {config}"));
            lines.extend(side.iter().map(|file| format!("envoy -c {file}")));
        }
        Some(Gateway::Module) => {
            lines.push("make module".to_owned());
            lines.push(format!("doorward config check --module {config}"));
            let dir = "ENVOY_DYNAMIC_MODULES_SEARCH_PATH=target/release";
            lines.extend(side.iter().map(|file| format!("{dir} envoy -c {file}")));
        }
        Some(Gateway::Istio | Gateway::EnvoyGateway) => {
            let apply = |file: &String| {
                let verb =
                    if file.contains("istio-mesh") { "istioctl install" } else { "kubectl apply" };
                format!("{verb} -f {file}")
            };
            lines.extend(side.iter().map(apply));
        }
    }
    if !side.is_empty() {
        let files: Vec<_> = side
            .iter()
            .filter(|file| !file.contains("kubernetes.yaml"))
            .map(|file| format!("--envoy {file}"))
            .collect();
        lines.push(format!("doorward doctor --config {config} {}", files.join(" ")));
    }
    let login =
        format!("--issuer {} --client-id {}", quoted(&choices.issuer), quoted(&choices.client_id));
    lines.push(if choices.runs == Runs::InCluster {
        format!("doorward auth login {login}")
    } else {
        let port = if choices.runs == Runs::InsideEnvoy { 10000 } else { 8181 };
        format!("doorward auth login http://127.0.0.1:{port}")
    });
    if matches!(gateway, Some(Gateway::Envoy | Gateway::Module)) {
        lines.push(
            "curl -H \"Authorization: Bearer $(doorward auth token)\" http://127.0.0.1:10000/"
                .to_owned(),
        );
    }
    lines.push(format!("doorward doctor --config {config} --logged-in"));
    lines
}

/// What is not as it should be, and how to put it right.
pub(super) fn faults(examined: &Examined, out: &mut dyn Write) -> io::Result<()> {
    let faults =
        examined.section.findings.iter().filter(|finding| finding.outcome != Outcome::Pass);
    faults.into_iter().try_for_each(|finding| lines::check(out, WORD, finding))
}

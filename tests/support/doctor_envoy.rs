//! What the doctor says of a configuration, and of one with a single fault in it.

use doorward::config::Settings;
use doorward::doctor::envoy::examine;
use doorward::doctor::{Finding, Outcome};

use super::tools;

/// The line of the files in `envoy/` by which Doorward sees every spelling of a trusted name.
pub const ALL_SPELLINGS: &str = "- safe_regex: { regex: \"(?i)x[^a-z0-9]+nmp.*\" }";

pub fn findings(text: &str) -> Vec<Finding> {
    findings_with("auth: {oidc: {issuer: https://idp.example, client_id: nmp}}", text)
}

fn findings_with(config: &str, text: &str) -> Vec<Finding> {
    let settings = Settings::from_yaml("test", config).unwrap();
    let sections = examine("file", text, &settings.headers, &settings);
    let sections = sections.unwrap_or_else(|error| panic!("{error}"));
    sections.into_iter().flat_map(|section| section.findings).collect()
}

/// What is not as it should be.
pub fn faults(text: &str) -> Vec<(&'static str, Outcome, String)> {
    odd(findings(text))
}

/// The same, where Doorward has this configuration.
pub fn faults_with(config: &str, text: &str) -> Vec<(&'static str, Outcome, String)> {
    odd(findings_with(config, text))
}

fn odd(findings: Vec<Finding>) -> Vec<(&'static str, Outcome, String)> {
    let odd = findings.into_iter().filter(|finding| finding.outcome != Outcome::Pass);
    odd.map(|finding| {
        assert!(finding.remedy.is_some(), "{finding:?}");
        (finding.check, finding.outcome, finding.found)
    })
    .collect()
}

/// Puts `fault` in the place of `sound`, and expects that one check, and where it stands.
pub fn one_fault(file: &str, cases: &[(&str, &str, &str, &str)]) {
    let sound_text = tools::file(&format!("envoy/{file}"));
    for (sound, fault, check, place) in cases {
        assert!(sound_text.contains(sound), "{file} has no {sound:?}");
        let found = faults(&sound_text.replacen(sound, fault, 1));
        let names: Vec<_> = found.iter().map(|(name, _, _)| *name).collect();
        assert_eq!(names, [*check], "{file}: {sound:?} → {fault:?}: {found:?}");
        assert!(found[0].2.contains(place), "{place} is not in {:?}", found[0].2);
    }
}

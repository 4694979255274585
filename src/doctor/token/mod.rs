//! One access token examined: the steps of `explain`, and beside them what is known of its provider.
//!
//! The engine decides. Where it refuses, it is asked again without the check that refused, so that
//! everything that is wrong shows at once and not one thing after the other.
//!
//! | file | holds |
//! |---|---|
//! | `trial` | the token, and the settings without the checks that have refused it |
//! | `remarks` | what passes, and people should know all the same |
//! | `kind` | a person's token, an application's, or one that only looks like an access token |

mod kind;
mod remarks;
#[cfg(test)]
mod tests;
mod trial;

use std::sync::Arc;

use doorward_core::clock::UnixTime;
use doorward_core::keys::KeySet;
use strum::IntoEnumIterator as _;

use self::trial::{Failed, Trial};
use super::report::{Finding, Outcome, Section};
use crate::config::Settings;
use crate::explain::{Check, Evidence};
use crate::printable::printable;
use crate::product::Product;
use crate::token_parts::TokenParts;

/// What was learned of an issuer that a token may be from.
#[derive(Clone, Debug)]
pub struct KnownIssuer {
    /// What product it is.
    pub product: Product,
    /// The client that people log in with, when one is configured.
    pub client: Option<String>,
    /// Its keys, when they could be had.
    pub keys: Option<Arc<KeySet>>,
}

/// Examines a token. `known` has the issuers of the settings, in their order. No I/O; the token
/// itself is never shown, its claims are.
#[must_use]
pub fn examine_token(
    token: &str,
    settings: &Settings,
    known: &[KnownIssuer],
    now: UnixTime,
) -> Section {
    let mut section = Section::new("token");
    if let Some(issuer) = issuer_of_opaque(token, settings) {
        let found =
            format!("a token that is no JWT: only {issuer} can read it, and was not asked here");
        let finding = Finding::warn(Check::Status.name(), printable(&found), ASK_BY_EXPLAIN);
        section.findings.push(finding);
        return section;
    }
    let mut trial = Trial::new(token, settings, known, now);
    let mut done = Check::Route;
    while let Some(failed) =
        trial.decide(|evidence| add_steps(evidence, done, &trial, &mut section.findings))
        && trial.look_past(&failed)
    {
        done = failed.check;
    }
    // Where another token has to be sent, it does not matter what else is wrong with this one.
    let is_mistaken =
        |last: &mut Finding| last.check == Check::Kind.name() && last.outcome == Outcome::Fail;
    if let Some(mistaken) = section.findings.pop_if(is_mistaken) {
        section.findings.retain(|finding| finding.outcome != Outcome::Fail);
        section.findings.push(mistaken);
    } else if trial.is_asked_about() {
        let found = "not asked here: the token counts only while it is called active";
        section.findings.push(Finding::warn(Check::Status.name(), found, ASK_BY_EXPLAIN));
    }
    section
}

const ASK_BY_EXPLAIN: &str = "`doorward explain` asks, and says what a server would decide";

/// The issuer whose token this is, where only that can read it.
fn issuer_of_opaque<'s>(token: &str, settings: &'s Settings) -> Option<&'s str> {
    let issuer = settings.issuers.iter().find(|issuer| issuer.opaque_prefix.is_some())?;
    let is_its = issuer.opaque_prefix.as_ref().is_some_and(|prefix| token.starts_with(prefix));
    let is_opaque = TokenParts::of(token.as_bytes()).header.is_none();
    (is_its && is_opaque).then_some(&issuer.token.issuer)
}

/// Adds the steps behind `done`, up to the one that fails; that one is returned where the rest
/// matters.
fn add_steps(
    evidence: &Evidence<'_>,
    done: Check,
    trial: &Trial<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Failed> {
    let steps = evidence.steps();
    for check in Check::iter().filter(|check| *check > done && trial.tells(*check)) {
        let step = steps.iter().find(|step| step.check == check.name());
        let finding = match step {
            Some(step) if step.outcome == Outcome::Fail => {
                let failed = Failed::new(check, evidence)?;
                if check != Check::Key || trial.has_keys(&failed) {
                    let found = format!("{}, expected {}", step.found, step.expected);
                    let remedy = step.remedy.as_deref().unwrap_or_default();
                    findings.push(Finding::fail(check.name(), found, remedy));
                }
                return Some(failed);
            }
            Some(step) if step.outcome == Outcome::NotReached => return None,
            // Of a request that was made up here this says nothing.
            Some(_) if check == Check::Credentials => continue,
            Some(_) | None => {
                let found = step.map_or("", |step| &step.found);
                match remarks::on(check, found, evidence) {
                    Some(remark) => remark,
                    None if step.is_some() => Finding::pass(check.name(), found),
                    None => continue,
                }
            }
        };
        let fails = finding.outcome == Outcome::Fail;
        findings.push(finding);
        if fails {
            return None;
        }
    }
    None
}

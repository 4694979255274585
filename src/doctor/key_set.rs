//! Can this key set verify anything, and is it sound?

use std::collections::BTreeMap;

use doorward_core::keys::{
    AlgorithmSet, KeySet, LeftOut, MAX_TRIED_KEYS, UnusableKey, VerificationKey,
};

use super::report::Finding;
use crate::advice::keys as remedies;
use crate::discovery::EmptySet;
use crate::product::Product;

/// Examines a key set. `announced` is what discovery says ID tokens are signed with.
pub(super) fn examine(
    set: &KeySet,
    accepted: AlgorithmSet,
    announced: Option<&[String]>,
    provider: Product,
    empty_set: EmptySet,
) -> Vec<Finding> {
    let symmetric_only = announced
        .is_some_and(|names| !names.is_empty() && names.iter().all(|name| is_symmetric(name)));
    let mut findings = Vec::new();
    if set.keys().is_empty() {
        findings.push(nothing_usable(set, symmetric_only, provider, empty_set));
        return findings;
    }
    findings.push(usable(set));
    findings.push(key_ids(set));
    findings.extend(set.left_out().iter().filter_map(left_out));
    findings.push(algorithms(set, accepted, symmetric_only, provider));
    findings
}

fn is_symmetric(algorithm: &str) -> bool {
    algorithm.starts_with("HS")
}

fn nothing_usable(
    set: &KeySet,
    symmetric_only: bool,
    provider: Product,
    empty_set: EmptySet,
) -> Finding {
    let why = match (set.left_out(), symmetric_only) {
        (_, true) => {
            "; it announces only HS256 and similar, which use a secret shared with each \
                      client"
        }
        ([], false) => "; it is empty",
        ([..], false) => "",
    };
    let mut found = format!("no key that can verify a signature{why}");
    for left_out in set.left_out() {
        found.push_str(&format!("; {}: {}", name(left_out), left_out.reason));
    }
    found.push_str(match empty_set {
        EmptySet::Withdraw { .. } => {
            "; a server that sees this for a minute treats all keys of the issuer as withdrawn \
             and denies its tokens (unknown_key)"
        }
        EmptySet::Keep => {
            "; servers keep using the last keys for keys.max_stale (keys.empty_set: keep)"
        }
    });
    Finding::fail("key_set", found, remedies::NO_PUBLIC_KEY.of(provider))
}

fn usable(set: &KeySet) -> Finding {
    let kinds: Vec<_> = set.keys().iter().map(kind).collect();
    let aside = set.left_out().iter().filter(|it| is_of_no_concern(&it.reason)).count();
    let aside = match aside {
        0 => String::new(),
        1 => "; 1 more is not usable for verification".to_owned(),
        more => format!("; {more} more are not usable for verification"),
    };
    let count = set.keys().len();
    let plural = if count == 1 { "key" } else { "keys" };
    Finding::pass("key_set", format!("{count} {plural}: {}{aside}", kinds.join(", ")))
}

/// `RSA of 2048 bits (RS256)`; a key without `alg` serves its family.
fn kind(key: &VerificationKey) -> String {
    let served: Vec<_> = key.algorithms().iter().collect();
    match served.as_slice() {
        [one] => format!("{} ({one})", key.kind()),
        _ => key.kind().to_string(),
    }
}

/// Whether the token's `kid` leads to one key.
fn key_ids(set: &KeySet) -> Finding {
    let unnamed = set.keys().iter().filter(|key| key.kid().is_none()).count();
    if unnamed > 0 && set.keys().len() > 1 {
        return Finding::warn(
            "key_ids",
            format!("{unnamed} of {} keys have no kid", set.keys().len()),
            format!(
                "have the provider set kid: at most {MAX_TRIED_KEYS} keys without one are tried, \
                 and a new kid is what shows at once that keys have rotated"
            ),
        );
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for kid in set.keys().iter().filter_map(|key| key.kid()) {
        *seen.entry(kid).or_default() += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).map(|(kid, _)| *kid).collect();
    // Azure publishes a key once for each issuer that it may sign for.
    let by_issuer = set.keys().iter().any(|key| key.issuer().is_some());
    if !twice.is_empty() && !by_issuer {
        return Finding::warn(
            "key_ids",
            format!("several keys share a kid: {}", twice.join(", ")),
            "have the provider give each key its own kid (RFC 7517 §4.5)",
        );
    }
    let names: Vec<_> = seen.keys().take(4).copied().collect();
    let more = if seen.len() > names.len() { ", …" } else { "" };
    match names.as_slice() {
        [] => Finding::pass("key_ids", "the only key has no kid, and needs none"),
        names => Finding::pass("key_ids", format!("{}{more}", names.join(", "))),
    }
}

/// Keys for other purposes belong into a key set; broken and weak ones do not.
fn left_out(left_out: &LeftOut) -> Option<Finding> {
    if is_of_no_concern(&left_out.reason) {
        return None;
    }
    let found = format!("{} is left out: {}", name(left_out), left_out.reason);
    let is_grave = matches!(left_out.reason, UnusableKey::Symmetric | UnusableKey::WeakPoint);
    let remedy = match left_out.reason {
        UnusableKey::Symmetric => {
            "remove and replace it at the provider: a published secret is no secret"
        }
        UnusableKey::RsaSize(_) => {
            "replace it at the provider by a key of 2048 bits or more (RFC 7518 §3.3): tokens \
             signed with it are denied"
        }
        UnusableKey::WeakPoint => "replace it at the provider: a signature by it proves nothing",
        UnusableKey::RsaExponent => {
            "replace it at the provider by a key with the exponent 65537: tokens signed with it \
             are denied"
        }
        UnusableKey::NotAnObject | UnusableKey::Unreadable | UnusableKey::Missing(_) => MALFORMED,
        UnusableKey::Malformed(_) | UnusableKey::InvalidNumbers => MALFORMED,
        UnusableKey::UnknownType | UnusableKey::UnknownCurve => MALFORMED,
        UnusableKey::UnknownAlgorithm | UnusableKey::WrongType => MALFORMED,
        UnusableKey::NotForSignatures => MALFORMED,
    };
    let make = if is_grave { Finding::fail } else { Finding::warn };
    Some(make("unusable_key", found, remedy))
}

const MALFORMED: &str =
    "tokens signed with it are denied: have the provider publish it as RFC 7517 says";

fn is_of_no_concern(reason: &UnusableKey) -> bool {
    matches!(
        reason,
        UnusableKey::NotForSignatures
            | UnusableKey::UnknownCurve
            | UnusableKey::UnknownType
            | UnusableKey::UnknownAlgorithm
    )
}

fn name(left_out: &LeftOut) -> String {
    match &left_out.kid {
        Some(kid) => format!("key {kid:?}"),
        None => format!("key {} of the set", left_out.position + 1),
    }
}

fn algorithms(
    set: &KeySet,
    accepted: AlgorithmSet,
    symmetric_only: bool,
    provider: Product,
) -> Finding {
    if symmetric_only {
        return Finding::fail(
            "algorithms",
            "it announces only HS256 and similar, which use a secret shared with each client; its \
             published keys do not sign tokens",
            remedies::NO_PUBLIC_KEY.of(provider),
        );
    }
    let served: AlgorithmSet =
        set.keys().iter().flat_map(|key| key.algorithms().iter().collect::<Vec<_>>()).collect();
    let both: AlgorithmSet = served.iter().filter(|one| accepted.contains(*one)).collect();
    if both.is_empty() {
        return Finding::fail(
            "algorithms",
            format!("its keys are for {}, but {} is configured", list(served), list(accepted)),
            format!("add one of these to this issuer's algorithms: {}", list(served)),
        );
    }
    Finding::pass("algorithms", list(both))
}

fn list(algorithms: AlgorithmSet) -> String {
    algorithms.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ")
}

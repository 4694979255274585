//! The key somebody may have meant: a typo's neighbour, or a key that stands elsewhere.

use super::key_path::KeyPath;
use super::reader::Reader;
use super::shape::{Shape, keys};

/// How alike two names must be to be taken for each other.
const ALIKE: f64 = 0.55;
/// How alike the names of two variables must be.
const ALIKE_VARIABLES: f64 = 0.7;
/// How alike a name must be to a key of quite another section.
const VERY_ALIKE: f64 = 0.85;

/// The key most like the one at `unknown`, which is none, among those that `reader` acts on. A
/// neighbour is preferred unless a key elsewhere fits better.
pub(super) fn nearest(unknown: &KeyPath, reader: Reader) -> Option<KeyPath> {
    let (mut path, mut section) = (KeyPath::default(), reader.shape());
    let mut steps = unknown.steps().iter();
    let name = loop {
        let step = steps.next()?;
        section = match (section, section.key(step)) {
            (_, Some(key)) => &key.shape,
            (Shape::List(item) | Shape::Table(item), None) => item,
            (_, None) => break step,
        };
        path = path.join(step);
    };
    // `doorward.mode`, as Envoy's `context_extensions` have it.
    let name = name.rsplit('.').next().unwrap_or(name);
    let neighbours = section.keys().iter().map(|key| (path.join(&key.name), &key.name));
    let neighbours = neighbours.filter(|(path, _)| reader.serves(path));
    let others = reader.keys().map(|(path, key)| (path, &key.name));
    let scored = |(path, other): (KeyPath, &String)| (likeness(name, other), path);
    match (likest(neighbours.map(scored), ALIKE), likest(others.map(scored), VERY_ALIKE)) {
        (Some((near, key)), Some((far, _))) if near >= far => Some(key),
        (near, far) => far.or(near).map(|(_, key)| key),
    }
}

/// The environment variable most like `name`, both without their prefix.
pub(super) fn nearest_variable(name: &str) -> Option<KeyPath> {
    let scored =
        keys().iter().map(|(path, _)| (likeness(name, &path.steps().join("__")), path.clone()));
    likest(scored, ALIKE_VARIABLES).map(|(_, key)| key)
}

/// The key whose variable has the letters of `name`, and other underscores.
pub(super) fn same_letters(name: &str) -> Option<KeyPath> {
    let letters = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let is_same = |path: &KeyPath| letters(&path.steps().join("")) == letters(name);
    keys().iter().map(|(path, _)| path).find(|path| is_same(path)).cloned()
}

/// The likest key, when it is as like as `least`; the first of equals, since `auth.oidc` is
/// declared before everything like it.
fn likest(scored: impl Iterator<Item = (f64, KeyPath)>, least: f64) -> Option<(f64, KeyPath)> {
    scored
        .filter(|(score, _)| *score >= least)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
}

/// From 0, nothing in common, to 1, the same but for case and separators.
fn likeness(one: &str, other: &str) -> f64 {
    let plain = |name: &str| {
        name.replace(['_', '-', ' '], "").to_lowercase().chars().take(80).collect::<String>()
    };
    strsim::normalized_damerau_levenshtein(&plain(one), &plain(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggestion(path: &[&str], name: &str) -> Option<String> {
        let section = path.iter().fold(KeyPath::default(), |path, step| path.join(step));
        nearest(&section.join(name), Reader::Server).map(|key| key.to_string())
    }

    #[test]
    fn a_typo_finds_its_neighbour_and_a_stray_key_its_home() {
        let expect = |path: &[&str], name, key: &str| {
            assert_eq!(suggestion(path, name).as_deref(), Some(key), "{name}");
        };
        expect(&["auth", "oidc"], "isuer", "auth.oidc.issuer");
        expect(&["auth", "oidc"], "audiences", "auth.oidc.audience");
        expect(&["auth", "oidc"], "jwks_url", "auth.oidc.jwks_uri");
        expect(&["auth", "oidc"], "clientId", "auth.oidc.client_id");
        expect(&["server"], "grcp", "server.grpc");
        expect(&["auth"], "client_id", "auth.oidc.client_id");
        expect(&[], "issuer", "auth.oidc.issuer");
        expect(&["auth"], "trusted_prefix", "headers.trusted_prefix");
        assert_eq!(suggestion(&["auth"], "policy_decision_point_provider"), None);
    }
}

//! The key somebody may have meant: a typo's neighbour, or a key that stands elsewhere.

use super::key_path::KeyPath;
use super::shape::{Key, Shape};

/// How alike two names must be to be taken for each other.
const ALIKE: f64 = 0.55;
/// How alike a name must be to a key of quite another section.
const VERY_ALIKE: f64 = 0.85;

/// The key most like `name`, which stands in the section `section` at `path` but is no
/// key of it. A neighbour is preferred unless a key elsewhere fits better.
pub(super) fn nearest(path: &KeyPath, section: &Shape, name: &str) -> Option<KeyPath> {
    let neighbour = section
        .keys()
        .iter()
        .map(|key| (likeness(name, &key.name), path.join(&key.name)))
        .filter(|(score, _)| *score >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut elsewhere = None;
    search(Shape::of_config(), &KeyPath::default(), &mut |found, key| {
        let score = likeness(name, &key.name);
        // The first of equals: `auth.oidc` is declared before everything like it.
        if score >= VERY_ALIKE && elsewhere.as_ref().is_none_or(|(best, _)| score > *best) {
            elsewhere = Some((score, found));
        }
    });
    match (neighbour, elsewhere) {
        (Some((near, key)), Some((far, _))) if near >= far => Some(key),
        (_, Some((_, key))) | (Some((_, key)), None) => Some(key),
        (None, None) => None,
    }
}

/// The environment variable most like `name`, both without their prefix.
pub(super) fn nearest_variable(name: &str) -> Option<KeyPath> {
    let mut best = None;
    search(Shape::of_config(), &KeyPath::default(), &mut |path, _| {
        let score = likeness(name, &path.steps().join("__"));
        if score >= 0.7 && best.as_ref().is_none_or(|(highest, _)| score > *highest) {
            best = Some((score, path));
        }
    });
    best.map(|(_, path)| path)
}

/// The key whose variable has the letters of `name`, and other underscores.
pub(super) fn same_letters(name: &str) -> Option<KeyPath> {
    let letters = |name: &str| name.replace('_', "").to_ascii_lowercase();
    let mut same = None;
    search(Shape::of_config(), &KeyPath::default(), &mut |path, _| {
        if same.is_none() && letters(&path.steps().join("")) == letters(name) {
            same = Some(path);
        }
    });
    same
}

/// Every key, outermost first within its section.
fn search(shape: &Shape, path: &KeyPath, found: &mut impl FnMut(KeyPath, &Key)) {
    for key in shape.keys() {
        found(path.join(&key.name), key);
    }
    for key in shape.keys() {
        search(&key.shape, &path.join(&key.name), found);
    }
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
        let mut section = Shape::of_config();
        let mut key = KeyPath::default();
        for step in path {
            section = &section.key(step).unwrap().shape;
            key = key.join(step);
        }
        nearest(&key, section, name).map(|key| key.to_string())
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

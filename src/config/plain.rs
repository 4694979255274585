//! What no text of a configuration may look like: the one rule for every key, from every layer.
//!
//! Nearly all of them are compared with something, to the byte: a quote or a line break that came
//! along from a shell, a template or a mounted file would lock everybody out without a word.

use super::bad_value::BadValue;
use crate::printable::is_unprintable;
use crate::redact::is_key_material;

/// Quotes that shells, templates and word processors leave around a value.
const QUOTES: [char; 9] = ['"', '\'', '`', '“', '”', '„', '‘', '’', '´'];

/// Refuses what can never match: quotes around a text, spaces around it, characters in it that
/// cannot be seen, a list written as one text; and what is a secret, and belongs into a file.
pub(super) fn check(text: &str) -> Result<(), BadValue> {
    let bare = text.trim();
    if is_key_material(text) {
        Err(BadValue::KeyMaterial)
    } else if text.chars().any(is_unprintable) {
        Err(BadValue::Unprintable(text.into()))
    } else if is_list(bare) {
        Err(BadValue::ListInText(text.into()))
    } else if bare.starts_with(QUOTES) || bare.ends_with(QUOTES) {
        let without = bare.trim_matches(QUOTES).trim();
        Err(BadValue::Quoted { found: text.into(), without: without.into() })
    } else if bare.len() < text.len() && !bare.is_empty() {
        Err(BadValue::Blanks(text.into()))
    } else {
        Ok(())
    }
}

/// The same of a text that is read word by word.
pub(super) fn check_words(text: &str) -> Result<(), BadValue> {
    if is_key_material(text) {
        return Err(BadValue::KeyMaterial);
    }
    text.split_whitespace().try_for_each(check)
}

/// `["a","b",]`, `[a,b]`, `["a"`: JSON that is none, or that nobody reads as such.
fn is_list(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('[') else { return false };
    text.ends_with(']') || inside.trim_start().starts_with(QUOTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_never_match_is_refused_and_said() {
        for (text, said) in [
            ("\"nmp\"", "`\"nmp\"` includes quotes, which are compared too: write nmp"),
            ("'nmp", "write nmp"),
            ("“nmp”", "write nmp"),
            (" nmp", "begins or ends with a space"),
            ("nmp\t", "`nmp\\u{9}` contains a line break or another invisible character"),
            ("roles\n", "`roles\\u{a}` contains a line break"),
            ("a\u{200b}b", "invisible character"),
            ("[\"nmp\",\"x\",]", "is a list written as one string"),
            ("[\"nmp\"", "is a list written as one string"),
            ("[nmp,x]", "write a list, in a variable as a,b or as JSON: [\"a\",\"b\"]"),
            ("-----BEGIN CERTIFICATE-----", "contains a key, a certificate or a token itself"),
        ] {
            let error = check(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
        for good in ["", "nmp", "Domain Users", "O'Brien", "urn:a:b", "a[1]", "a \"b\" c"] {
            assert!(check(good).is_ok(), "{good}");
        }
        assert!(check_words(" openid\n profile ").is_ok());
        assert!(check_words("\"openid profile\"").is_err());
    }
}

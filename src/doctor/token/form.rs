//! Is it a JWT at all? If not, what it is instead.

use doorward_core::bearer::BearerToken;
use doorward_core::token::{CompactJws, TokenFault};
use serde_json::Value;

use super::super::report::Finding;
use crate::advice::token as remedies;
use crate::product::Product;

/// Header and claims, not believed.
pub(super) struct Parts<'a> {
    pub(super) jws: &'a CompactJws<'a>,
    pub(super) header: Value,
    pub(super) claims: Value,
}

pub(super) fn take_apart(
    token: &str,
    max_bytes: usize,
    provider: Product,
) -> Result<CompactJws<'_>, Finding> {
    let fail = |found: String, remedy: String| Err(Finding::fail("token_form", found, remedy));
    if token.is_empty() {
        return fail("there is no token".into(), "--token - reads it from standard input".into());
    }
    if token.get(..7).is_some_and(|front| front.eq_ignore_ascii_case("bearer ")) {
        let remedy = "pass only the token: the word Bearer belongs to the header";
        return fail("it begins with the word Bearer".into(), remedy.into());
    }
    let dots = token.bytes().filter(|byte| *byte == b'.').count();
    if dots == 4 {
        let found = "an encrypted token (a JWE, five parts)".to_owned();
        return fail(found, remedies::encrypted(provider));
    }
    if dots != 2 {
        let length = token.len();
        let found = format!("an opaque token ({length} bytes, not three parts): not a JWT");
        return fail(found, remedies::opaque(provider));
    }
    CompactJws::decode(BearerToken::new(token.as_bytes()), max_bytes).map_err(|fault| {
        let remedy = if fault == TokenFault::TooLong {
            "raise token.max_token_bytes, or have the provider put less into it (groups, roles)"
        } else {
            "copy the whole token, without line breaks or quotes"
        };
        Finding::fail("token_form", fault.to_string(), remedy)
    })
}

impl<'a> Parts<'a> {
    /// Reads the JSON of header and claims.
    pub(super) fn read(jws: &'a CompactJws<'a>) -> Result<Self, Finding> {
        let object = |json: &[u8], fault: TokenFault| {
            serde_json::from_slice(json).ok().filter(Value::is_object).ok_or_else(|| {
                let remedy = "copy the whole token, without line breaks or quotes";
                Finding::fail("token_form", fault.to_string(), remedy)
            })
        };
        Ok(Self {
            jws,
            header: object(jws.header(), TokenFault::HeaderNotAnObject)?,
            claims: object(jws.claims(), TokenFault::ClaimsNotAnObject)?,
        })
    }

    /// `a JWT signed with RS256, key "k1", with the claims aud, exp, …`.
    pub(super) fn description(&self) -> String {
        let text = |name: &str| self.header.get(name).and_then(Value::as_str);
        let key = text("kid").map(|kid| format!(", key {kid:?}")).unwrap_or_default();
        let claims = self.claims.as_object().into_iter().flatten();
        let names: Vec<_> = claims.map(|(name, _)| name.as_str()).collect();
        let algorithm = text("alg").unwrap_or("nothing");
        format!("a JWT signed with {algorithm}{key}; claims: {}", names.join(", "))
    }
}

/// A text of the token's on the screen: whole, unless it is long.
pub(super) fn shown(text: &str) -> String {
    const LONG: usize = 80;
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shown("é"), "é");
        assert_eq!(shown(&"é".repeat(81)), format!("{}…", "é".repeat(80)));
    }
}

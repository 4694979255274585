//! A token taken apart leniently: whatever can be read of it is, however broken the
//! rest. For telling, never for deciding: nothing in here is believed.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use doorward_core::clock::UnixTime;
use doorward_core::identity::ClaimPath;
use doorward_core::token::{CLIENT_CLAIMS, Claims, Sign, TokenFault, TokenKind, numeric_date};
use serde_json::{Map, Value};

/// More parts than these are not looked at.
const MOST_PARTS: usize = 6;

/// How Google's access tokens begin, however many parts they have.
const GOOGLE: &[u8] = b"ya29.";

/// Microsoft Graph, by the names that its tokens carry in `aud`.
const MICROSOFT_GRAPH: [&str; 5] = [
    "00000003-0000-0000-c000-000000000000",
    "00000002-0000-0000-c000-000000000000",
    "https://graph.microsoft.com",
    "https://graph.microsoft.us",
    "https://graph.windows.net",
];

/// What can be read of a token without verifying it: header, claims and their dates, never the
/// signature.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenParts {
    /// Its length in bytes.
    pub(crate) bytes: usize,
    /// How many parts there are between dots, at most [`MOST_PARTS`].
    pub(crate) parts: usize,
    /// The first part, when it is a JSON object.
    pub(crate) header: Option<Map<String, Value>>,
    /// The second part, when it is a JSON object.
    pub(crate) claims: Option<Map<String, Value>>,
    /// Whether it is an access token of Google's, which is for Google alone.
    pub(crate) of_google: bool,
    /// What is wrong with its form, the first thing first.
    pub(crate) flaw: Option<String>,
}
impl TokenParts {
    /// Reads what can be read.
    pub(crate) fn of(token: &[u8]) -> Self {
        let parts: Vec<&[u8]> = token.splitn(MOST_PARTS, |byte| *byte == b'.').collect();
        let object = |index: usize| {
            let decoded = decoded(parts.get(index).copied()?).0?;
            match serde_json::from_slice(&decoded) {
                Ok(Value::Object(members)) => Some(members),
                Ok(_) | Err(_) => None,
            }
        };
        Self {
            bytes: token.len(),
            parts: parts.len(),
            header: object(0),
            claims: (parts.len() == 3).then(|| object(1)).flatten(),
            of_google: token.starts_with(GOOGLE),
            flaw: flaw(token, &parts),
        }
    }

    /// A member of the header.
    pub(crate) fn header(&self, name: &str) -> Option<&Value> {
        self.header.as_ref()?.get(name)
    }

    /// Whether the header is one but for `alg`.
    pub(crate) fn lacks_algorithm(&self) -> bool {
        self.header.as_ref().is_some_and(|header| !header.contains_key("alg"))
    }

    /// A claim; `null` counts as absent, as everywhere.
    pub(crate) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.as_ref()?.get(name).filter(|value| !value.is_null())
    }

    /// A claim that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.claim(name)?.as_str()
    }

    /// What a path leads to.
    pub(crate) fn at(&self, path: &ClaimPath) -> Option<&Value> {
        self.claim(path.claim())?.pointer(path.rest()).filter(|value| !value.is_null())
    }

    /// A claim that is a date.
    pub(crate) fn date(&self, name: &str) -> Option<UnixTime> {
        numeric_date(&self.claims.as_ref()?.get(name)?.to_string()).ok()
    }

    /// What kind of token it says it is, or looks like.
    pub(crate) fn kind(&self) -> TokenKind {
        let typ = self.header("typ").and_then(Value::as_str);
        TokenKind::of(typ, |name| Sign::of(self.claim(name)?))
    }

    /// Whether it is for Microsoft Graph, which signs over a hash of the header's `nonce`: nobody
    /// else can verify that.
    pub(crate) fn is_for_microsoft_graph(&self) -> bool {
        let audience = self.text("aud").map(|audience| audience.trim_end_matches('/'));
        self.header("nonce").is_some() || audience.is_some_and(|it| MICROSOFT_GRAPH.contains(&it))
    }

    /// The client that it was issued to.
    pub(crate) fn client(&self) -> Option<&str> {
        CLIENT_CLAIMS.into_iter().find_map(|name| self.text(name))
    }
}

/// A part decoded, and whether padding or the other alphabet had to be forgiven.
fn decoded(part: &[u8]) -> (Option<Vec<u8>>, bool) {
    if let Ok(bytes) = URL_SAFE_NO_PAD.decode(part) {
        return (Some(bytes), false);
    }
    let replaced: Vec<u8> = part
        .iter()
        .map(|byte| match byte {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        })
        .collect();
    let lenient = URL_SAFE.decode(&replaced).or_else(|_| URL_SAFE_NO_PAD.decode(&replaced));
    (lenient.ok(), true)
}

fn flaw(token: &[u8], parts: &[&[u8]]) -> Option<String> {
    let bytes = token.len();
    if token.iter().any(u8::is_ascii_whitespace) {
        return Some("a line break or white space inside: was the token line-wrapped?".to_owned());
    }
    if token.starts_with(GOOGLE) {
        return Some(
            "an access token of Google's (`ya29.…`), which only Google can read".to_owned(),
        );
    }
    let flaw = match parts {
        [_] => format!(
            "{bytes} bytes without a dot: an opaque token, which only its issuer understands, or \
             not a token"
        ),
        [header, _, _, _, _] if is_encrypted(header) => {
            "five parts: an encrypted token (JWE), which only its recipient can read".to_owned()
        }
        [header, claims, signature] => {
            let named = [("header", header), ("claims", claims), ("signature", signature)];
            return named.into_iter().find_map(|(name, part)| part_flaw(name, part));
        }
        parts => {
            let more = if parts.len() >= MOST_PARTS { " or more" } else { "" };
            format!("{}{more} parts between dots", parts.len())
        }
    };
    Some(flaw)
}

fn part_flaw(name: &str, part: &[u8]) -> Option<String> {
    let (bytes, forgiven) = decoded(part);
    let Some(bytes) = bytes else { return Some(format!("the {name} part is not base64url")) };
    if forgiven {
        return Some(format!(
            "the {name} part is base64 with padding or with `+` and `/`, not base64url"
        ));
    }
    if name == "signature" {
        return None;
    }
    match serde_json::from_slice::<Value>(&bytes) {
        Err(error) => Some(format!("the {name} part is not JSON: {error}")),
        Ok(Value::Object(_)) => match Claims::parse(&bytes) {
            Ok(_) => None,
            Err(TokenFault::NestedTooDeep) => {
                Some(format!("the JSON of the {name} part is nested too deep"))
            }
            Err(_) => Some(format!("the {name} part has a duplicate member")),
        },
        Ok(_) => Some(format!("the {name} part is JSON, but not an object")),
    }
}

fn is_encrypted(header: &[u8]) -> bool {
    decoded(header)
        .0
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .is_some_and(|header| header.get("enc").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", encode(header), encode(claims), encode("sig"))
    }

    #[test]
    fn flaws_are_named() {
        for (token, expected) in [
            ("abc".to_owned(), "opaque"),
            ("a.b".to_owned(), "2 parts"),
            ("ya29.a0AfH6SM".to_owned(), "of Google's"),
            ("ya29.c.b0Aa".to_owned(), "of Google's"),
            (".".repeat(9000), "6 or more parts"),
            (format!("{}.a.b.c.d", URL_SAFE_NO_PAD.encode(r#"{"enc":"A256GCM"}"#)), "JWE"),
            ("e30=.e30.c2ln".to_owned(), "padding"),
            ("!.e30.c2ln".to_owned(), "the header part is not base64url"),
            (token("{}", "[]"), "the claims part is JSON, but not an object"),
            (token("{", "{}"), "the header part is not JSON"),
            (token("{}", r#"{"a":1,"a":2}"#), "a duplicate member"),
        ] {
            let flaw = TokenParts::of(token.as_bytes()).flaw.unwrap();
            assert!(flaw.contains(expected), "{flaw} for {expected}");
        }
        let whole =
            TokenParts::of(token(r#"{"alg":"RS256"}"#, r#"{"sub":"a","x":null}"#).as_bytes());
        assert_eq!((whole.flaw.as_deref(), whole.text("sub")), (None, Some("a")));
        assert_eq!(whole.claim("x"), None);
    }
}

//! The claims of a token: one pass over the JSON, nothing built that nobody asks for.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fault::TokenFault;
use super::kind::{Sign, TokenKind};
use super::rules::ACCESS_KEY;
use crate::clock::UnixTime;

/// How deep arrays and objects may nest; real tokens need three levels.
const MAX_DEPTH: usize = 32;

/// The members of a claims object (RFC 7519 §4), by name; values stay JSON text until
/// they are asked for.
pub struct Claims<'j> {
    /// Sorted by [`place`](Member::place), no name twice.
    members: Vec<Member<'j>>,
}

struct Member<'j> {
    /// Of `name`: nearly always enough to compare.
    number: u64,
    name: Cow<'j, str>,
    value: &'j RawValue,
}

impl Member<'_> {
    fn place(&self) -> (u64, &str) {
        (self.number, &self.name)
    }
}

/// A number that tells most names apart: of their length, first and last bytes. To compare numbers
/// is quicker than texts, and a token has two dozen names of which three dozen are looked for.
#[inline]
fn number(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let ends = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(28)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
    } else {
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    ends ^ (bytes.len() as u64) << 56
}

impl<'j> Claims<'j> {
    /// Reads a claims object.
    ///
    /// # Errors
    /// Not a JSON object, nested too deep, or a member comes twice: RFC 7519 §4 lets a
    /// parser take the last one, and then another parser takes the first.
    pub fn parse(json: &'j [u8]) -> Result<Self, TokenFault> {
        check_depth(json)?;
        // Once for all of it, or each name and value would be looked at for itself.
        let json = std::str::from_utf8(json).map_err(|_| TokenFault::ClaimsNotAnObject)?;
        let Members(mut members) =
            serde_json::from_str(json).map_err(|_| TokenFault::ClaimsNotAnObject)?;
        members.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
        let repeated =
            members.windows(2).any(|pair| matches!(pair, [a, b] if a.place() == b.place()));
        if repeated { Err(TokenFault::ClaimsNotAnObject) } else { Ok(Self { members }) }
    }

    /// The JSON text of a member; `None` when it is absent or `null`.
    #[must_use]
    pub fn json(&self, name: &str) -> Option<&'j str> {
        self.member(name).filter(|json| *json != "null")
    }

    /// The JSON text of a member, `null` too.
    fn member(&self, name: &str) -> Option<&'j str> {
        let place = (number(name), name);
        let index = self.members.binary_search_by(|member| member.place().cmp(&place)).ok()?;
        self.members.get(index).map(|member| member.value.get())
    }

    /// The JSON text of what `pointer` (RFC 6901; empty: all of it) leads to inside a
    /// member; `None` when that is absent or `null`.
    #[must_use]
    pub fn json_at(&self, name: &str, pointer: &str) -> Option<&'j str> {
        let steps = pointer.split('/').skip(1);
        let json = steps.fold(self.json(name), |json, step| inside(json?, step));
        json.filter(|json| *json != "null")
    }

    /// A member as a tree; `None` when it is absent or `null`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        serde_json::from_str(self.json(name)?).ok()
    }

    /// A member that must be a string; `None` when it is absent or `null`.
    ///
    /// # Errors
    /// It has another type.
    pub fn string(&self, name: &str) -> Result<Option<Cow<'j, str>>, WrongType> {
        let Some(json) = self.json(name) else { return Ok(None) };
        let Text(text) = serde_json::from_str(json).map_err(|_| WrongType)?;
        Ok(Some(text))
    }

    /// A member that must be a `NumericDate` (RFC 7519 §2: seconds, perhaps with a
    /// fraction, which is cut off); `None` when it is absent. Here `null` is a wrong
    /// type: a date that is there and says nothing must not count as absent.
    ///
    /// # Errors
    /// It has another type, or is beyond what a number can be.
    pub fn numeric_date(&self, name: &str) -> Result<Option<UnixTime>, WrongType> {
        self.member(name).map(numeric_date).transpose()
    }

    /// What kind of token has these claims, and `typ` in its header; not yet believed.
    #[must_use]
    pub fn kind(&self, typ: Option<&str>) -> TokenKind {
        TokenKind::of(typ, |name| {
            let text = || self.string(name).ok().flatten().map(Sign::Text);
            self.json(name).map(|json| match json.as_bytes().first() {
                Some(b'{') => Sign::Object,
                Some(_) | None => text().unwrap_or(Sign::Value),
            })
        })
    }

    /// Whether they say of themselves that they are those of an [access key](ACCESS_KEY).
    #[must_use]
    pub fn is_access_key(&self) -> bool {
        let (name, value) = ACCESS_KEY;
        self.string(name).ok().flatten().is_some_and(|said| said == value)
    }

    /// The names of all members, in any order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.name.as_ref())
    }
}

/// A `NumericDate` (RFC 7519 §2) by its JSON text.
///
/// # Errors
/// It is no number, or beyond what a number can be.
pub fn numeric_date(json: &str) -> Result<UnixTime, WrongType> {
    if let Ok(seconds) = json.parse::<u64>() {
        return Ok(UnixTime(seconds));
    }
    // JSON numbers begin so; `inf` and `nan` would parse as floats too.
    if !json.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(WrongType);
    }
    let seconds: f64 = json.parse().map_err(|_| WrongType)?;
    if !seconds.is_finite() {
        return Err(WrongType);
    }
    // `as` saturates: a date before 1970 becomes 1970, one beyond u64 its end.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "see above")]
    Ok(UnixTime(seconds as u64))
}

/// The JSON text of one step of a pointer into a JSON text.
fn inside<'j>(json: &'j str, step: &str) -> Option<&'j str> {
    if json.starts_with('{') {
        let Members(members) = serde_json::from_str(json).ok()?;
        let step = step.replace("~1", "/").replace("~0", "~");
        let found = members.into_iter().rfind(|member| member.name == step);
        found.map(|member| member.value.get())
    } else {
        // RFC 6901 §4: an index has no leading zeros.
        let plain = step == "0" || step.starts_with(|digit: char| matches!(digit, '1'..='9'));
        let index: usize = step.parse().ok().filter(|_| plain)?;
        let items: Vec<&'j RawValue> = serde_json::from_str(json).ok()?;
        items.get(index).map(|value| value.get())
    }
}

/// A claim does not have the type its definition asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// Refuses JSON nested deeper than [`MAX_DEPTH`], whatever shape it is in otherwise.
pub(super) fn check_depth(json: &[u8]) -> Result<(), TokenFault> {
    // Counting openings is quick, and most tokens have too few to be deep. In pieces, so
    // that a byte is enough to count in: many of them fit into one machine word.
    let openings = json
        .chunks(usize::from(u8::MAX))
        .map(|piece| piece.iter().map(|byte| u8::from(matches!(byte, b'{' | b'['))).sum::<u8>());
    if openings.map(usize::from).sum::<usize>() <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(TokenFault::NestedTooDeep);
        }
    }
    Ok(())
}

struct Members<'j>(Vec<Member<'j>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a claims object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(24);
                while let Some((Text(name), value)) = map.next_entry()? {
                    members.push(Member { number: number(&name), name, value });
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A string, borrowed unless it has escapes.
#[derive(Deserialize)]
pub(super) struct Text<'j>(#[serde(borrow)] pub(super) Cow<'j, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_name_and_typed_on_request() {
        let json = br#"{"sub":"a\u0062c","n":5,"exp":1.5e3,"nul":null,"groups":["x"]}"#;
        let claims = Claims::parse(json).ok().unwrap();
        assert_eq!(claims.string("sub").unwrap().unwrap(), "abc");
        assert_eq!(claims.string("n"), Err(WrongType));
        assert_eq!(claims.string("nul"), Ok(None));
        assert_eq!(claims.string("absent"), Ok(None));
        assert_eq!(claims.value("groups"), Some(serde_json::json!(["x"])));
        assert_eq!(claims.numeric_date("exp"), Ok(Some(UnixTime(1500))));
        assert_eq!(claims.numeric_date("nul"), Err(WrongType));
        assert_eq!(claims.numeric_date("sub"), Err(WrongType));
        assert_eq!(claims.numeric_date("absent"), Ok(None));
    }

    #[test]
    fn a_pointer_leads_into_a_member() {
        let json = br#"{"a":{"b/c":[1,{"~":"x"}],"n":null,"twice":1,"twice":2},"s":"x"}"#;
        let claims = Claims::parse(json).ok().unwrap();
        assert_eq!(claims.json_at("a", "/b~1c/1/~0"), Some("\"x\""));
        assert_eq!(claims.json_at("a", "/b~1c/0"), Some("1"));
        assert_eq!(claims.json_at("a", "/twice"), Some("2"), "as a tree would have it");
        assert_eq!(claims.json_at("s", ""), Some("\"x\""));
        for nowhere in ["/x", "/n", "/b~1c/2", "/b~1c/00", "/b~1c/+1", "/b~1c/x", "/b~1c/0/y", "/"]
        {
            assert_eq!(claims.json_at("a", nowhere), None, "{nowhere}");
        }
        assert_eq!(claims.json_at("s", "/0"), None);
        assert_eq!(claims.json_at("absent", "/0"), None);
    }

    #[test]
    fn dates_beyond_reason_saturate_or_fail() {
        let date = |json: &str| {
            let json = format!(r#"{{"exp":{json}}}"#);
            Claims::parse(json.as_bytes()).ok().unwrap().numeric_date("exp")
        };
        assert_eq!(date("-5"), Ok(Some(UnixTime(0))));
        assert_eq!(date("1e30"), Ok(Some(UnixTime(u64::MAX))));
        assert_eq!(date("1e999"), Err(WrongType));
        assert_eq!(date("\"5\""), Err(WrongType));
        assert_eq!(date("true"), Err(WrongType));
        assert_eq!(date("[5]"), Err(WrongType));
    }

    #[test]
    fn what_is_no_claims_object() {
        for json in [
            "",
            "[]",
            "5",
            "null",
            "{",
            r#"{"a":1}x"#,
            r#"{"a":1,"a":2}"#,
            // The same name in two spellings.
            r#"{"iss":"a","\u0069ss":"b"}"#,
            r#"{"a":"\ud800"x}"#,
            "{\"a\":\"\u{1}\"}",
        ] {
            let fault = Claims::parse(json.as_bytes()).err();
            assert_eq!(fault, Some(TokenFault::ClaimsNotAnObject), "{json}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(40), "]".repeat(40));
        assert_eq!(Claims::parse(deep.as_bytes()).err(), Some(TokenFault::NestedTooDeep));
        let brackets_in_text = format!("{{\"a\":\"\\\"{}\"}}", "[".repeat(400));
        assert!(Claims::parse(brackets_in_text.as_bytes()).is_ok());
    }
}

//! A claim as far as an identity can use it, borrowed from the token.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The value of a claim.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ClaimValue<'j> {
    /// A string, as it is after its escapes are resolved.
    Text(Cow<'j, str>),
    /// An array: the strings in it, and how many other items.
    List { texts: Vec<Cow<'j, str>>, others: u32 },
    /// An object: the names of its members.
    Names(Vec<Cow<'j, str>>),
    /// A number or a boolean.
    Other,
}

impl<'j> ClaimValue<'j> {
    /// Reads the JSON text of a claim.
    pub(super) fn parse(json: &'j str) -> Self {
        // A string that is no Unicode is of no use either.
        serde_json::from_str(json).unwrap_or(Self::Other)
    }
}

impl<'de> Deserialize<'de> for ClaimValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = ClaimValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a claim")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(ClaimValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(ClaimValue::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(ClaimValue::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(ClaimValue::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(ClaimValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(ClaimValue::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(ClaimValue::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut texts, mut others) = (Vec::new(), 0);
        while let Some(item) = items.next_element()? {
            match item {
                ClaimValue::Text(text) => texts.push(text),
                ClaimValue::List { .. } | ClaimValue::Names(_) | ClaimValue::Other => others += 1,
            }
        }
        Ok(ClaimValue::List { texts, others })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some((ClaimValue::Text(name), IgnoredAny)) = members.next_entry()? {
            names.push(name);
        }
        Ok(ClaimValue::Names(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value() {
        let texts = |texts: &[&'static str]| texts.iter().map(|t| Cow::Borrowed(*t)).collect();
        assert_eq!(ClaimValue::parse("\"a\\u0062\""), ClaimValue::Text("ab".into()));
        for other in ["1", "-1", "1.5", "1e400", "true", "null", "\"\\ud800\""] {
            assert_eq!(ClaimValue::parse(other), ClaimValue::Other, "{other}");
        }
        let list = ClaimValue::parse(r#"["a", 1, ["b"], {"c": 1}, null, "d"]"#);
        assert_eq!(list, ClaimValue::List { texts: texts(&["a", "d"]), others: 4 });
        let names = ClaimValue::parse(r#"{"a": {"b": [1]}, "c": 2}"#);
        assert_eq!(names, ClaimValue::Names(texts(&["a", "c"])));
    }
}

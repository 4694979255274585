//! JSON from outside that has to be an object.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// A `T` that is read from an object alone. What serde derives for a struct takes an array as
/// well, its items in the order of the fields: `["ES256","k1"]` for a JOSE header, which no other
/// parser takes for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Named<'j> {
        name: &'j str,
    }

    #[test]
    fn an_array_is_no_object() {
        let read = |json| serde_json::from_str::<Object<Named<'_>>>(json);
        assert_eq!(read(r#"{"name": "a"}"#).unwrap(), Object(Named { name: "a" }));
        assert!(serde_json::from_str::<Named<'_>>(r#"["a"]"#).is_ok(), "then this may go");
        for json in [r#"["a"]"#, "[]", "5", "null", r#""a""#, r#"[{"name": "a"}]"#, "{}"] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}

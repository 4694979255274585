//! The few fields that Envoy's answers have, encoded by hand: built as messages, each would cost a
//! dozen allocations, and Envoy's definitions are thousands of types to build. The tests hold this
//! encoding against them.
//!
//! Field numbers are those of `envoy.service.auth.v3`, `envoy.config.core.v3` and
//! `google.protobuf`.

use bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// `OkHttpResponse`.
const HEADERS: u32 = 2;
const HEADERS_TO_REMOVE: u32 = 5;
/// `HeaderValueOption` and its `HeaderValue`.
const OPTION_HEADER: u32 = 1;
const HEADER_KEY: u32 = 1;
const HEADER_VALUE: u32 = 2;
/// The rest of such an option. Envoy up to 1.36 knows only the deprecated `append`, later
/// ones `append_action`: `append: false` (an empty `BoolValue`, field 2) and
/// `OVERWRITE_IF_EXISTS_OR_ADD` (field 3) both say overwrite.
const OVERWRITE: &[u8] = &[0x12, 0x00, 0x18, 0x02];
/// `Struct`, an entry of its map, `Value` and `ListValue`.
const STRUCT_FIELDS: u32 = 1;
const ENTRY_KEY: u32 = 1;
const ENTRY_VALUE: u32 = 2;
const VALUE_STRING: u32 = 3;
const VALUE_LIST: u32 = 6;
const LIST_VALUES: u32 = 1;

/// A header that overwrites the client's, as a field of `OkHttpResponse`.
pub(super) fn put_header(name: &str, value: &str, out: &mut impl BufMut) {
    let (option, header) = header_lengths(name, value);
    put_delimited(HEADERS, option, out);
    put_delimited(OPTION_HEADER, header, out);
    put_text(HEADER_KEY, name.as_bytes(), out);
    put_text(HEADER_VALUE, value.as_bytes(), out);
    out.put_slice(OVERWRITE);
}

/// What [`put_header`] takes, in bytes.
pub(super) fn header(name: &str, value: &str) -> usize {
    let (option, _) = header_lengths(name, value);
    delimited(HEADERS, option)
}

/// The lengths of a `HeaderValueOption` and of the `HeaderValue` in it.
fn header_lengths(name: &str, value: &str) -> (usize, usize) {
    let header = delimited(HEADER_KEY, name.len()) + delimited(HEADER_VALUE, value.len());
    (delimited(OPTION_HEADER, header) + OVERWRITE.len(), header)
}

/// A header to remove, as a field of `OkHttpResponse`.
pub(super) fn put_removal(name: &[u8], out: &mut impl BufMut) {
    put_text(HEADERS_TO_REMOVE, name, out);
}

/// What [`put_removal`] takes, in bytes.
pub(super) fn removal(name: &[u8]) -> usize {
    delimited(HEADERS_TO_REMOVE, name.len())
}

/// A text as a member of a `Struct`. Members one after the other are a `Struct`.
pub(super) fn put_member(name: &str, text: &str, out: &mut impl BufMut) {
    let value = delimited(VALUE_STRING, text.len());
    put_member_head(name, value, out);
    put_text(VALUE_STRING, text.as_bytes(), out);
}

/// A list of texts as a member of a `Struct`.
pub(super) fn put_list_member<'i>(
    name: &str,
    items: impl Iterator<Item = &'i str> + Clone,
    out: &mut impl BufMut,
) {
    let item = |text: &str| delimited(LIST_VALUES, delimited(VALUE_STRING, text.len()));
    let list = items.clone().map(item).sum();
    put_member_head(name, delimited(VALUE_LIST, list), out);
    put_delimited(VALUE_LIST, list, out);
    for text in items {
        put_delimited(LIST_VALUES, delimited(VALUE_STRING, text.len()), out);
        put_text(VALUE_STRING, text.as_bytes(), out);
    }
}

fn put_member_head(name: &str, value: usize, out: &mut impl BufMut) {
    let entry = delimited(ENTRY_KEY, name.len()) + delimited(ENTRY_VALUE, value);
    put_delimited(STRUCT_FIELDS, entry, out);
    put_text(ENTRY_KEY, name.as_bytes(), out);
    put_delimited(ENTRY_VALUE, value, out);
}

/// A number, as a field of any message.
pub(super) fn put_number(field: u32, number: u64, out: &mut impl BufMut) {
    encode_key(field, WireType::Varint, out);
    encode_varint(number, out);
}

/// A text, bytes or a message, as a field of any message.
pub(super) fn put_text(field: u32, text: &[u8], out: &mut impl BufMut) {
    put_delimited(field, text.len(), out);
    out.put_slice(text);
}

/// The key and length of a field whose content follows. Nearly always each is one byte.
#[inline]
pub(super) fn put_delimited(field: u32, length: usize, out: &mut impl BufMut) {
    match (u8::try_from(field), u8::try_from(length)) {
        (Ok(field @ ..16), Ok(length @ ..0x80)) => {
            out.put_slice(&[field << 3 | WireType::LengthDelimited as u8, length]);
        }
        _ => {
            encode_key(field, WireType::LengthDelimited, out);
            encode_varint(length as u64, out);
        }
    }
}

/// What a field with a content of this length takes, key and length included, in bytes.
pub(super) fn delimited(field: u32, length: usize) -> usize {
    key_len(field) + encoded_len_varint(length as u64) + length
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
    use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
    use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
    use envoy_types::pb::google::protobuf::{BoolValue, ListValue, Struct, Value, value::Kind};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[expect(deprecated, reason = "older Envoys read nothing else")]
    fn overwrite(name: &str, value: &str) -> HeaderValueOption {
        let (key, value) = (name.to_owned(), value.to_owned());
        HeaderValueOption {
            header: Some(HeaderValue { key, value, raw_value: Vec::new() }),
            append: Some(BoolValue { value: false }),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
            keep_empty_value: false,
        }
    }

    fn text(text: &str) -> Value {
        Value { kind: Some(Kind::StringValue(text.to_owned())) }
    }

    proptest! {
        #[test]
        fn headers_and_removals_are_envoys(
            headers in prop::collection::vec((".{1,20}", ".{1,300}"), 0..5),
            headers_to_remove in prop::collection::vec(".{1,200}", 0..5),
        ) {
            let mut ours = Vec::new();
            headers.iter().for_each(|(name, value)| put_header(name, value, &mut ours));
            let with_headers: usize = headers.iter().map(|(name, value)| header(name, value)).sum();
            prop_assert_eq!(ours.len(), with_headers);
            headers_to_remove.iter().for_each(|name| put_removal(name.as_bytes(), &mut ours));
            let removals: usize = headers_to_remove.iter().map(|name| removal(name.as_bytes())).sum();
            prop_assert_eq!(ours.len(), with_headers + removals);
            let headers = headers.iter().map(|(name, value)| overwrite(name, value)).collect();
            let envoys = OkHttpResponse { headers, headers_to_remove, ..OkHttpResponse::default() };
            prop_assert_eq!(ours, envoys.encode_to_vec());
        }

        #[test]
        fn members_are_those_of_a_struct(
            name in ".{1,20}", value in ".{0,300}",
            list_name in ".{1,20}", list in prop::collection::vec(".{0,200}", 0..5),
        ) {
            prop_assume!(name != list_name);
            let mut ours = Vec::new();
            put_member(&name, &value, &mut ours);
            put_list_member(&list_name, list.iter().map(String::as_str), &mut ours);
            let values = list.iter().map(|item| text(item)).collect();
            let list = Value { kind: Some(Kind::ListValue(ListValue { values })) };
            let expected = Struct { fields: [(name, text(&value)), (list_name, list)].into() };
            prop_assert_eq!(Struct::decode(ours.as_slice()), Ok(expected));
        }
    }
}

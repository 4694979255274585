//! `google.protobuf.Struct`, as far as modules for requests fill one: texts, and lists of texts.

use std::sync::Arc;

use crate::abi::{Buffer, Handle};
use crate::callbacks::found;
use crate::registry::violation;
use crate::stream::{StreamPeer, Value};

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_dynamic_metadata_struct(
    stream: Handle,
    namespace: Buffer,
    members: Buffer,
) {
    let Some(stream) = found(stream, "set_dynamic_metadata_struct") else { return };
    // SAFETY: buffers of the module's, for this call.
    let (namespace, members) = unsafe { (namespace.text(), members.read().unwrap_or_default()) };
    if set(&stream, &namespace, &members).is_none() {
        violation::<()>(format!("set_dynamic_metadata_struct: no Struct of texts: {members:x?}"));
    }
}

fn set(stream: &Arc<StreamPeer>, namespace: &str, members: &[u8]) -> Option<()> {
    const FIELDS: u8 = 1;
    for entry in fields(members)? {
        let (FIELDS, entry) = entry else { return None };
        let [(1, key), (2, value)] = *fields(entry)? else { return None };
        let key = String::from_utf8(key.to_vec()).ok()?;
        stream.set_metadata(namespace.to_owned(), key, of(value)?);
    }
    Some(())
}

/// A `google.protobuf.Value`.
fn of(value: &[u8]) -> Option<Value> {
    const STRING: u8 = 3;
    const LIST: u8 = 6;
    let [(kind, content)] = *fields(value)? else { return None };
    match kind {
        STRING => Some(Value::Text(String::from_utf8(content.to_vec()).ok()?)),
        LIST => {
            let items = fields(content)?;
            items.into_iter().map(|(_, item)| of(item)).collect::<Option<_>>().map(Value::List)
        }
        _ => None,
    }
}

/// The fields of a message, all with a length in front.
fn fields(mut message: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    const WITH_LENGTH: u8 = 2;
    let mut fields = Vec::new();
    while let Some((key, rest)) = message.split_first() {
        let (mut length, mut rest, mut shift) = (0_usize, rest, 0);
        loop {
            let (byte, behind) = rest.split_first()?;
            length |= usize::from(byte & 0x7f) << shift;
            (rest, shift) = (behind, shift + 7);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (content, behind) = rest.split_at_checked(length)?;
        if key & 7 != WITH_LENGTH {
            return None;
        }
        fields.push((key >> 3, content));
        message = behind;
    }
    Some(fields)
}

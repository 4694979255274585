//! An identity as header names and values.

use super::identity::Identity;
use super::rules::HeaderRules;
use super::value::MAX_LIST_BYTES;

/// The headers that carry `identity`, names in lower case. One with nothing to say is
/// left out, and so removed.
#[must_use]
pub fn identity_headers(identity: &Identity, rules: &HeaderRules) -> Vec<(String, String)> {
    let names = &rules.names;
    let mut headers = Vec::with_capacity(4 + identity.further.len());
    headers.push((names.principal_id.clone(), identity.subject.clone()));
    if let Some(email) = &identity.email {
        headers.push((names.principal_email.clone(), email.clone()));
    }
    for (name, list, separator) in
        [(&names.principal_groups, &identity.groups, ","), (&names.scopes, &identity.scopes, " ")]
    {
        if !list.is_empty() {
            headers.push((name.clone(), joined(list, separator)));
        }
    }
    headers.extend(identity.further.iter().cloned());
    headers
}

/// The items that fit, joined. Beyond the limit Envoy would refuse the whole answer; to
/// lack a group or scope only takes rights away.
fn joined(list: &[String], separator: &str) -> String {
    let mut text = String::new();
    for item in list {
        if text.len() + separator.len() + item.len() > MAX_LIST_BYTES {
            break;
        }
        if !text.is_empty() {
            text.push_str(separator);
        }
        text.push_str(item);
    }
    text
}

//! A change to a configuration, by a pointer into it.
//!
//! A mapping is merged into what is there (RFC 7396: `null` removes); `…/-` appends to a list,
//! `…/+1` puts in front of its second item, `…/=1` in its place. Of a type only what follows
//! `type.googleapis.com/envoy.` is written out.

use serde_json::{Map, Value};

const MANAGER: &str =
    "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

pub const BOOTSTRAP: &str = "";
pub const LISTENERS: &str = "/static_resources/listeners/-";
pub const LISTENER: &str = "/static_resources/listeners/0";
pub const CHAIN: &str = "/static_resources/listeners/0/filter_chains/0";
pub const CLUSTERS: &str = "/static_resources/clusters/-";
pub const DOORWARD: &str = "/static_resources/clusters/0";
pub const UPSTREAM: &str = "/static_resources/clusters/1";
/// Below the connection manager: see [`patched`].
pub const HCM: &str = "HCM";
pub const FILTER: &str = "HCM/http_filters/0/typed_config";
/// The filter with its name.
pub const NAMED: &str = "HCM/http_filters/0";
pub const INSTEAD: &str = "HCM/http_filters/=0";
pub const FRONT: &str = "HCM/http_filters/+0";
pub const BEHIND: &str = "HCM/http_filters/+1";
pub const ROUTER: &str = "HCM/http_filters/1/typed_config";
pub const TABLE: &str = "HCM/route_config";
pub const HOST: &str = "HCM/route_config/virtual_hosts/0";
pub const HOSTS: &str = "HCM/route_config/virtual_hosts/-";
pub const FIRST_ROUTE: &str = "HCM/route_config/virtual_hosts/0/routes/+0";
/// The one that takes everything, in `envoy.yaml`.
pub const ROUTE: &str = "HCM/route_config/virtual_hosts/0/routes/2";

/// The configuration with these changes; `TOKEN` and `UPSTREAM_PORT` in them are replaced.
pub fn patched(text: &str, changes: &[(&str, &str)], token: &str, upstream: u16, jwks: &str) -> Value {
    let mut document = yaml(text);
    for (at, change) in changes {
        let change = change.replace("TOKEN", token).replace("UPSTREAM_PORT", &upstream.to_string()).replace("JWKS", jwks);
        let change = typed(yaml(&change));
        let at = at.replacen("HCM", MANAGER, 1);
        apply(&mut document, &at, change);
    }
    document
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn apply(document: &mut Value, at: &str, change: Value) {
    let (list, last) = at.rsplit_once('/').unwrap_or_default();
    let (how, index) = last.split_at(last.len().min(1));
    let at = if matches!(how, "-" | "+" | "=") { list } else { at };
    let place = document.pointer_mut(at).unwrap_or_else(|| panic!("no {at}"));
    match how {
        "-" => place.as_array_mut().unwrap().push(change),
        "+" => place.as_array_mut().unwrap().insert(index.parse().unwrap(), change),
        "=" => place[index.parse::<usize>().unwrap()] = change,
        _ => merge(place, change),
    }
}

fn merge(into: &mut Value, change: Value) {
    let Value::Object(members) = change else {
        *into = change;
        return;
    };
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let object = into.as_object_mut().unwrap();
    for (name, value) in members {
        if value.is_null() {
            object.remove(&name);
        } else {
            merge(object.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn typed(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(name, value)| match value.as_str() {
                    Some(kind) if (name == "@type" || name == "type_url") && !kind.contains('/') => {
                        (name, format!("type.googleapis.com/envoy.{kind}").into())
                    }
                    _ => (name, typed(value)),
                })
                .collect(),
        ),
        Value::Array(items) => items.into_iter().map(typed).collect(),
        other => other,
    }
}

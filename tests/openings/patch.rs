//! A change to a configuration. A mapping is merged into what is at its place (RFC 7396: `null`
//! removes); into a list it is put, and a list of them one after the other. Types are written
//! short: `is: http.lua.v3.Lua`.

use serde_json::{Map, Value};

/// Where in a list something is put.
#[derive(Clone, Copy)]
enum Put {
    Before(usize),
    Instead(usize),
    Last,
}

/// What a place is called in the tables, and where it is in `envoy.yaml`.
fn place(name: &str) -> (&'static str, Option<Put>) {
    match name {
        "bootstrap" => ("", None),
        "listener" => ("/static_resources/listeners/0", None),
        "listeners" => ("/static_resources/listeners", Some(Put::Last)),
        "chain" => ("/static_resources/listeners/0/filter_chains/0", None),
        "clusters" => ("/static_resources/clusters", Some(Put::Last)),
        "doorward" => ("/static_resources/clusters/0", None),
        "upstream" => ("/static_resources/clusters/1", None),
        "manager" => ("MANAGER", None),
        // The filter with its name, and its configuration.
        "named" => ("MANAGER/http_filters/0", None),
        "filter" => ("MANAGER/http_filters/0/typed_config", None),
        "instead" => ("MANAGER/http_filters", Some(Put::Instead(0))),
        "front" => ("MANAGER/http_filters", Some(Put::Before(0))),
        "behind" => ("MANAGER/http_filters", Some(Put::Before(1))),
        "router" => ("MANAGER/http_filters/1/typed_config", None),
        "table" => ("MANAGER/route_config", None),
        "host" => ("MANAGER/route_config/virtual_hosts/0", None),
        "hosts" => ("MANAGER/route_config/virtual_hosts", Some(Put::Last)),
        "first_route" => ("MANAGER/route_config/virtual_hosts/0/routes", Some(Put::Before(0))),
        // The one that takes everything: of `envoy.yaml`, and of `envoy-http.yaml`.
        "route" => ("MANAGER/route_config/virtual_hosts/0/routes/5", None),
        "only_route" => ("MANAGER/route_config/virtual_hosts/0/routes/0", None),
        // The same of `module.yaml`.
        "last_route" => ("MANAGER/route_config/virtual_hosts/0/routes/2", None),
        other => panic!("no place is called {other}"),
    }
}

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// The configuration with these changes.
pub fn patched(text: &str, changes: &[(String, Value)]) -> Value {
    let mut document: Value = serde_saphyr::from_str(text).unwrap();
    let changes = changes.iter().map(|(name, change)| (place(name), typed(change.clone())));
    // What is merged first: putting something in moves what comes behind.
    let (put, merged): (Vec<_>, Vec<_>) = changes.partition(|((_, put), _)| put.is_some());
    for ((at, put), change) in merged.into_iter().chain(put) {
        let at = at.replacen("MANAGER", MANAGER, 1);
        let there = document.pointer_mut(&at).unwrap_or_else(|| panic!("nothing is at {at}"));
        match (put, change) {
            (None, change) => merge(there, change),
            (Some(how), Value::Array(changes)) => {
                changes.into_iter().for_each(|change| how.put(there, change));
            }
            (Some(how), change) => how.put(there, change),
        }
    }
    document
}

impl Put {
    fn put(self, list: &mut Value, change: Value) {
        let list = list.as_array_mut().unwrap();
        match self {
            Self::Before(index) => list.insert(index, change),
            Self::Instead(index) => list[index] = change,
            Self::Last => list.push(change),
        }
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
        Value::Object(members) => members.into_iter().map(member).collect(),
        Value::Array(items) => items.into_iter().map(typed).collect(),
        other => other,
    }
}

fn member((name, value): (String, Value)) -> (String, Value) {
    let name = if name == "is" { "@type".to_owned() } else { name };
    let kind = value.as_str().filter(|kind| !kind.contains('/'));
    match (name.as_str(), kind) {
        ("@type" | "type_url", Some(kind)) => {
            let filter = kind.starts_with("http.") || kind.starts_with("network.");
            let package = if filter { "envoy.extensions.filters" } else { "envoy" };
            (name, format!("type.googleapis.com/{package}.{kind}").into())
        }
        _ => (name, typed(value)),
    }
}

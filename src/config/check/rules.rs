//! `rules`: paths without a token, and the scopes that endpoints ask for.

use std::path::Path;

use doorward_core::json_object::Object;
use doorward_core::rules::{
    EndpointRule, EndpointRules, Endpoints, Method, PathPattern, PathRule, ScopeDemand, SlashPrefix,
};
use figment::value::{Dict, Value};

use super::super::format::Format;
use super::{BadValue, Checker, KeyPath, Warning, raw, values};

pub(super) fn bypass(c: &mut Checker, paths: &[String]) -> Option<Vec<PathRule>> {
    let key = KeyPath::dotted("rules.bypass");
    let parse = |text: &String| {
        text.parse::<PathRule>().map_err(|error| BadValue::Path { found: text.into(), error })
    };
    let rules = c.each(&key, paths, parse)?;
    if rules.iter().any(|rule| *rule == PathRule::Below("/".into())) {
        c.warnings.push(Warning::EverythingBypassed);
    }
    Some(rules)
}

/// Below which paths encoded slashes may stand.
pub(super) fn encoded_slashes(c: &mut Checker, prefixes: &[String]) -> Option<Vec<SlashPrefix>> {
    c.each(&KeyPath::dotted("rules.encoded_slashes"), prefixes, |text| {
        text.parse().map_err(|error| BadValue::Path { found: text.into(), error })
    })
}

/// The table of endpoints, when there is one.
pub(super) fn endpoints(c: &mut Checker, rules: &raw::Rules) -> Option<Option<EndpointRules>> {
    let demand = match rules.scopes {
        raw::ScopeDemand::Optional => ScopeDemand::OfPlatformScopes,
        raw::ScopeDemand::Required => ScopeDemand::OfAll,
    };
    if rules.endpoints.is_empty() && rules.endpoints_file.is_none() {
        if demand == ScopeDemand::OfAll {
            c.warnings.push(Warning::ScopesOfNothing);
        }
        return Some(None);
    }
    let mut table = Endpoints::default();
    let written_out = inline(c, rules, &mut table);
    if let Some(path) = &rules.endpoints_file {
        let key = KeyPath::dotted("rules.endpoints_file");
        for fault in file(path, &written_out, &mut table) {
            c.bad(&key, fault);
        }
    }
    if demand == ScopeDemand::OfPlatformScopes && table.any_scopes() {
        c.warnings.push(Warning::ScopesOptional);
    }
    Some(Some(EndpointRules { table, demand }))
}

/// Adds `rules.endpoints`; its patterns are returned.
fn inline(c: &mut Checker, rules: &raw::Rules, table: &mut Endpoints) -> Vec<PathPattern> {
    let section = KeyPath::dotted("rules.endpoints");
    let mut patterns = Vec::new();
    for (text, methods) in &rules.endpoints {
        let key = section.join(text);
        let Some(pattern) = c.keep(&key, pattern(text)) else { continue };
        if methods.is_empty() {
            c.bad(&key, BadValue::NoMethods);
        }
        for (method, endpoint) in methods {
            let added = add(table, text, &pattern, method, endpoint);
            c.keep(&key.join(method), added);
        }
        patterns.push(pattern);
    }
    patterns
}

/// Adds the table in a file, but for the patterns that are `written_out`; what is wrong with
/// it is returned.
fn file(path: &Path, written_out: &[PathPattern], table: &mut Endpoints) -> Vec<BadValue> {
    let place = |line: Option<u64>, fault: &dyn std::fmt::Display| BadValue::InFile {
        place: match line {
            Some(line) => format!("{}:{line}", path.display()),
            None => path.display().to_string(),
        },
        fault: fault.to_string(),
    };
    let text = match values::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return vec![place(None, &error.utf8_error())],
        Err(unreadable) => return vec![unreadable],
    };
    let Some(format) = Format::of(path) else {
        return vec![place(None, &"unknown format: expected .yaml, .yml, .toml or .json")];
    };
    let document = match format.parse(&text) {
        Ok(document) => document,
        Err(error) => return vec![place(error.line, &error.message)],
    };
    let (root, table_of_file) = table_in(&document.value);
    let Some(entries) = members(table_of_file) else {
        return vec![place(None, &BadValue::NoEndpoints)];
    };
    let mut faults = Vec::new();
    let mut fault = |key: &KeyPath, fault: &dyn std::fmt::Display| {
        let line = document.lines.of(key);
        faults.push((line, place(line, fault)));
    };
    for (text, value) in entries {
        let at = root.join(text);
        match (pattern(text), members(value)) {
            (Err(why), _) => fault(&at, &why),
            (Ok(pattern), _) if written_out.contains(&pattern) => {}
            (Ok(pattern), Some(methods)) => {
                for (method, value) in methods {
                    let added = endpoint(value)
                        .and_then(|endpoint| add(table, text, &pattern, method, &endpoint));
                    if let Err(why) = added {
                        fault(&at.join(method), &format_args!("{text}: {method}: {why}"));
                    }
                }
            }
            (Ok(_), None) => fault(&at, &format_args!("{text}: {}", BadValue::NoMethods)),
        }
    }
    faults.sort_by_key(|(line, _)| *line);
    faults.into_iter().map(|(_, fault)| fault).collect()
}

/// The table in NeMo's `static-authz.yaml`, or in a file of its own, and the way to it.
fn table_in(document: &Value) -> (KeyPath, &Value) {
    ["authz", "endpoints"].iter().fold((KeyPath::default(), document), |(path, value), name| {
        let inner = value.as_dict().and_then(|members| members.get(*name));
        inner.map_or((path.clone(), value), |inner| (path.join(name), inner))
    })
}

/// What stands in a section, when it is one with something in it.
fn members(value: &Value) -> Option<&Dict> {
    value.as_dict().filter(|members| !members.is_empty())
}

fn pattern(text: &str) -> Result<PathPattern, BadValue> {
    text.parse().map_err(|error| BadValue::Pattern { found: text.into(), error })
}

/// What a file says of one method. Names that begin with `x-` are notes.
fn endpoint(said: &Value) -> Result<raw::Endpoint, BadValue> {
    if matches!(said, Value::Empty(..)) {
        return Ok(raw::Endpoint::default());
    }
    let mut said = serde_json::json!(said);
    if let Some(members) = said.as_object_mut() {
        members.retain(|name, _| !name.starts_with("x-"));
    }
    let endpoint = serde_json::from_value(said).map(|Object(endpoint)| endpoint);
    endpoint.map_err(|error| BadValue::NotAnEndpoint(error.to_string()))
}

fn add(
    table: &mut Endpoints,
    text: &str,
    pattern: &PathPattern,
    method: &str,
    endpoint: &raw::Endpoint,
) -> Result<(), BadValue> {
    let method: Method =
        method.parse().map_err(|error| BadValue::NotAMethod { found: method.into(), error })?;
    for scope in endpoint.scopes.iter() {
        values::word(scope)?;
    }
    let rule = EndpointRule {
        pattern: text.into(),
        scopes: endpoint.scopes.join(" ").into(),
        closed: endpoint.deny,
    };
    let added = table.add(pattern, method, rule);
    added.map_err(|error| BadValue::Pattern { found: text.into(), error })
}

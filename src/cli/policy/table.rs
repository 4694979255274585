//! Tables of requests and of what is expected of them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use doorward_core::decision::Reason;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::app::MadeUp;
use crate::config::yaml_fault;
use crate::explain::{Answer, Explanation};
use crate::printable::printable;

/// A file with requests.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) rows: Vec<Row>,
}

/// One request, and what is expected of it.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) issuer: Option<String>,
    pub(super) request: MadeUp,
    pub(super) expected: Expected,
}

/// What is expected of a request.
pub(super) struct Expected {
    outcome: String,
    headers: BTreeMap<String, String>,
}

/// Why a file is no table.
#[derive(Debug, thiserror::Error)]
pub(super) enum TableError {
    #[error("`{0}` cannot be read")]
    Unreadable(String, #[source] io::Error),
    #[error("{file}{}: {text}", line.map(|line| format!(":{line}")).unwrap_or_default())]
    Form { file: String, line: Option<u64>, text: String },
    #[error("{file}: {request}: `as: {name}` is none of `people`")]
    NoSuchPerson { file: String, request: String, name: String },
    #[error("{file}: {request}: `as` and `claims` both say whose token it is")]
    TwoTokens { file: String, request: String },
    #[error(
        "{file}: {request}: `expect: {expect}` is none of allow, deny, the reasons, and \
         authenticated, anonymous, bypassed, auth_disabled"
    )]
    Expectation { file: String, request: String, expect: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    people: BTreeMap<String, Map<String, Value>>,
    requests: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    name: Option<String>,
    r#as: Option<String>,
    claims: Option<Map<String, Value>>,
    issuer: Option<String>,
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    host: String,
    /// Of the request.
    #[serde(default)]
    with: BTreeMap<String, String>,
    expect: String,
    /// That the upstream gets.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

fn get() -> String {
    "GET".to_owned()
}

impl Table {
    pub(super) fn read(path: &Path) -> Result<Self, TableError> {
        let name = printable(&path.display().to_string());
        let text = fs::read_to_string(path)
            .map_err(|error| TableError::Unreadable(name.clone(), error))?;
        Self::parse(name, &text)
    }

    fn parse(name: String, text: &str) -> Result<Self, TableError> {
        let raw: Raw = serde_saphyr::from_str(text).map_err(|error| {
            let (line, text) = yaml_fault(&error);
            TableError::Form { file: name.clone(), line, text }
        })?;
        let row = |row: RawRow| Row::new(row, &raw.people, &name);
        let rows = raw.requests.into_iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { name, rows })
    }
}

impl Row {
    fn new(
        raw: RawRow,
        people: &BTreeMap<String, Map<String, Value>>,
        file: &str,
    ) -> Result<Self, TableError> {
        let who = raw.r#as.as_deref().or(raw.claims.as_ref().map(|_| "somebody"));
        let name = raw.name.unwrap_or_else(|| {
            format!("{} {} as {}", raw.method, raw.path, who.unwrap_or("nobody"))
        });
        let (file, request) = (file.to_owned(), name.clone());
        let claims = match (raw.r#as, raw.claims) {
            (Some(_), Some(_)) => return Err(TableError::TwoTokens { file, request }),
            (Some(name), None) => match people.get(&name) {
                Some(claims) => Some(claims.clone()),
                None => return Err(TableError::NoSuchPerson { file, request, name }),
            },
            (None, claims) => claims,
        };
        let known = ["allow", "deny", "authenticated", "anonymous", "bypassed", "auth_disabled"];
        let is_reason = |text: &str| Reason::ALL.iter().any(|reason| reason.code() == text);
        if !known.contains(&raw.expect.as_str()) && !is_reason(&raw.expect) {
            return Err(TableError::Expectation { file, request, expect: raw.expect });
        }
        let (method, path, host, headers) = (raw.method, raw.path, raw.host, raw.with);
        Ok(Self {
            name,
            issuer: raw.issuer,
            request: MadeUp { claims, method, path, host, headers },
            expected: Expected { outcome: raw.expect, headers: raw.headers },
        })
    }
}

impl Expected {
    /// What is not as expected.
    pub(super) fn problem(&self, explanation: &Explanation) -> Option<String> {
        let is_so = match self.outcome.as_str() {
            "allow" => explanation.decision == Answer::Allow,
            "deny" => explanation.decision == Answer::Deny,
            code => explanation.reason == code,
        };
        if !is_so {
            return Some(format!("expected: {}", self.outcome));
        }
        let changes = explanation.headers.as_ref();
        let set = changes.map_or(&[][..], |changes| &changes.set);
        self.headers.iter().find_map(|(name, value)| {
            let is_it = |(set, _): &&(String, String)| set.eq_ignore_ascii_case(name);
            let found = set.iter().find(is_it).map(|(_, value)| value.as_str());
            (found != Some(value)).then(|| match found {
                Some(found) => format!("expected `{name}: {value}`, found `{}`", printable(found)),
                None => format!("expected `{name}: {value}`, found none"),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Table::parse("t.yaml".to_owned(), text).err().expect(text).to_string()
    }

    #[test]
    fn what_is_no_table() {
        let of_row = |row: &str| fault(&format!("people: {{a: {{sub: a}}}}\nrequests: [{row}]"));
        assert!(fault("requests: 1").starts_with("t.yaml"));
        assert!(of_row("{path: /, expect: yes}").contains("`expect: yes`"));
        assert!(of_row("{as: b, path: /, expect: allow}").contains("`as: b` is none of `people`"));
        assert!(of_row("{as: a, claims: {}, path: /, expect: allow}").contains("both say"));
        assert!(of_row("{as: a, path: /, expects: allow}").contains("expects"));
    }

    #[test]
    fn a_row_names_itself() {
        let text = "people: {a: {sub: a}}\nrequests: [{as: a, path: /x, expect: allow}]";
        let table = Table::parse("t.yaml".to_owned(), text).unwrap();
        assert_eq!(table.rows[0].name, "GET /x as a");
    }
}

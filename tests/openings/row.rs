//! A row of the tables beside this file: a change to a configuration, and what becomes of it.
//!
//! ```yaml
//! - opens: shadow mode            # or holds, alters, closes, refused: what the real Envoy does
//!   filter: {shadow_mode: true}   # where, and what is merged or put in there: patch.rs
//!   fails: shadow_mode            # the doctor's checks that fail, or `warns`; none: no remark
//! ```
//!
//! Besides: `file` (`envoy.yaml`, or what stands above the rows), `replace` (lines of it, before it is
//! read), `probe`.

use doorward::doctor::Outcome;
use serde_json::{Map, Value};

use super::probes::{Probe, Verdict};

#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub envoy: Verdict,
    pub file: String,
    pub replace: Vec<(String, String)>,
    /// By place.
    pub changes: Vec<(String, Value)>,
    pub probe: Probe,
    /// Checks and how they come out, sorted.
    pub doctor: Vec<(String, Outcome)>,
}

/// The rows of a table.
pub fn rows(table: &str) -> Vec<Row> {
    let table: Value = serde_saphyr::from_str(table).unwrap_or_else(|error| panic!("{error}"));
    let file = table["file"].as_str().unwrap_or("envoy.yaml");
    let rows = table["rows"].as_array().unwrap();
    rows.iter().map(|row| Row::read(file, row.as_object().unwrap())).collect()
}

impl Row {
    fn read(file: &str, members: &Map<String, Value>) -> Self {
        let mut row = Self {
            name: String::new(),
            envoy: Verdict::Holds,
            file: file.to_owned(),
            replace: Vec::new(),
            changes: Vec::new(),
            probe: Probe::Requests,
            doctor: Vec::new(),
        };
        for (member, value) in members {
            match member.as_str() {
                "holds" => row.is(Verdict::Holds, value),
                "opens" => row.is(Verdict::Opens, value),
                "alters" => row.is(Verdict::Alters, value),
                "closes" => row.is(Verdict::Closes, value),
                "refused" => row.is(Verdict::Refused, value),
                "file" => row.file = text(value),
                "replace" => {
                    let lines = value.as_object().unwrap();
                    row.replace = lines.iter().map(|(a, b)| (a.clone(), text(b))).collect();
                }
                "probe" => row.probe = serde_json::from_value(value.clone()).unwrap(),
                "fails" => row.doctor.extend(texts(value).map(|check| (check, Outcome::Fail))),
                "warns" => row.doctor.extend(texts(value).map(|check| (check, Outcome::Warn))),
                place => row.changes.push((place.to_owned(), value.clone())),
            }
        }
        row.doctor.sort_unstable();
        row
    }

    fn is(&mut self, envoy: Verdict, name: &Value) {
        (self.envoy, self.name) = (envoy, text(name));
    }
}

/// One text, or a list of them.
fn texts(value: &Value) -> impl Iterator<Item = String> {
    let one = value.as_str().map(|_| value).into_iter();
    one.chain(value.as_array().into_iter().flatten()).map(text)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

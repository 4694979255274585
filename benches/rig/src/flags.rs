//! `--name value` arguments.

use std::collections::HashMap;

pub struct Flags(HashMap<String, String>);

impl Flags {
    pub fn read(arguments: impl Iterator<Item = String>) -> Self {
        let arguments: Vec<_> = arguments.collect();
        let pair = |pair: &[String]| {
            let name = pair[0].strip_prefix("--").expect("--name value …").to_owned();
            (name, pair.get(1).expect("a value after each --name").clone())
        };
        Self(arguments.chunks(2).map(pair).collect())
    }

    pub fn given(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn text(&self, name: &str) -> &str {
        self.given(name).unwrap_or_else(|| panic!("--{name} is missing"))
    }

    pub fn number(&self, name: &str, otherwise: usize) -> usize {
        self.given(name).map_or(otherwise, |text| text.parse().expect("a number"))
    }
}

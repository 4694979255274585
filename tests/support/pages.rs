//! The pages of `docs/providers`, taken apart: configuration, good token, identity, troubles.

use std::collections::BTreeMap;

use serde_json::Value;

use super::tools;

/// The parts of every page, in their order.
pub const PARTS: [&str; 4] = [
    "At the provider",
    "Configuration",
    "What a good token looks like",
    "What goes wrong, and how it shows",
];

const DIRECTORY: &str = "docs/providers";
/// What the pages leave open that is not any text: Entra's ids.
const GIVEN: [(&str, &str); 2] = [
    ("<tenant-id>", "aaaabbbb-0000-cccc-1111-dddd2222eeee"),
    ("<client-id>", "11112222-bbbb-3333-cccc-4444dddd5555"),
];

pub struct Page {
    /// `entra`.
    pub name: String,
    text: String,
}

/// A row of the last table.
#[derive(Debug)]
pub struct Trouble {
    /// `fail audience`: what `doctor` shows, any of them.
    pub doctor: Vec<String>,
    /// `bad_audience`: reason codes, and settings where they depend on some.
    pub reasons: Vec<String>,
}

impl Page {
    /// Every page but the table of them.
    pub fn all() -> Vec<Self> {
        let files = std::fs::read_dir(tools::root().join(DIRECTORY)).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names = names.filter_map(|name| name.strip_suffix(".md").map(str::to_owned));
        let mut names: Vec<_> = names.filter(|name| name != "README").collect();
        names.sort();
        names.iter().map(|name| Self::named(name)).collect()
    }

    pub fn named(name: &str) -> Self {
        let text = tools::file(&format!("{DIRECTORY}/{name}.md"));
        Self { name: name.to_owned(), text }
    }

    /// The same with these in place of placeholders.
    pub fn with(mut self, given: &[(&str, &str)]) -> Self {
        for (placeholder, value) in given {
            self.text = self.text.replace(placeholder, value);
        }
        self
    }

    /// The headings of its parts.
    pub fn parts(&self) -> Vec<&str> {
        self.text.lines().filter_map(|line| line.strip_prefix("## ")).collect()
    }

    /// Doorward's configurations, the recommended one first, as YAML.
    pub fn configurations(&self) -> Vec<String> {
        self.blocks(PARTS[1], "yaml").iter().map(|block| filled(block)).collect()
    }

    /// The first configuration.
    pub fn configuration(&self) -> Value {
        serde_saphyr::from_str(&self.configurations()[0]).unwrap()
    }

    /// Header and claims of the good token.
    pub fn token(&self) -> (Value, Value) {
        let token = filled(&self.blocks(PARTS[2], "json")[0]);
        let mut token: Value =
            serde_json::from_str(&token).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        (token["header"].take(), token["claims"].take())
    }

    /// The headers that the good token comes to, names in lower case.
    pub fn identity(&self) -> BTreeMap<String, String> {
        let headers = &self.blocks(PARTS[2], "text")[0];
        let headers = headers.lines().map(|line| line.split_once(": ").unwrap());
        headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect()
    }

    /// The commands to run at the provider.
    pub fn commands(&self) -> String {
        filled(&self.blocks(PARTS[0], "sh")[0])
    }

    pub fn troubles(&self) -> Vec<Trouble> {
        let rows = self.part(PARTS[3]).lines().filter(|line| line.starts_with('|')).skip(2);
        rows.map(|row| {
            let row = row.replace("\\|", "¦");
            let cells: Vec<_> = row.trim_matches('|').split('|').collect();
            assert_eq!(cells.len(), 4, "{}: {row}", self.name);
            Trouble { doctor: codes(cells[1]), reasons: codes(cells[2]) }
        })
        .collect()
    }

    fn part(&self, name: &str) -> &str {
        let (_, rest) = self.text.split_once(&format!("\n## {name}\n")).unwrap();
        rest.split("\n## ").next().unwrap()
    }

    fn blocks(&self, part: &str, language: &str) -> Vec<String> {
        let opening = format!("```{language}\n");
        let blocks = self.part(part).split(&opening).skip(1);
        blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
    }
}

/// What stands in backticks.
fn codes(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The text with every `<placeholder>` filled in.
fn filled(text: &str) -> String {
    let mut text = text.to_owned();
    for (placeholder, value) in GIVEN {
        text = text.replace(placeholder, value);
    }
    let mut filled = String::new();
    let mut parts = text.split('<');
    filled.push_str(parts.next().unwrap());
    for part in parts {
        let name = part.split('>').next().unwrap();
        let is_placeholder = part.contains('>')
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if is_placeholder {
            filled.push_str(&part.replacen('>', "", 1));
        } else {
            filled.push('<');
            filled.push_str(part);
        }
    }
    filled
}

//! What people read is written as engineers of the field say it: these phrases do not come back,
//! neither in what the program prints nor in the documentation.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::tools;

/// Whole words; a line break counts as a space.
const PHRASES: &[&str] = &[
    "nobody to ask",
    "nobody says",
    "nobody is asked",
    "nobody was asked",
    "nobody looks",
    "cannot be had",
    "to be had",
    "which does on this machine",
    "unknown: the response has no Date",
    "what it comes to",
    "mend",
    "mends",
    "because:",
    "texts",
    "a text",
    "one text",
    "time span",
    "time-out",
    "name space",
    "to the byte",
    "to the letter",
    "in the clear",
    "on the way can",
    "on the wire can",
    "serves on",
    "serve on",
    "keys in force",
    "doorward out of reach",
    "doorward is out of reach",
    "of one's own",
    "of its own accord",
    "asked for in vain",
    "asked in vain",
    "takes no answers",
    "stands there",
    "is there twice",
    "where it stands",
    "gone by",
    "may come",
    "is welcome",
    "knocks",
    "no good",
    "speak for everybody",
    "for everybody there",
    "keeps for itself",
    "is no bearer",
    "is no address",
    "is no URL",
    "is no JWT",
    "are no URLs",
    "an HTML page for browsers",
    "the list of processes",
    "in front is not part",
    "comes out right",
    "came out right",
];

/// Strings of the program, help texts, comments of the configuration files, and pages.
#[test]
fn what_people_read_is_said_as_the_field_says_it() {
    let mut found = Vec::new();
    let mut read = 0;
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let is_code = path.extension().is_some_and(|it| it == "rs");
        let texts = if is_code { strings(&path, &text) } else { vec![text] };
        for text in texts {
            read += 1;
            let words = text.split_whitespace().filter(|word| !["#", "///", "//!"].contains(word));
            let flat = words.collect::<Vec<_>>().join(" ").to_lowercase();
            let here = PHRASES.iter().filter(|phrase| holds(&flat, phrase));
            found.extend(here.map(|phrase| format!("{}: {phrase:?}", path.display())));
        }
    }
    assert!(read > 1000, "{read} strings: where are the others?");
    assert!(found.is_empty(), "say it in plainer words:\n{}", found.join("\n"));
}

#[test]
fn the_reader_finds_strings_and_help_and_no_code() {
    let code = "//! mend\n/// help\nlet mend = 'm'; // mend\nf(\"a \\\n   b\", r#\"c\"d\"#, '\"');\n\
                #[cfg(test)]\nmod tests { f(\"e\") }";
    assert_eq!(strings(Path::new("src/cli/x.rs"), code), ["help", "a b", "c\"d"]);
    assert_eq!(strings(Path::new("src/x.rs"), code), ["a b", "c\"d"]);
    assert!(holds("how to mend it", "mend") && !holds("amendment", "mend"));
    assert!(holds("because: x", "because:"));
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for top in ["src", "crates/core/src", "docs", "envoy"] {
        walk(&tools::root().join(top), &mut files);
    }
    let pages = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    files.extend(pages.map(|page| tools::root().join(page)));
    files
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            walk(&path, files);
        } else if [".rs", ".md", ".yaml"].iter().any(|end| name.ends_with(end))
            && name != "tests.rs"
        {
            files.push(path);
        }
    }
}

/// The string literals of a file up to its tests and, where they are help texts or the reference
/// of the configuration, its doc comments.
fn strings(path: &Path, code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let path = path.to_str().unwrap();
    let comments_are_shown = path.contains("src/cli/") || path.contains("src/config/raw/");
    let mut strings = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '/', '\'', 'r']) {
        rest = &rest[at..];
        if let Some(line) = rest.strip_prefix("//") {
            let (line, after) = line.split_once('\n').unwrap_or((line, ""));
            if let Some(help) = line.strip_prefix('/').filter(|_| comments_are_shown) {
                strings.push(help.trim().to_owned());
            }
            rest = after;
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            let (text, after) = raw.split_once("\"#").unwrap();
            strings.push(text.to_owned());
            rest = after;
        } else if let Some(text) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = text.find(|char| {
                let ends = char == '"' && !escaped;
                escaped = char == '\\' && !escaped;
                ends
            });
            let end = end.unwrap();
            let lines = text[..end].split("\\\n").map(str::trim_start);
            strings.push(lines.collect::<String>());
            rest = &text[end + 1..];
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest = rest.trim_start_matches(['\'', '\\', '"']);
        } else {
            rest = &rest[1..];
        }
    }
    strings
}

/// Whether the words of the phrase stand in the text, as words.
fn holds(text: &str, phrase: &str) -> bool {
    let is_word = |char: char| char.is_alphanumeric();
    text.match_indices(phrase).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + phrase.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

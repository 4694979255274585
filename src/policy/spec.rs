//! What the configuration says of a policy: values that `config` fills in.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::engine::{Engine, Loaded};
use crate::discovery::Access;

/// Where the policy is, and who decides by it.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicySpec {
    /// It was read from files, and is ready.
    Loaded(Loaded),
    /// In a bundle, at a URL.
    Bundle(BundleSpec),
    /// At an OPA, which decides.
    Opa(OpaSpec),
}

/// A bundle at a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleSpec {
    /// How it decides.
    pub engine: Engine,
    /// Where it is.
    pub url: Url,
    /// How to get there.
    pub access: Access,
    /// Time between two looks.
    pub poll: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// The public key that it must be signed with, in PEM.
    pub key: Option<String>,
    /// A directory where it survives a restart.
    pub cache_dir: Option<PathBuf>,
}

/// An OPA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpaSpec {
    /// Where questions are sent: `http://127.0.0.1:8282/v1/data/authz/allow`.
    pub url: Url,
    /// How to get there.
    pub access: Access,
    /// How long a decision may take.
    pub timeout: Duration,
}

/// A way into the data document: `data.authz.allow`, `data["my-rules"].allow`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    text: String,
    steps: Vec<String>,
}

impl Query {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where an OPA at `base` answers it.
    ///
    /// # Errors
    /// The base is no URL that can have a path.
    pub fn below(&self, base: &Url) -> Result<Url, url::ParseError> {
        let mut url = base.clone();
        let path = url.path_segments_mut();
        let mut path = path.map_err(|()| url::ParseError::RelativeUrlWithCannotBeABaseBase)?;
        path.pop_if_empty().extend(["v1", "data"]).extend(&self.steps);
        drop(path);
        Ok(url)
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text.strip_prefix("data").ok_or(QueryError)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix("[\"") {
                Some(quoted) => quoted.split_once("\"]").ok_or(QueryError)?,
                None => {
                    let name = rest.strip_prefix('.').ok_or(QueryError)?;
                    name.split_at(name.find(['.', '[']).unwrap_or(name.len()))
                }
            };
            let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
            let is_quoted = rest.starts_with('[') && !step.contains(['"', '\\']);
            if step.is_empty() || !(is_quoted || step.chars().all(is_name)) {
                return Err(QueryError);
            }
            steps.push(step.to_owned());
            rest = after;
        }
        if steps.is_empty() { Err(QueryError) } else { Ok(Self { text: text.to_owned(), steps }) }
    }
}

/// It is no way into the data document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the path of a rule: write it as data.authz.allow, or data[\"my-rules\"].allow")]
pub struct QueryError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_paths_of_rules() {
        for (text, path) in [
            ("data.authz.allow", "/base/v1/data/authz/allow"),
            ("data.a[\"b c/d\"].e_1", "/base/v1/data/a/b%20c%2Fd/e_1"),
            ("data[\"a.b\"]", "/base/v1/data/a.b"),
        ] {
            let query: Query = text.parse().unwrap();
            for base in ["http://opa:8181/base", "http://opa:8181/base/"] {
                assert_eq!(query.below(&Url::parse(base).unwrap()).unwrap().path(), path);
            }
        }
        for text in [
            "",
            "data",
            "data.",
            "authz.allow",
            "data.a..b",
            "data.a-b",
            "data.a[b]",
            "data.a; true",
        ] {
            assert_eq!(text.parse::<Query>(), Err(QueryError), "{text}");
        }
    }
}

//! Which parts of the input a policy reads: the others need not be made.

use std::collections::BTreeSet;

use crate::builtins::nearest;

/// A part of the input: a member that is made, or not, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Part {
    PrincipalId,
    PrincipalEmail,
    PrincipalGroups,
    Scopes,
    Issuer,
    PrincipalOnBehalfOf,
    PrincipalOnBehalfOfEmail,
    PrincipalOnBehalfOfGroups,
    Method,
    Path,
    ParsedPath,
    ParsedQuery,
    Version,
    #[strum(serialize = "method")]
    HttpMethod,
    #[strum(serialize = "path")]
    HttpPath,
    #[strum(serialize = "host")]
    HttpHost,
}

impl Part {
    /// Every part, those of `attributes.request.http` last.
    pub(crate) const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The member's name.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// Whether it stands below `attributes.request.http`.
    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::HttpMethod | Self::HttpPath | Self::HttpHost)
    }
}

/// Parts of the input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    bits: u32,
    /// The headers, by name.
    pub headers: Headers,
}

/// Which headers are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Headers {
    /// These: in lower case.
    Named(BTreeSet<String>),
    /// Any.
    All,
}

impl Default for Headers {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

impl Parts {
    /// The whole input.
    pub(crate) fn all() -> Self {
        Self { bits: u32::MAX, headers: Headers::All }
    }

    /// Whether this part is among them.
    pub(crate) fn holds(&self, part: Part) -> bool {
        self.bits & (1 << part as u32) != 0
    }

    /// Whether any header is.
    pub(crate) fn has_headers(&self) -> bool {
        self.headers != Headers::default()
    }

    /// Adds what is at a path of the input, and all below it. What is never there is worth a remark.
    pub(crate) fn read(&mut self, path: &[String]) -> Option<String> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            [] => *self = Self::all(),
            ["attributes"] | ["attributes", "request"] | ["attributes", "request", "http"] => {
                self.add_each(Part::is_http);
                self.headers = Headers::All;
            }
            ["attributes", "request", "http", "headers"] => self.headers = Headers::All,
            ["attributes", "request", "http", "headers", name, ..] => {
                if let Headers::Named(names) = &mut self.headers {
                    names.insert((*name).to_owned());
                }
                let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
                return (!is_lower).then(|| {
                    format!("the header `{name}` is never there: names are in lower case")
                });
            }
            ["attributes", "request", "http", name, ..] => {
                let known = ["method", "path", "host", "headers"];
                return (!self.add(name, true)).then(|| never(&path, &known));
            }
            ["attributes", "request", ..] => return Some(never(&path, &["http"])),
            ["attributes", ..] => return Some(never(&path, &["request"])),
            [name, ..] => {
                let top = Part::ALL.iter().filter(|part| !part.is_http()).map(|part| part.name());
                let known: Vec<_> = top.chain(["attributes"]).collect();
                return (!self.add(name, false)).then(|| never(&path, &known));
            }
        }
        None
    }

    fn add(&mut self, name: &str, is_http: bool) -> bool {
        self.add_each(|part| part.is_http() == is_http && part.name() == name)
    }

    fn add_each(&mut self, wanted: impl Fn(Part) -> bool) -> bool {
        let found = Part::ALL.iter().filter(|part| wanted(**part));
        let bits = found.fold(0, |bits, part| bits | 1 << *part as u32);
        self.bits |= bits;
        bits != 0
    }
}

fn never(path: &[&str], known: &[&str]) -> String {
    let last = known.iter().map(|name| (*name).to_owned());
    let depth = match path {
        ["attributes", "request", "http", ..] => 3,
        ["attributes", "request", ..] => 2,
        ["attributes", ..] => 1,
        _ => 0,
    };
    let nearest = nearest(path.get(depth).copied().unwrap_or_default(), last);
    format!("`input.{}` is never there{nearest}", path.join("."))
}

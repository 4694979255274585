//! What a policy is told of a request, in regorus' own values: no more than it reads.
//!
//! The same as [`PolicyQuestion::input`], which says what each member holds.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use doorward_core::policy::{PolicyQuestion, parsed_path, parsed_query, told_scopes};
use regorus::Value;
use smallvec::SmallVec;

use crate::parts::{Headers, Part, Parts};

/// What names a decision: the parts of the input that were read for it.
pub(crate) type Key = SmallVec<[u8; 512]>;

/// A question in one reading of its path.
pub(crate) struct Asked<'q, 'a> {
    question: &'q PolicyQuestion<'a>,
    path: &'q str,
}

/// The names of members, made once.
static NAMES: LazyLock<Vec<Value>> =
    LazyLock::new(|| Part::ALL.iter().map(|part| part.name().into()).collect());

static NESTED: LazyLock<[Value; 4]> =
    LazyLock::new(|| ["attributes", "request", "http", "headers"].map(Value::from));

static VERSION: LazyLock<Value> = LazyLock::new(|| {
    let members = [("encoding", "protojson"), ("ext_authz", "v3")];
    object(members.map(|(name, value)| (name.into(), value.into())))
});

impl<'q, 'a> Asked<'q, 'a> {
    /// What is asked, of this reading of the path.
    pub(crate) fn new(question: &'q PolicyQuestion<'a>, path: &'q str) -> Self {
        Self { question, path }
    }

    /// The input, as far as `parts` go.
    pub(crate) fn input(&self, parts: &Parts) -> Value {
        let (mut top, mut http) = (BTreeMap::new(), BTreeMap::new());
        for (part, name) in Part::ALL.iter().zip(NAMES.iter()) {
            if parts.holds(*part)
                && let Some(value) = self.value(*part)
            {
                let members = if part.is_http() { &mut http } else { &mut top };
                members.insert(name.clone(), value);
            }
        }
        let [attributes, request, of_http, headers] = &*NESTED;
        if parts.has_headers() {
            http.insert(headers.clone(), self.headers(&parts.headers));
        }
        if !http.is_empty() {
            let inner = object([(of_http.clone(), Value::from(http))]);
            top.insert(attributes.clone(), object([(request.clone(), inner)]));
        }
        Value::from(top)
    }

    fn value(&self, part: Part) -> Option<Value> {
        let request = self.question.request();
        let identity = self.question.identity().map(|verified| verified.identity());
        let behalf = || identity?.on_behalf_of();
        let value = match part {
            Part::PrincipalId => identity?.principal().into(),
            Part::PrincipalEmail => identity?.email()?.into(),
            Part::PrincipalGroups => texts(identity.iter().flat_map(|one| one.groups())),
            Part::Scopes => texts(self.question.identity().into_iter().flat_map(told_scopes)),
            Part::Issuer => self.question.issuer()?.into(),
            Part::PrincipalOnBehalfOf => behalf()?.subject.into(),
            Part::PrincipalOnBehalfOfEmail => behalf()?.email?.into(),
            Part::PrincipalOnBehalfOfGroups => texts(behalf()?.groups()),
            Part::Method | Part::HttpMethod => text(request.method).as_ref().into(),
            Part::Path => self.path.into(),
            Part::ParsedPath => {
                let names = parsed_path(self.path).into_iter().map(Value::from);
                names.collect::<Vec<_>>().into()
            }
            Part::ParsedQuery => {
                let query = self.question.query().unwrap_or_default();
                Value::from(serde_json::Value::Object(parsed_query(&query)))
            }
            Part::Version => VERSION.clone(),
            Part::HttpPath => self.path_and_query().as_ref().into(),
            Part::HttpHost => text(request.authority).as_ref().into(),
        };
        Some(value)
    }

    fn path_and_query(&self) -> Cow<'_, str> {
        match self.question.query() {
            Some(query) => Cow::Owned(format!("{}?{query}", self.path)),
            None => Cow::Borrowed(self.path),
        }
    }

    fn headers(&self, wanted: &Headers) -> Value {
        let is_wanted = |name: &str| match wanted {
            Headers::Named(names) => names.contains(name),
            Headers::All => true,
        };
        let mut headers = BTreeMap::<String, String>::new();
        for header in self.question.headers() {
            let name = text(header.name).to_ascii_lowercase();
            if !is_wanted(&name) {
                continue;
            }
            let value = text(header.value);
            let joined = headers.entry(name);
            joined
                .and_modify(|before| *before = format!("{before},{value}"))
                .or_insert_with(|| value.into_owned());
        }
        let request = self.question.request();
        let pseudo = [
            (":method", text(request.method)),
            (":path", self.path_and_query()),
            (":authority", text(request.authority)),
        ];
        let pseudo = pseudo.into_iter().filter(|(name, _)| is_wanted(name));
        headers.extend(pseudo.map(|(name, value)| (name.to_owned(), value.into_owned())));
        object(headers.into_iter().map(|(name, value)| (name.into(), value.into())))
    }

    /// Names a decision that rests on these parts; `None`: any header may be read, and hardly ever do
    /// two requests have the same ones.
    pub(crate) fn key(&self, parts: &Parts) -> Option<Key> {
        let Headers::Named(names) = &parts.headers else { return None };
        let mut key = Key::new();
        let request = self.question.request();
        let identity = self.question.identity().map(|verified| verified.identity());
        let behalf = || identity?.on_behalf_of();
        for part in Part::ALL.iter().filter(|part| parts.holds(**part)) {
            let bytes: Option<&[u8]> = match part {
                Part::PrincipalId => identity.map(|one| one.principal().as_bytes()),
                Part::PrincipalEmail => identity.and_then(|one| one.email()).map(str::as_bytes),
                Part::PrincipalGroups => identity.map(|one| one.joined_groups().as_bytes()),
                Part::Scopes => {
                    let is_lost = identity.is_some_and(|one| one.losses.scopes > 0);
                    put(&mut key, is_lost.then_some(b"lost"));
                    identity.map(|one| one.joined_scopes().as_bytes())
                }
                Part::Issuer => self.question.issuer().map(str::as_bytes),
                Part::PrincipalOnBehalfOf => behalf().map(|one| one.subject.as_bytes()),
                Part::PrincipalOnBehalfOfEmail => {
                    behalf().and_then(|one| one.email).map(str::as_bytes)
                }
                Part::PrincipalOnBehalfOfGroups => behalf().map(|one| one.joined_groups.as_bytes()),
                Part::Method | Part::HttpMethod => Some(request.method),
                Part::Path | Part::ParsedPath => Some(self.path.as_bytes()),
                Part::Version => None,
                Part::HttpPath | Part::ParsedQuery => {
                    put(&mut key, Some(self.path.as_bytes()));
                    request.path.splitn(2, |byte| *byte == b'?').nth(1)
                }
                Part::HttpHost => Some(request.authority),
            };
            put(&mut key, bytes);
        }
        for name in names {
            match name.as_str() {
                ":method" => put(&mut key, Some(request.method)),
                ":authority" => put(&mut key, Some(request.authority)),
                ":path" => {
                    put(&mut key, Some(self.path.as_bytes()));
                    put(&mut key, request.path.splitn(2, |byte| *byte == b'?').nth(1));
                }
                name => {
                    let headers = self.question.headers();
                    let of_name =
                        headers.filter(|header| header.name.eq_ignore_ascii_case(name.as_bytes()));
                    of_name.for_each(|header| put(&mut key, Some(header.value)));
                    put(&mut key, None);
                }
            }
        }
        Some(key)
    }
}

/// Appends a text so that no two sequences of texts give the same bytes.
fn put(key: &mut Key, bytes: Option<&[u8]>) {
    let length = bytes.map_or(u32::MAX, |bytes| u32::try_from(bytes.len()).unwrap_or(u32::MAX - 1));
    key.extend_from_slice(&length.to_le_bytes());
    key.extend_from_slice(bytes.unwrap_or_default());
}

fn object(members: impl IntoIterator<Item = (Value, Value)>) -> Value {
    Value::from(members.into_iter().collect::<BTreeMap<_, _>>())
}

fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> Value {
    Value::from(texts.map(Value::from).collect::<Vec<_>>())
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

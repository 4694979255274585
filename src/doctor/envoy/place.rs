//! A value of a configuration and the way to it.

use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

use crate::doctor::report::Finding;

/// A value and where it stands, so that a finding can say where to mend.
#[derive(Clone, Debug)]
pub(super) struct Place<'v> {
    pub(super) value: &'v Value,
    pub(super) path: String,
}

impl<'v> Place<'v> {
    /// The documents of a file; with several, each is called by its number, from 0. Of a
    /// `List`, as `kubectl get` prints it, the items.
    pub(super) fn roots(documents: &'v [Value]) -> Vec<Self> {
        let root = |(index, value)| {
            let path =
                if documents.len() == 1 { String::new() } else { format!("document[{index}]") };
            Self { value, path }
        };
        let roots = documents.iter().enumerate().map(root);
        let listed = |root: Self| {
            let list = root.text("kind").is_some_and(|kind| kind.ends_with("List"));
            if list { root.items("items") } else { vec![root] }
        };
        roots.flat_map(listed).collect()
    }

    /// What is to be looked at together: an Envoy has one bootstrap, and reads nothing of another.
    pub(super) fn by_bootstrap(roots: &[Self]) -> Vec<Vec<Self>> {
        let (bootstraps, others): (Vec<_>, Vec<_>) =
            roots.iter().cloned().partition(|root| root.get("static_resources").is_some());
        if bootstraps.len() < 2 {
            return vec![roots.to_vec()];
        }
        let with_others = |root: Self| [vec![root], others.clone()].concat();
        bootstraps.into_iter().map(with_others).collect()
    }

    /// A member in either spelling; `None` too when it is null.
    pub(super) fn get(&self, name: &str) -> Option<Self> {
        let (spelled, value) = match self.value.get(name) {
            Some(value) => (name.to_owned(), value),
            None => {
                let camel = camel_case(name);
                let value = self.value.get(&camel)?;
                (camel, value)
            }
        };
        (!value.is_null()).then(|| Self { value, path: join(&self.path, &spelled) })
    }

    /// A member of a member, and so on: `a.b.c`.
    pub(super) fn at(&self, way: &str) -> Option<Self> {
        way.split('.').try_fold(self.clone(), |place, name| place.get(name))
    }

    /// The items of a list that is a member; empty when there is none.
    pub(super) fn items(&self, way: &str) -> Vec<Self> {
        self.at(way).map(|list| list.children()).unwrap_or_default()
    }

    /// The members of an object or the items of a list.
    pub(super) fn children(&self) -> Vec<Self> {
        match self.value {
            Value::Array(items) => {
                let item = |(index, value)| Self { value, path: format!("{}[{index}]", self.path) };
                items.iter().enumerate().map(item).collect()
            }
            Value::Object(members) => {
                let member = |(name, value): (&String, &'v Value)| Self {
                    value,
                    path: join(&self.path, name),
                };
                members.iter().map(member).collect()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    }

    /// A text that is a member.
    pub(super) fn text(&self, way: &str) -> Option<&'v str> {
        self.at(way)?.value.as_str()
    }

    /// A runtime key: dots in it may be those of names, or of structures.
    pub(super) fn nested(&self, key: &str) -> Option<Self> {
        let whole = self.value.get(key).map(|value| Self { value, path: join(&self.path, key) });
        let split = || {
            let mut ends = key.match_indices('.').map(|(end, _)| key.split_at(end));
            ends.find_map(|(first, rest)| self.nested(first)?.nested(rest.get(1..)?))
        };
        whole.or_else(split)
    }

    /// A boolean that is a member, also in Envoy's wrapper (`{value: true}`).
    pub(super) fn flag(&self, way: &str) -> Option<bool> {
        let place = self.at(way)?;
        boolean(place.value).or_else(|| boolean(place.value.get("value")?))
    }

    /// The texts of a list that is a member.
    pub(super) fn texts(&self, way: &str) -> Vec<&'v str> {
        self.items(way).iter().filter_map(|item| item.value.as_str()).collect()
    }

    /// A whole number that is a member; Envoy takes one as a text or with a point, too.
    pub(super) fn number(&self, way: &str) -> Option<u64> {
        let place = self.at(way)?;
        let place = place.get("value").unwrap_or(place);
        place.value.as_u64().or_else(|| {
            let number = place.value.as_f64().or_else(|| place.value.as_str()?.parse().ok())?;
            (number.fract() == 0.0).then(|| format!("{number:.0}").parse().ok())?
        })
    }

    /// A span: `0.25s` as Envoy writes it, `500ms` and `1m` as Kubernetes does.
    pub(super) fn span(&self, way: &str) -> Option<Duration> {
        let text = self.text(way)?;
        let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
        match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
            Some(span) => Some(span),
            None => humantime::parse_duration(text).ok(),
        }
    }

    /// The full name of its type, as its `@type` says it. Envoy goes by this alone: whatever a
    /// filter is called, it is what its type says.
    pub(super) fn type_name(&self) -> Option<&'v str> {
        self.value.get("@type")?.as_str()?.rsplit('/').next()
    }

    /// Whether its type is one of Envoy's own that ends so.
    pub(super) fn is_a(&self, kind: &str) -> bool {
        self.type_name().is_some_and(|name| name.starts_with("envoy.") && name.ends_with(kind))
    }

    /// It and everything in it, at any depth, from the top down.
    pub(super) fn all(&self) -> impl Iterator<Item = Self> + use<'v> {
        let mut left = vec![self.clone()];
        std::iter::from_fn(move || {
            let place = left.pop()?;
            left.extend(place.children().into_iter().rev());
            Some(place)
        })
    }

    /// The texts in it.
    pub(super) fn all_texts(&self) -> Vec<&'v str> {
        self.all().filter_map(|place| place.value.as_str()).collect()
    }

    /// Whether a text in it is one that `wanted` wants.
    pub(super) fn has_text(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.all().any(|place| place.value.as_str().is_some_and(&wanted))
    }

    /// The first field that stands there as `a_b` and as `aB`.
    pub(super) fn twice(&self) -> Option<Self> {
        self.all().find_map(|place| {
            let is_twice = |child: &Self| {
                let camel = camel_case(child.key());
                camel != child.key() && place.value.get(&camel).is_some()
            };
            place.children().into_iter().find(is_twice)
        })
    }

    /// Whether it stands somewhere in `above`.
    pub(super) fn is_below(&self, above: &Self) -> bool {
        let rest = self.path.strip_prefix(&above.path);
        rest.is_some_and(|rest| above.path.is_empty() || rest.starts_with(['.', '[']))
    }

    /// The name that it has in an object, unquoted.
    pub(super) fn key(&self) -> &str {
        let last = match self.path.strip_suffix('"') {
            Some(quoted) => quoted.rsplit('"').next(),
            None => self.path.rsplit('.').next(),
        };
        last.unwrap_or_default()
    }

    /// Everything below it, itself included, that `wanted` wants; what is inside of those
    /// is not looked at.
    pub(super) fn find(&self, wanted: &dyn Fn(&Place<'v>) -> bool) -> Vec<Place<'v>> {
        if wanted(self) {
            return vec![self.clone()];
        }
        // A dump of Envoy's has what is in the bootstrap a second time, as it came out.
        if self.is_a("BootstrapConfigDump") {
            return Vec::new();
        }
        self.children().iter().flat_map(|child| child.find(wanted)).collect()
    }

    /// Every member of this name, at any depth.
    pub(super) fn everywhere(&self, name: &str) -> Vec<Self> {
        self.all().filter_map(|place| place.get(name)).collect()
    }

    /// A choice that is a member: by its name in any case, or by its number in `names`.
    pub(super) fn choice(&self, way: &str, names: &[&'static str]) -> Option<&'v str> {
        if let Some(number) = self.number(way) {
            return names.get(usize::try_from(number).ok()?).copied();
        }
        let text = self.text(way)?;
        let known = names.iter().find(|name| name.eq_ignore_ascii_case(text));
        Some(known.copied().unwrap_or(text))
    }

    /// What is to be mended here, and how.
    pub(super) fn fail(
        &self,
        check: &'static str,
        found: impl Display,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding::fail(check, self.with_path(found), remedy)
    }

    /// What one should know of this place, and what to do about it.
    pub(super) fn warn(
        &self,
        check: &'static str,
        found: impl Display,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding::warn(check, self.with_path(found), remedy)
    }

    /// What is said of a place, and behind it the place: the way there is long.
    fn with_path(&self, found: impl Display) -> String {
        if self.path.is_empty() { found.to_string() } else { format!("{found}; at {}", self.path) }
    }
}

/// How many there are besides the one that is named.
pub(super) fn and_more(all: usize) -> String {
    if all > 1 { format!(" (and {} more)", all - 1) } else { String::new() }
}

/// Envoy reads YAML 1.1, where `yes` and `on` are booleans; to the parser here they are texts.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    if let Some(boolean) = value.as_bool() {
        return Some(boolean);
    }
    match value.as_str()?.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some(true),
        "false" | "no" | "off" | "n" => Some(false),
        _ => None,
    }
}

/// A name with dots in it is quoted: it would read as a way.
fn join(path: &str, name: &str) -> String {
    let quote = if name.contains('.') { "\"" } else { "" };
    let dot = if path.is_empty() { "" } else { "." };
    format!("{path}{dot}{quote}{name}{quote}")
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut chars = word.chars();
        camel.extend(chars.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn either_spelling_and_the_way_there() {
        let value = json!({"aB": [{"c_d": {"value": true}, "t": "0.25s"}, {"t": "2m"}], "n": null});
        let roots = [value];
        let root = &Place::roots(&roots)[0];
        let items = root.items("a_b");
        assert_eq!((items[0].path.as_str(), items[0].flag("c_d")), ("aB[0]", Some(true)));
        assert_eq!(items[0].span("t"), Some(Duration::from_millis(250)));
        assert_eq!(items[1].span("t"), Some(Duration::from_secs(120)));
        assert!(root.get("n").is_none());
    }
}

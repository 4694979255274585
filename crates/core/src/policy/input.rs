//! What a policy written in Rego is told of a request: NeMo Platform's fields, and those that OPA's
//! plugin for Envoy has.

use std::borrow::Cow;

use percent_encoding::{percent_decode, percent_decode_str};
use serde_json::{Map, Value, json};

use super::PolicyQuestion;
use crate::VerifiedIdentity;

impl PolicyQuestion<'_> {
    /// The input for one [reading](Self::paths) of the path.
    ///
    /// | member | holds |
    /// |---|---|
    /// | `principal_id`, `principal_email` | who it is from; absent where nobody says so |
    /// | `principal_groups`, `scopes` | arrays of strings, empty where there are none; `doorward:lost` among the scopes where some were dropped |
    /// | `issuer` | the token's `iss`; absent without a token |
    /// | `principal_on_behalf_of`, `…_email`, `…_groups` | for whom the principal acts; absent where it acts for itself |
    /// | `method`, `path` | of the request, the path without its query |
    /// | `attributes.request.http` | `method`, `path` with its query, `host`, `headers` by name in lower case, several of one name joined by `,`; those that are ours to send are left out |
    /// | `parsed_path`, `parsed_query` | the names in the path, decoded; arrays of values by name |
    /// | `version` | `{"encoding": "protojson", "ext_authz": "v3"}` |
    #[must_use]
    pub fn input(&self, path: &str) -> Value {
        let query = self.query();
        let whole = match &query {
            Some(query) => Cow::Owned(format!("{path}?{query}")),
            None => Cow::Borrowed(path),
        };
        let method = text(self.request.method);
        let host = text(self.request.authority);
        let headers = self.told_headers(&method, &whole, &host);
        let mut input = json!({
            "method": method,
            "path": path,
            "attributes": {"request": {"http": {
                "method": method, "path": whole, "host": host, "headers": headers,
            }}},
            "parsed_path": parsed_path(path),
            "parsed_query": parsed_query(query.as_deref().unwrap_or_default()),
            "principal_groups": [],
            "scopes": [],
            "version": {"encoding": "protojson", "ext_authz": "v3"},
        });
        if let (Value::Object(members), Some(verified)) = (&mut input, self.identity) {
            let identity = verified.identity();
            let texts = |texts: &mut dyn Iterator<Item = &str>| -> Value {
                texts.map(Value::from).collect::<Vec<_>>().into()
            };
            let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
            put("principal_id", identity.principal().into());
            put("principal_groups", texts(&mut identity.groups()));
            put("scopes", texts(&mut told_scopes(verified)));
            identity.email().map(|email| put("principal_email", email.into()));
            self.issuer.map(|issuer| put("issuer", issuer.into()));
            if let Some(behalf) = identity.on_behalf_of() {
                put("principal_on_behalf_of", behalf.subject.into());
                behalf.email.map(|email| put("principal_on_behalf_of_email", email.into()));
                put("principal_on_behalf_of_groups", texts(&mut behalf.groups()));
            }
        }
        input
    }

    /// The query as the client sent it, without a fragment.
    #[must_use]
    pub fn query(&self) -> Option<Cow<'_, str>> {
        let at = self.request.path.iter().position(|byte| *byte == b'?')?;
        let query = self.request.path.get(at + 1..).unwrap_or_default();
        Some(text(query.split(|byte| *byte == b'#').next().unwrap_or_default()))
    }

    /// The client's [headers](Self::headers) and, as Envoy has them, the pseudo headers.
    fn told_headers(&self, method: &str, path: &str, host: &str) -> Map<String, Value> {
        let mut headers = Map::new();
        for header in self.headers() {
            let (name, value) = (text(header.name).to_ascii_lowercase(), text(header.value));
            if let Some(Value::String(before)) = headers.get_mut(&name) {
                before.push(',');
                before.push_str(&value);
            } else {
                headers.insert(name, value.into());
            }
        }
        // Not as they came: the path is that of this reading, and not every front sends them.
        for (name, value) in [(":method", method), (":path", path), (":authority", host)] {
            headers.insert(name.to_owned(), value.into());
        }
        headers
    }
}

/// The scopes, and where some were dropped or could not be read one more that nothing asks for: NeMo
/// Platform's policies take a token that has none with a `:` for one that is not limited.
pub fn told_scopes(verified: &VerifiedIdentity) -> impl Iterator<Item = &str> {
    let lost = verified.scopes().some_lost.then_some("doorward:lost");
    verified.identity().scopes().chain(lost)
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The names in a path, decoded: `["v1", "models"]`; of `/`, one that is empty.
#[must_use]
pub fn parsed_path(path: &str) -> Vec<String> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.trim_start_matches('/').split('/').map(str::to_owned).collect()
}

/// The values of a query by name. What a strict reader leaves out or refuses (a broken escape, a `;`) is
/// here as it stands: the upstream may be a lenient one, and `not input.parsed_query.admin` has to hold
/// for it, too.
#[must_use]
pub fn parsed_query(query: &str) -> Map<String, Value> {
    let mut values = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let of_name = values.entry(form_decoded(name)).or_insert_with(|| json!([]));
        if let Value::Array(of_name) = of_name {
            of_name.push(form_decoded(value).into());
        }
    }
    values
}

/// A broken escape stays what it is.
fn form_decoded(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;
    use crate::identity::{HeaderRules, ProtectedHeaders};
    use crate::request::{HeaderView, RequestView, RouteView};
    use crate::rules::Readings;

    fn header<'a>(name: &'a str, value: &'a str) -> HeaderView<'a> {
        HeaderView { name: name.as_bytes(), value: value.as_bytes() }
    }

    #[test]
    fn what_a_policy_is_told_of_a_request_without_a_token() {
        let headers = [
            header("X-A", "1"),
            header("x-a", "2"),
            header(":path", "/other"),
            header("x_nmp_principal_id", "root"),
        ];
        let protected = ProtectedHeaders::new(&HeaderRules::default());
        let request = RequestView {
            method: b"GET",
            path: b"/v1/a%20b;v=1?x=1&x=2%2B&y&z=a+b&odd=%zz&q;r=1#f",
            authority: b"api.example:443",
            headers: &headers,
            route: RouteView::default(),
        };
        let path = Readings::One(request.path_without_query());
        let question =
            PolicyQuestion::new(&request, &path, None, None, &protected, UnixTime(7)).unwrap();
        let paths: Vec<_> = question.paths().collect();
        assert_eq!(paths, ["/v1/a%20b;v=1", "/v1/a%20b"]);
        let whole = "/v1/a%20b?x=1&x=2%2B&y&z=a+b&odd=%zz&q;r=1";
        let told = question.input(&paths[1]);
        assert_eq!(
            told,
            json!({
                "method": "GET",
                "path": "/v1/a%20b",
                "principal_groups": [],
                "scopes": [],
                "version": {"encoding": "protojson", "ext_authz": "v3"},
                "attributes": {"request": {"http": {
                    "method": "GET",
                    "path": whole,
                    "host": "api.example:443",
                    "headers": {
                        ":authority": "api.example:443", ":method": "GET", ":path": whole,
                        "x-a": "1,2",
                    },
                }}},
                "parsed_path": ["v1", "a b"],
                "parsed_query": {
                    "x": ["1", "2+"], "y": [""], "z": ["a b"], "odd": ["%zz"], "q;r": ["1"],
                },
            })
        );
        assert_eq!(parsed_path("/"), [""]);
    }
}

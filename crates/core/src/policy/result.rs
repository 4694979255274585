//! The result of a policy written in Rego → [`Verdict`].

use serde_json::{Map, Value};

use super::{PolicyFault, Said, Verdict};

impl Verdict {
    /// Reads the result of a policy: `true` or `false`, or an object with `allowed`, as NeMo
    /// Platform's policies and OPA's plugin for Envoy have it.
    ///
    /// | member | of a request that may pass | of a denial |
    /// |---|---|---|
    /// | `headers` | set for the upstream | set in the answer |
    /// | `request_headers_to_remove` | removed | |
    /// | `http_status`, `body` | | of the answer |
    /// | `dynamic_metadata` | told | told |
    ///
    /// Other members say nothing here.
    ///
    /// # Errors
    /// It is none of these, or a member is not what it should be.
    pub fn from_json(result: &Value) -> Result<Self, PolicyFault> {
        let members = match result {
            Value::Bool(allowed) => return Ok(Self::of(*allowed)),
            Value::Object(members) => members,
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(PolicyFault::NotAVerdict);
            }
        };
        let Some(allowed) = members.get("allowed").and_then(Value::as_bool) else {
            return Err(PolicyFault::NotAVerdict);
        };
        let said = said(members, allowed).ok_or(PolicyFault::UnfitVerdict)?;
        Self::of(allowed).saying(said).map_err(|_| PolicyFault::UnfitVerdict)
    }

    fn of(allowed: bool) -> Self {
        if allowed { Self::allow() } else { Self::deny() }
    }
}

fn said(members: &Map<String, Value>, allowed: bool) -> Option<Said> {
    let given = |name: &str, wanted: bool| members.get(name).filter(|_| wanted);
    let mut said = Said::default();
    if let Some(value) = given("headers", true) {
        said.headers = headers(value)?;
    }
    if let Some(value) = given("request_headers_to_remove", allowed) {
        let names = value.as_array()?.iter().map(|name| Some(name.as_str()?.to_ascii_lowercase()));
        said.remove = names.map(|name| name.map(Into::into)).collect::<Option<_>>()?;
    }
    // Policies give every request a status and a body, and 200 to those that may pass.
    if let Some(value) = given("http_status", !allowed) {
        said.status = Some(u16::try_from(value.as_u64()?).ok()?);
    }
    if let Some(value) = given("body", !allowed) {
        said.body = Some(value.as_str()?.into());
    }
    if let Some(value) = given("dynamic_metadata", true) {
        said.metadata = value.as_object()?.clone();
    }
    Some(said)
}

/// An object, or an array of objects: names, and a value each or an array of values.
fn headers(value: &Value) -> Option<Vec<(Box<str>, Box<str>)>> {
    let of_object = |object: &Value| {
        let object = object.as_object()?;
        let header = |(name, value): (&String, &Value)| {
            Some((name.to_ascii_lowercase().into(), header_value(value)?.into()))
        };
        object.iter().map(header).collect::<Option<Vec<_>>>()
    };
    match value {
        Value::Array(objects) => {
            Some(objects.iter().map(of_object).collect::<Option<Vec<_>>>()?.concat())
        }
        Value::Object(_) => of_object(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn header_value(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        // Several values of one name are one, joined (RFC 9110 §5.3).
        Value::Array(values) => {
            let texts = values.iter().map(|value| value.as_str());
            Some(texts.collect::<Option<Vec<_>>>()?.join(", "))
        }
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(result: Value) -> Result<(bool, Said), PolicyFault> {
        let verdict = Verdict::from_json(&result)?;
        Ok((verdict.is_allowed(), verdict.said().map(|said| (**said).clone()).unwrap_or_default()))
    }

    #[test]
    fn results_of_nemos_policies_and_of_opas_plugin() {
        let header = |name: &str, value: &str| (name.into(), value.into());
        assert_eq!(read(json!(true)), Ok((true, Said::default())));
        assert_eq!(read(json!(false)), Ok((false, Said::default())));
        let nemo = json!({"allowed": true, "headers": {"X-NMP-Authorized": "true"}});
        let headers = vec![header("x-nmp-authorized", "true")];
        assert_eq!(read(nemo), Ok((true, Said { headers, ..Said::default() })));
        // The example of the plugin's documentation.
        let full = |allowed: bool| {
            json!({
                "allowed": allowed,
                "headers": {"x-a": ["1", "2"], "x-b": "yes"},
                "body": "Unauthorized Request",
                "http_status": if allowed { 200 } else { 301 },
                "request_headers_to_remove": ["One-Auth-Header"],
                "response_headers_to_add": {"x-foo": "bar"},
                "dynamic_metadata": {"foo": "bar"},
            })
        };
        let headers = vec![header("x-a", "1, 2"), header("x-b", "yes")];
        let metadata = json!({"foo": "bar"}).as_object().unwrap().clone();
        let both = Said { headers, metadata, ..Said::default() };
        let remove = vec!["one-auth-header".into()];
        assert_eq!(read(full(true)), Ok((true, Said { remove, ..both.clone() })));
        let (status, body) = (Some(301), Some("Unauthorized Request".into()));
        assert_eq!(read(full(false)), Ok((false, Said { status, body, ..both })));
        let listed = json!({"allowed": false, "headers": [{"A": "1"}, {"B": true}]});
        assert_eq!(read(listed).unwrap().1.headers, [header("a", "1"), header("b", "true")]);
    }

    #[test]
    fn what_is_no_verdict() {
        for none in [
            json!(null),
            json!("true"),
            json!(1),
            json!([true]),
            json!({}),
            json!({"allow": true}),
            json!({"allowed": "true"}),
            json!({"allowed": null}),
        ] {
            assert_eq!(read(none.clone()), Err(PolicyFault::NotAVerdict), "{none}");
        }
        for unfit in [
            json!({"allowed": false, "http_status": "403"}),
            json!({"allowed": false, "http_status": 200}),
            json!({"allowed": false, "body": {}}),
            json!({"allowed": true, "headers": "x"}),
            json!({"allowed": true, "headers": {"a": {"b": "c"}}}),
            json!({"allowed": true, "headers": {"host": "elsewhere"}}),
            json!({"allowed": true, "headers": {"a": "x\r\ny: z"}}),
            json!({"allowed": true, "request_headers_to_remove": "a"}),
            json!({"allowed": true, "dynamic_metadata": []}),
        ] {
            assert_eq!(read(unfit.clone()), Err(PolicyFault::UnfitVerdict), "{unfit}");
        }
    }
}

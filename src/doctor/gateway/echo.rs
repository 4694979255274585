//! The headers that an upstream says it got, however it says so.

use serde_json::Value;

use doorward_core::identity;

/// Names (as they were written) and values found in an answer: in JSON as members with a
/// text or texts, as pairs, or as `{name, value}`; else in lines `Name: value`.
pub(super) fn headers(body: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    match serde_json::from_str::<Value>(body) {
        Ok(value) => collect(&value, &mut found),
        Err(_) => {
            for line in body.lines() {
                if let Some((name, value)) = line.split_once([':', '=']) {
                    found.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
        }
    }
    found
}

/// A name with any sign read as `-`, in lower case, without what CGI puts in front.
pub(super) fn folded(name: &str) -> String {
    let name = identity::folded(name);
    name.strip_prefix("http-").map(str::to_owned).unwrap_or(name)
}

fn collect(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            if let (Some(name), Some(value)) = (text("name").or(text("key")), text("value")) {
                found.push((name.to_owned(), value.to_owned()));
            }
            for (name, value) in members {
                match value {
                    Value::String(text) => found.push((name.clone(), text.clone())),
                    Value::Array(items) if items.iter().all(Value::is_string) => {
                        for item in items.iter().filter_map(Value::as_str) {
                            found.push((name.clone(), item.to_owned()));
                        }
                    }
                    Value::Null | Value::Bool(_) | Value::Number(_) => {}
                    Value::Array(_) | Value::Object(_) => collect(value, found),
                }
            }
        }
        Value::Array(items) => {
            if let [Value::String(name), Value::String(value)] = items.as_slice() {
                found.push((name.clone(), value.clone()));
            } else {
                items.iter().for_each(|item| collect(item, found));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_in_every_form() {
        for body in [
            r#"{"headers": {"X-A": "1", "Host": "h"}}"#,
            r#"{"headers": {"x-a": ["1"]}}"#,
            r#"{"headers": [["x-a", "1"], ["b", "2"]]}"#,
            r#"{"request": {"headers": [{"name": "x_a", "value": "1"}]}}"#,
            "GET / HTTP/1.1\nhost: h\nX-A: 1\n",
            "HTTP_X_A=1",
        ] {
            let found = headers(body);
            assert!(
                found.iter().any(|(name, value)| folded(name) == "x-a" && value == "1"),
                "{body}"
            );
        }
    }
}

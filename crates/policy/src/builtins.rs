//! The functions that a policy can call besides its own.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regorus::Value;
use regorus::unstable::BUILTINS;

/// Those whose value may differ from one evaluation to the next.
const UNSTEADY: [&str; 3] = ["rand.intn", "time.now_ns", "uuid.rfc4122"];

/// Functions of OPA that are known and not here, and what to do instead.
const REFUSED: [(&str, &str); 6] = [
    ("http.send", "a policy reaches nothing outside: hand what it would ask for over as data"),
    ("net.lookup_ip_addr", "a policy reaches nothing outside: hand addresses over as data"),
    ("opa.runtime", "there is no OPA whose configuration it could tell"),
    ("rego.", "a policy cannot look at its own source here"),
    ("io.jwt.decode_verify", VERIFIED),
    ("io.jwt.verify_", VERIFIED),
];

const VERIFIED: &str = "Doorward has verified the token already; `io.jwt.decode` gives its claims";

/// The one function that is ours: OPA's, which regorus has not.
pub(crate) const JWT_DECODE: &str = "io.jwt.decode";

/// Whether there is such a function.
pub(crate) fn is_known(name: &str) -> bool {
    [JWT_DECODE, "print"].contains(&name) || BUILTINS.contains_key(name)
}

/// Whether its value may differ each time.
pub(crate) fn is_unsteady(name: &str) -> bool {
    UNSTEADY.contains(&name)
}

/// The first verb of a `sprintf` format that comes to something else in regorus than in OPA.
pub(crate) fn unknown_verb(format: &str) -> Option<String> {
    let mut rest = format;
    while let Some((_, after)) = rest.split_once('%') {
        let verb = after.find(|char: char| char != '.' && !char.is_ascii_digit());
        let (width, from_verb) = after.split_at(verb.unwrap_or(after.len()));
        let verb = from_verb.chars().next();
        let decimals = width.strip_prefix('.').is_some_and(|digits| !digits.contains('.'));
        let is_known = match verb {
            Some('%' | 's' | 'v' | 'b' | 'c') => width.is_empty(),
            Some('d' | 'x' | 'X') => width.len() < 4 && !width.contains('.'),
            Some('f') => decimals && width.len() < 4,
            _ => false,
        };
        if !is_known {
            return Some(format!("%{width}{}", verb.map(String::from).unwrap_or_default()));
        }
        rest = from_verb.get(1..).unwrap_or_default();
    }
    None
}

/// What is wrong with a call of a function that there is not.
pub(crate) fn why_not(name: &str, own: impl Iterator<Item = String>) -> String {
    let refused = REFUSED.iter().find(|(refused, _)| {
        name == *refused || refused.ends_with(['.', '_']) && name.starts_with(refused)
    });
    if let Some((_, why)) = refused {
        return format!("`{name}` cannot be called: {why}");
    }
    let known = BUILTINS.keys().map(|name| (*name).to_owned()).chain(own);
    let nearest = nearest(name, known.chain([JWT_DECODE.to_owned()]));
    format!("there is no function `{name}` here{nearest}")
}

/// `; did you mean …?`, when one of these is near.
pub(crate) fn nearest(name: &str, known: impl Iterator<Item = String>) -> String {
    let near = known.map(|known| (strsim::jaro_winkler(name, &known), known));
    let best = near.filter(|(near, _)| *near > 0.85).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, known)| format!("; did you mean `{known}`?")).unwrap_or_default()
}

/// `io.jwt.decode(token)`: `[header, claims, signature in hex]`, unverified. Undefined for what is no
/// token, as in OPA.
pub(crate) fn jwt_decode(token: &Value) -> Value {
    decoded(token).unwrap_or(Value::Undefined)
}

fn decoded(token: &Value) -> Option<Value> {
    let token = token.as_string().ok()?;
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let (header, claims, signature) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let object = |json: &[u8]| {
        let value = Value::from_json_str(str::from_utf8(json).ok()?).ok()?;
        value.as_object().is_ok().then_some(value)
    };
    let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = Value::String(Arc::from(hex));
    Some(Value::from(vec![object(&header)?, object(&claims)?, signature]))
}

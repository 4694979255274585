//! Environment variables and `--set`: a name that leads to a key, and a text that is
//! read as what the schema expects there.

use super::format::Format;
use super::key_path::KeyPath;
use super::nearest::{nearest, nearest_variable, same_letters};
use super::problem::Problem;
use super::shape::{Key, Shape};
use super::tree::{Content, Node};

/// NeMo Platform's names: `NMP_AUTH_OIDC__ISSUER`.
pub(super) const NEMO_PREFIX: &str = "NMP_AUTH_";
/// The path of NeMo Platform's own file.
pub(super) const NEMO_FILE: &str = "NMP_CONFIG_FILE_PATH";
/// Doorward's names: `DOORWARD_AUTH__OIDC__ISSUER`.
pub(super) const PREFIX: &str = "DOORWARD_";

/// Variables that stand for flags of the command line, steer tests, or say where
/// `scripts/fetch` has put a tool: no configuration.
const RESERVED: [&str; 15] = [
    "DOORWARD_CONFIG",
    "DOORWARD_UPDATE_DOCS",
    "DOORWARD_SKIP",
    "DOORWARD_ENVOY",
    "DOORWARD_KEYCLOAK",
    "DOORWARD_OIDC_PROVIDER",
    "DOORWARD_CHROMIUM",
    "DOORWARD_CHROMEDRIVER",
    "DOORWARD_GNOME_KEYRING",
    "DOORWARD_GHZ",
    "DOORWARD_GRPCURL",
    "DOORWARD_ISTIOCTL",
    "DOORWARD_EGCTL",
    "DOORWARD_CARGO_DENY",
    "DOORWARD_CARGO_FUZZ",
];
/// Name spaces of the same kind: of the tests, and of what is no server.
const RESERVED_PREFIXES: [&str; 2] = ["DOORWARD_TEST_", "DOORWARD_CLI_"];

/// What a variable is to Doorward.
#[derive(Debug)]
pub(super) enum Variable {
    /// It has another purpose, or is another program's.
    None,
    /// It sets this.
    Sets(Node),
    /// It is meant to set something, and sets nothing.
    Misspelled(Problem),
    /// It means nothing here, and does not look as if it should.
    Meaningless,
}

/// What a variable called `name` sets, under its sections.
pub(super) fn doorward_variable(name: &str, value: &str) -> Variable {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Variable::None };
    let reserved =
        RESERVED.contains(&name) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    if reserved || is_kubernetes_link(rest, value) {
        return Variable::None;
    }
    match variable(rest, value) {
        Some(node) => Variable::Sets(node),
        // Charts and images set names like DOORWARD_VERSION for purposes of their own.
        None if !rest.contains("__") && !begins_like_a_section(rest) => Variable::Meaningless,
        None => {
            let nearest = nearest_variable(rest).map(|key| variable_name(&key));
            Variable::Misspelled(Problem::UnknownVariable { nearest })
        }
    }
}

/// What a `NMP_AUTH_*` variable sets. Most names without a meaning here have one for NeMo.
pub(super) fn nemo_variable(name: &str, value: &str) -> Variable {
    let Some(rest) = name.strip_prefix(NEMO_PREFIX) else { return Variable::None };
    let ours = format!("AUTH__{rest}");
    if let Some(node) = variable(&ours, value) {
        return Variable::Sets(node);
    }
    match same_letters(&ours) {
        Some(key) => {
            let below = key.steps().get(1..).unwrap_or_default().join("__").to_uppercase();
            let nearest = Some(format!("{NEMO_PREFIX}{below}"));
            Variable::Misspelled(Problem::UnknownVariable { nearest })
        }
        None => Variable::Meaningless,
    }
}

/// Whether the first part of a name may have been meant for a section: two letters of it are
/// wrong, or one where it has so few that other words are as near (`PATH` is to `AUTH`).
fn begins_like_a_section(name: &str) -> bool {
    let first = name.split('_').next().unwrap_or_default().to_ascii_lowercase();
    Shape::of_config().keys().iter().any(|section| {
        let section = section.name.split('_').next().unwrap_or_default();
        let most = if section.len() < 5 { 1 } else { 2 };
        strsim::osa_distance(section, &first) <= most
    })
}

/// The variable that sets `key`.
pub(super) fn variable_name(key: &KeyPath) -> String {
    format!("{PREFIX}{}", key.steps().join("__").to_uppercase())
}

/// What `--set KEY=VALUE` sets.
pub(super) fn override_flag(text: &str) -> Result<Node, (KeyPath, Problem)> {
    let malformed = || (KeyPath::default(), Problem::NotAnOverride(text.into()));
    let (name, value) = text.split_once('=').ok_or_else(malformed)?;
    if name.trim().is_empty() {
        return Err(malformed());
    }
    let name = name.trim();
    let mut path = KeyPath::default();
    let mut shape = Shape::of_config();
    let mut key = None;
    let mut rest = name;
    while !rest.is_empty() {
        // Below a table the rest is one name, whatever dots it holds.
        if let Shape::Table(item) = shape {
            let path = path.join(rest);
            return Ok(setting(&path, &plain_key(item), value));
        }
        let (step, below) = rest.split_once('.').unwrap_or((rest, ""));
        let Some(found) = shape.key(step) else {
            let unknown = Problem::UnknownKey { nearest: nearest(&path, shape, step) };
            return Err((KeyPath::dotted(name), unknown));
        };
        path = path.join(step);
        shape = &found.shape;
        key = Some(found);
        rest = below;
    }
    key.map(|key| setting(&path, key, value)).ok_or_else(malformed)
}

/// Walks down the sections; `None` when no key is called that.
fn variable(name: &str, value: &str) -> Option<Node> {
    let mut path = KeyPath::default();
    let mut shape = Shape::of_config();
    let mut key: Option<&Key> = None;
    for step in name.split("__") {
        let found = shape.keys().iter().find(|key| key.name.eq_ignore_ascii_case(step))?;
        path = path.join(&found.name);
        shape = &found.shape;
        key = Some(found);
    }
    Some(setting(&path, key?, value))
}

fn plain_key(shape: &Shape) -> Key {
    Key {
        name: String::new(),
        shape: shape.clone(),
        nullable: false,
        about: String::new(),
        default: serde_json::Value::Null,
    }
}

fn setting(path: &KeyPath, key: &Key, value: &str) -> Node {
    let content = if key.nullable && value.is_empty() {
        // As good as unset, which is how compose files and charts leave things out.
        Content::Null
    } else {
        coerce(value, &key.shape)
    };
    Node::nested(path.steps(), Node::unlocated(content))
}

/// Reads `text` as what `shape` expects. What cannot be read so stays a text, which the
/// check of types then refuses, as it would anywhere else.
fn coerce(text: &str, shape: &Shape) -> Content {
    let json = || Format::json_value(text).map(|node| node.content);
    let read = match shape {
        Shape::Text | Shape::Choice(_) => None,
        Shape::Truth => truth(text).map(Content::Bool),
        Shape::Number { .. } => {
            text.trim().parse::<u64>().ok().map(|number| Content::Number(number.into()))
        }
        Shape::List(item) => list(text, item),
        Shape::Table(_) | Shape::Section(_) | Shape::Anything => json(),
        Shape::Either(shapes) => shapes
            .iter()
            .filter(|shape| **shape != Shape::Text)
            .map(|shape| coerce(text, shape))
            .find(|read| !matches!(read, Content::Text(_))),
    };
    read.unwrap_or_else(|| Content::Text(text.to_owned()))
}

fn list(text: &str, item: &Shape) -> Option<Content> {
    let text = text.trim();
    if text.starts_with('[') {
        return Format::json_value(text).map(|node| node.content);
    }
    let texts = matches!(item, Shape::Text);
    (texts || text.is_empty()).then(|| {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Content::List(items.map(|item| Node::unlocated(Content::Text(item.to_owned()))).collect())
    })
}

/// The spellings that NeMo Platform takes for a truth value in its variables.
fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
        "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// Kubernetes puts variables like `DOORWARD_SERVICE_HOST` and
/// `DOORWARD_PORT_9191_TCP_ADDR` into every pod beside a Service called `doorward` (or
/// `doorward-…`). They are no typos of ours, and must not stop the start.
fn is_kubernetes_link(rest: &str, value: &str) -> bool {
    let last = |part: &str| rest == part || rest.ends_with(&format!("_{part}"));
    let starts_or_holds = |part: &str| rest.starts_with(part) || rest.contains(&format!("_{part}"));
    let is_url = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let port_link = || {
        rest.split("PORT_").skip(1).any(|tail| {
            let digits = tail.chars().take_while(char::is_ascii_digit).count();
            let after = tail.get(digits..).unwrap_or_default();
            digits > 0 && ["_TCP", "_UDP", "_SCTP"].iter().any(|name| after.starts_with(name))
        })
    };
    last("SERVICE_HOST")
        || last("SERVICE_PORT")
        || starts_or_holds("SERVICE_PORT_")
        || (last("PORT") && is_url())
        || port_link()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(name: &str, value: &str) -> Value {
        let Variable::Sets(node) = doorward_variable(name, value) else { panic!("{name}") };
        node.to_json()
    }

    #[test]
    fn a_text_is_read_as_the_key_expects() {
        let oidc = |key: &str, value: Value| json!({"auth": {"oidc": {key: value}}});
        let set_oidc = |key: &str, text| set(&format!("DOORWARD_AUTH__OIDC__{key}"), text);
        assert_eq!(set_oidc("CLIENT_ID", "123"), oidc("client_id", json!("123")));
        assert_eq!(set_oidc("CLIENT_ID", "true"), oidc("client_id", json!("true")));
        assert_eq!(set_oidc("CLIENT_ID", ""), oidc("client_id", Value::Null));
        assert_eq!(set_oidc("VERIFY_AUDIENCE", "False"), oidc("verify_audience", json!(false)));
        assert_eq!(set_oidc("AUDIENCE", "a"), oidc("audience", json!(["a"])));
        assert_eq!(set_oidc("AUDIENCE", "a, b"), oidc("audience", json!(["a", "b"])));
        assert_eq!(set_oidc("AUDIENCE", "[\"a,b\"]"), oidc("audience", json!(["a,b"])));
        // No JSON: a text, which is then refused.
        assert_eq!(set_oidc("AUDIENCE", "[\"a\",]"), oidc("audience", json!("[\"a\",]")));
        assert_eq!(set_oidc("ALLOWED_TENANTS", "x"), oidc("allowed_tenants", json!(["x"])));
        assert_eq!(set_oidc("ALLOWED_TENANTS", ""), oidc("allowed_tenants", json!([])));
        assert_eq!(set_oidc("DISCOVERY_CACHE_TTL", "60"), oidc("discovery_cache_ttl", json!(60)));
        assert_eq!(set_oidc("DISCOVERY_CACHE_TTL", "5m"), oidc("discovery_cache_ttl", json!("5m")));
        assert_eq!(set_oidc("JWKS", "{\"keys\":[]}"), oidc("jwks", json!({"keys": []})));
        assert_eq!(
            set("DOORWARD_AUTH__ISSUERS", "[{\"issuer\":\"https://a\"}]"),
            json!({"auth": {"issuers": [{"issuer": "https://a"}]}})
        );
        assert_eq!(
            set("DOORWARD_HEADERS__CLAIMS", "{\"X-Tenant\":\"tid\"}"),
            json!({"headers": {"claims": {"X-Tenant": "tid"}}})
        );
        assert_eq!(set("DOORWARD_SERVER__WORKERS", "many"), json!({"server": {"workers": "many"}}));
    }

    #[test]
    fn variables_of_flags_tests_and_kubernetes_are_no_configuration() {
        for (name, value) in [
            ("PATH", "/bin"),
            ("DOORWARD_CONFIG", "x.yaml"),
            ("DOORWARD_ENVOY", "/usr/bin/envoy"),
            ("DOORWARD_TEST_SEED", "1"),
            ("DOORWARD_SERVICE_HOST", "10.0.0.1"),
            ("DOORWARD_SERVICE_PORT", "9191"),
            ("DOORWARD_SERVICE_PORT_GRPC", "9191"),
            ("DOORWARD_PORT", "tcp://10.0.0.1:9191"),
            ("DOORWARD_PORT_9191_TCP_ADDR", "10.0.0.1"),
            ("DOORWARD_ADMIN_SERVICE_HOST", "10.0.0.1"),
            ("DOORWARD_ADMIN_PORT_9192_TCP", "tcp://10.0.0.1:9192"),
        ] {
            let found = doorward_variable(name, value);
            assert!(matches!(found, Variable::None), "{name}: {found:?}");
        }
    }

    #[test]
    fn an_unknown_variable_names_its_neighbour() {
        let problem = |name: &str| {
            let nemo = name.starts_with(NEMO_PREFIX);
            let read = if nemo { nemo_variable } else { doorward_variable };
            let Variable::Misspelled(problem) = read(name, "x") else { panic!("{name}") };
            problem.to_string()
        };
        assert_eq!(
            problem("DOORWARD_AUTH__OIDC__ISUER"),
            "is not the name of a key; did you mean DOORWARD_AUTH__OIDC__ISSUER?"
        );
        assert_eq!(
            problem("DOORWARD_AUTH_OIDC_ISSUER"),
            "is not the name of a key; did you mean DOORWARD_AUTH__OIDC__ISSUER?"
        );
        for (name, meant) in [
            ("NMP_AUTH_OIDC_ISSUER", "NMP_AUTH_OIDC__ISSUER"),
            ("NMP_AUTH_OIDC_CLIENT_ID", "NMP_AUTH_OIDC__CLIENT_ID"),
            ("NMP_AUTH__ENABLED", "NMP_AUTH_ENABLED"),
            ("DOORWARD_ATUH_OIDC_ISSUER", "DOORWARD_AUTH__OIDC__ISSUER"),
            ("DOORWARD_SEVER_WORKERS", "DOORWARD_SERVER__WORKERS"),
            ("DOORWARD_LOG_LEVEL", "DOORWARD_LOG__LEVEL"),
        ] {
            assert_eq!(problem(name), format!("is not the name of a key; did you mean {meant}?"));
        }
        assert_eq!(problem("DOORWARD_NO__SUCH"), "is not the name of a key");
    }

    #[test]
    fn variables_of_charts_and_images_mean_nothing_here() {
        for name in [
            "VERSION",
            "IMAGE_TAG",
            "IMAGE",
            "REPLICAS",
            "ENV",
            "ENVIRONMENT",
            "PORT",
            "HOST",
            "PATH",
            "TAG",
            "NAMESPACE",
            "HOME",
            "NAME",
            "NONSENSE",
        ] {
            let found = doorward_variable(&format!("{PREFIX}{name}"), "1");
            assert!(matches!(found, Variable::Meaningless), "{name}: {found:?}");
        }
    }

    #[test]
    fn nemo_names_begin_at_auth() {
        let set = |name: &str| match nemo_variable(name, "1") {
            Variable::Sets(node) => Some(node.to_json()),
            Variable::None | Variable::Misspelled(_) | Variable::Meaningless => None,
        };
        assert_eq!(set("NMP_AUTH_ENABLED"), Some(json!({"auth": {"enabled": true}})));
        assert_eq!(set("NMP_AUTH_OIDC__ISSUER"), Some(json!({"auth": {"oidc": {"issuer": "1"}}})));
        assert!(matches!(nemo_variable("NMP_AUTH_ADMIN_EMAIL", "1"), Variable::Meaningless));
        assert!(matches!(nemo_variable("NMP_PLATFORM_URL", "1"), Variable::None));
    }

    #[test]
    fn flags_reach_every_key_and_names_of_tables() {
        let set = |text: &str| override_flag(text).ok().map(|set| set.to_json());
        assert_eq!(set("auth.enabled=false"), Some(json!({"auth": {"enabled": false}})));
        assert_eq!(
            set("headers.claims.X-My.Tenant=tid"),
            Some(json!({"headers": {"claims": {"X-My.Tenant": "tid"}}}))
        );
        assert_eq!(set("denial.realm=a=b"), Some(json!({"denial": {"realm": "a=b"}})));
        let problem = |text: &str| override_flag(text).err().unwrap().1.to_string();
        assert_eq!(problem("auth.enable=1"), "unknown key; did you mean auth.enabled?");
        assert!(problem("auth.enabled").contains("KEY=VALUE"));
        assert!(problem("=x").contains("KEY=VALUE"));
        assert!(problem("auth.issuers.0.issuer=x").starts_with("unknown key"));
    }
}

//! Environment variables and `--set`: a name that leads to a key, and a text that is
//! read as what the schema expects there.

use figment::value::{Empty, Value};
use regex::Regex;

use super::format::Format;
use super::key_path::KeyPath;
use super::nearest::{nearest, nearest_variable, same_letters};
use super::nemo;
use super::problem::Problem;
use super::reader::Reader;
use super::shape::{Shape, keys};

/// NeMo Platform's names: `NMP_AUTH_OIDC__ISSUER`.
pub(super) const NEMO_PREFIX: &str = "NMP_AUTH_";
/// The path of NeMo Platform's own file.
pub(super) const NEMO_FILE: &str = "NMP_CONFIG_FILE_PATH";
/// Doorward's names: `DOORWARD_AUTH__OIDC__ISSUER`.
pub(super) const PREFIX: &str = "DOORWARD_";

/// Variables that stand for flags of the command line, steer tests, or say where
/// `scripts/fetch` has put a tool: no configuration.
const RESERVED: [&str; 17] = [
    "DOORWARD_CONFIG",
    "DOORWARD_UPDATE_DOCS",
    "DOORWARD_SKIP",
    "DOORWARD_ENVOY",
    "DOORWARD_MODULE",
    "DOORWARD_KEYCLOAK",
    "DOORWARD_OIDC_PROVIDER",
    "DOORWARD_CHROMIUM",
    "DOORWARD_CHROMEDRIVER",
    "DOORWARD_GNOME_KEYRING",
    "DOORWARD_GHZ",
    "DOORWARD_GRPCURL",
    "DOORWARD_ISTIOCTL",
    "DOORWARD_EGCTL",
    "DOORWARD_OPA",
    "DOORWARD_CARGO_DENY",
    "DOORWARD_CARGO_FUZZ",
];
/// Name spaces of the same kind: of the tests, and of what is no server.
const RESERVED_PREFIXES: [&str; 2] = ["DOORWARD_TEST_", "DOORWARD_CLI_"];

/// A key, and the value that a variable or a flag gives it.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) key: KeyPath,
    pub(super) value: Value,
}

/// What a variable is to Doorward.
#[derive(Debug)]
pub(super) enum Variable {
    /// It has another purpose, or is another program's.
    None,
    /// It sets this.
    Sets(Setting),
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
        Some(setting) => Variable::Sets(setting),
        None if nemo::owns_variable(rest) => Variable::Meaningless,
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
    if let Some(setting) = variable(&ours, value) {
        return Variable::Sets(setting);
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

/// Whether a variable sets a key of NeMo Platform's own, by its name or by ours.
pub(super) fn is_nemos(name: &str) -> bool {
    name.starts_with(NEMO_PREFIX) || name.strip_prefix(PREFIX).is_some_and(nemo::owns_variable)
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
pub(super) fn override_flag(text: &str) -> Result<Setting, (KeyPath, Problem)> {
    let (name, value) = text.split_once('=').unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        return Err((KeyPath::default(), Problem::NotAnOverride(text.into())));
    }
    let set = keys().iter().find_map(|(path, key)| {
        let below = name.strip_prefix(&path.to_string())?;
        match (&key.shape, below.strip_prefix('.')) {
            (shape, None) if below.is_empty() => Some(setting(path, shape, key.nullable, value)),
            // Below a table the rest is one name, whatever dots it holds.
            (Shape::Table(item), Some(name)) => Some(setting(&path.join(name), item, false, value)),
            _ => None,
        }
    });
    set.ok_or_else(|| {
        let key = KeyPath::dotted(name);
        let nearest = nearest(&key, Reader::Server);
        (key, Problem::UnknownKey { nearest })
    })
}

/// What a variable sets, by its name without the prefix; `None` when no key is called that.
fn variable(name: &str, value: &str) -> Option<Setting> {
    let is_named = |path: &KeyPath| path.steps().join("__").eq_ignore_ascii_case(name);
    let (path, key) = keys().iter().find(|(path, _)| is_named(path))?;
    Some(setting(path, &key.shape, key.nullable, value))
}

fn setting(key: &KeyPath, shape: &Shape, nullable: bool, text: &str) -> Setting {
    // Nothing is as good as unset, which is how compose files and charts leave things out.
    let unset = nullable && text.is_empty();
    let value = if unset { Value::from(Empty::None) } else { coerce(text, shape) };
    Setting { key: key.clone(), value }
}

/// Reads `text` as what `shape` expects. What cannot be read so stays a text, which the
/// check of types then refuses, as it would anywhere else.
fn coerce(text: &str, shape: &Shape) -> Value {
    let read = match shape {
        Shape::Text | Shape::Secret | Shape::Choice(_) => None,
        Shape::Truth => truth(text).map(Value::from),
        Shape::Number { .. } => text.trim().parse::<u64>().ok().map(Value::from),
        Shape::List(item) => list(text.trim(), item),
        Shape::Table(_) | Shape::Section(_) | Shape::Anything => json(text),
        Shape::Either(shapes) => shapes
            .iter()
            .filter(|shape| **shape != Shape::Text)
            .map(|shape| coerce(text, shape))
            .find(|read| read.as_str().is_none()),
    };
    read.unwrap_or_else(|| text.into())
}

fn json(text: &str) -> Option<Value> {
    Format::Json.parse(text).ok().map(|document| document.value)
}

fn list(text: &str, item: &Shape) -> Option<Value> {
    if text.starts_with('[') {
        return json(text);
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    (*item == Shape::Text || text.is_empty()).then(|| items.collect::<Vec<_>>().into())
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
    const LINK: &str = r"(^|_)(SERVICE_HOST$|SERVICE_PORT($|_)|PORT_[0-9]+_(TCP|UDP|SCTP))";
    const ADDRESS: &str = r"^(tcp|udp|sctp)://";
    let matches = |pattern, text| Regex::new(pattern).is_ok_and(|it| it.is_match(text));
    let is_port = rest == "PORT" || rest.ends_with("_PORT");
    matches(LINK, rest) || (is_port && matches(ADDRESS, value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fault::Origin;
    use super::super::layer::Layer;
    use super::*;

    fn nested(setting: Setting) -> Value {
        json!(Layer::of(Origin::Set, &setting.key, setting.value).value)
    }

    fn set(name: &str, value: &str) -> Value {
        let Variable::Sets(setting) = doorward_variable(name, value) else { panic!("{name}") };
        nested(setting)
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
            Variable::Sets(setting) => Some(nested(setting)),
            Variable::None | Variable::Misspelled(_) | Variable::Meaningless => None,
        };
        assert_eq!(set("NMP_AUTH_ENABLED"), Some(json!({"auth": {"enabled": true}})));
        assert_eq!(set("NMP_AUTH_OIDC__ISSUER"), Some(json!({"auth": {"oidc": {"issuer": "1"}}})));
        assert!(matches!(nemo_variable("NMP_AUTH_ADMIN_EMAIL", "1"), Variable::Meaningless));
        assert!(matches!(nemo_variable("NMP_PLATFORM_URL", "1"), Variable::None));
    }

    #[test]
    fn flags_reach_every_key_and_names_of_tables() {
        let set = |text: &str| override_flag(text).ok().map(nested);
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

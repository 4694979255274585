//! `policy`: who else is asked whether a request may pass.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward_core::policy::{GroupPattern, RolesFault};
use url::Url;

use super::super::bad_value::BadValue;
use super::super::format::Format;
use super::super::key_path::KeyPath;
use super::super::raw::{self, PolicyProvider, Span, Texts};
use super::super::warning::Warning;
use super::{Checker, values};
use crate::discovery::{Access, ClientCert, ClientCertFiles, KeyBearer};
use crate::loopback::is_loopback;
use crate::policy::{
    BundleSpec, Engine, HAS_REGO, LoadFaults, Loaded, OpaSpec, PolicySpec, Query, all_below,
    check_bundle_key,
};

const QUERY: &str = "data.authz.allow";
const TIMEOUT: Duration = Duration::from_millis(100);
/// Bundles as OPA makes them are kept up to date by the minute; nobody changes one by the second.
const POLL: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(24 * 3600));
const FETCH: Duration = Duration::from_secs(10 * 60);

/// The policy, if there is to be one, read and compiled where it is in files.
pub(super) fn check(c: &mut Checker, config: &raw::Config) -> Option<Option<PolicySpec>> {
    let policy = &config.policy;
    let found = c.found.len();
    other_providers_keys(c, policy);
    let timeout = timeout(c, &policy.timeout, &config.keys.wait);
    let spec = match policy.provider {
        PolicyProvider::None => return (c.found.len() == found).then_some(None),
        PolicyProvider::Opa => opa(c, policy, timeout, &config.server.http.listen),
        PolicyProvider::Roles => {
            let engine = roles(c, &policy.group_roles).map(Engine::Roles);
            source(c, policy, engine)
        }
        PolicyProvider::Embedded => {
            let section = KeyPath::dotted("policy");
            if !HAS_REGO {
                c.bad(&section.join("provider"), BadValue::NoPolicyEngine);
                return None;
            }
            let query = query(c, policy).map(|query| query.as_str().to_owned());
            let engine = query.zip(timeout).map(|(query, timeout)| Engine::Rego { query, timeout });
            source(c, policy, engine)
        }
    };
    // What is wrong with one part is no reason to be content with the rest.
    spec.filter(|_| c.found.len() == found).map(Some)
}

/// What the policy is read from, directories and all that is in them, and what its bundle must be
/// signed with.
pub(super) fn files_of(policy: &raw::Policy) -> Vec<PathBuf> {
    let of_bundle = policy.bundle.iter().flat_map(|bundle| {
        let path = bundle.source.as_ref().filter(|source| !source.contains("://"));
        path.map(PathBuf::from).into_iter().chain(bundle.public_key.clone())
    });
    let named = policy.files.iter().map(PathBuf::from).chain(of_bundle);
    named.flat_map(|path| all_below(&path)).collect()
}

/// Keys that the provider has no use for are a misunderstanding.
fn other_providers_keys(c: &mut Checker, policy: &raw::Policy) {
    use PolicyProvider::{Embedded, Opa, Roles};
    let given: [(&str, bool, &[PolicyProvider], &str); 6] = [
        ("query", policy.query.is_some(), &[Embedded, Opa], "embedded or opa"),
        ("timeout", policy.timeout.is_some(), &[Embedded, Opa], "embedded or opa"),
        ("files", !policy.files.is_empty(), &[Embedded, Roles], "embedded or roles"),
        ("bundle", policy.bundle.is_some(), &[Embedded, Roles], "embedded or roles"),
        ("opa", policy.opa.is_some(), &[Opa], "opa"),
        ("group_roles", !policy.group_roles.is_empty(), &[Roles], "roles"),
    ];
    for (name, is_given, of, providers) in given {
        if is_given && !of.contains(&policy.provider) {
            let key = KeyPath::dotted("policy").join(name);
            c.bad(&key, BadValue::OfOtherProvider { providers });
        }
    }
}

/// How long a decision may take: no longer than requests wait for anything.
fn timeout(c: &mut Checker, timeout: &Option<Span>, wait: &Span) -> Option<Duration> {
    let Some(timeout) = timeout else {
        return Some(values::parse_span(wait).map_or(TIMEOUT, |wait| TIMEOUT.min(wait)));
    };
    let timeout = c.span("policy.timeout", timeout, values::SHORTEST, values::ROUND_TRIP);
    c.ordered("policy.timeout", timeout, "keys.wait", values::parse_span(wait).ok());
    timeout
}

fn query(c: &mut Checker, policy: &raw::Policy) -> Option<Query> {
    let text = policy.query.as_deref().unwrap_or(QUERY);
    let parsed = text.parse().map_err(|error| BadValue::NotAQuery { found: text.into(), error });
    c.keep(&KeyPath::dotted("policy.query"), parsed)
}

fn roles(c: &mut Checker, patterns: &Texts) -> Option<Vec<GroupPattern>> {
    c.each(&KeyPath::dotted("policy.group_roles"), patterns, |text| {
        text.parse().map_err(|error| BadValue::NotAGroupPattern { found: text.into(), error })
    })
}

/// Where the policy is: in files, or in a bundle.
fn source(c: &mut Checker, policy: &raw::Policy, engine: Option<Engine>) -> Option<PolicySpec> {
    let section = KeyPath::dotted("policy");
    match (&policy.bundle, policy.files.is_empty()) {
        (None, true) => {
            c.missing(&section.join("files"), &section.join("provider"), BadValue::NoPolicySource);
            None
        }
        (Some(_), false) => {
            c.bad(&section.join("files"), BadValue::FilesAndBundle);
            None
        }
        (Some(bundle), true) => self::bundle(c, bundle, engine),
        (None, false) => {
            let paths: Vec<_> = policy.files.iter().map(PathBuf::from).collect();
            let loaded = files(c, &paths, engine?)?;
            Some(PolicySpec::Loaded(loaded))
        }
    }
}

fn files(c: &mut Checker, paths: &[PathBuf], engine: Engine) -> Option<Loaded> {
    let key = KeyPath::dotted("policy.files");
    let loaded = match (&engine, paths) {
        (Engine::Roles(_), [path]) => data(path, &engine),
        (Engine::Roles(_), _) => Err(vec![BadValue::OneDataFile]),
        (Engine::Rego { .. }, _) => engine.load_files(paths).map_err(each_fault),
    };
    accept(c, &key, loaded)
}

/// Notes what is wrong with a policy, or worth a look.
fn accept(c: &mut Checker, key: &KeyPath, loaded: Result<Loaded, Vec<BadValue>>) -> Option<Loaded> {
    let query = KeyPath::dotted("policy.query");
    let mut note = |fault| {
        // What the query is about is not there.
        if let BadValue::Policy(text) = &fault
            && let Some(text) = text.strip_prefix("policy.query: ")
        {
            c.bad(&query, BadValue::Policy(text.to_owned()));
        } else {
            c.bad(key, fault);
        }
    };
    let loaded = loaded.map_err(|faults| faults.into_iter().for_each(&mut note)).ok()?;
    let remarks = loaded.remarks.iter().cloned().map(Warning::Policy);
    c.warnings.extend(remarks);
    Some(loaded)
}

fn each_fault(LoadFaults(faults): LoadFaults) -> Vec<BadValue> {
    faults.into_iter().map(BadValue::Policy).collect()
}

/// The roles in a file, each fault with its line.
fn data(path: &Path, engine: &Engine) -> Result<Loaded, Vec<BadValue>> {
    let in_file = |line: Option<u64>, fault: String| {
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        BadValue::Policy(format!("{}{line}: {fault}", path.display()))
    };
    let text = values::read_policy(path).map_err(|unreadable| vec![unreadable])?;
    let text = String::from_utf8(text)
        .map_err(|error| vec![in_file(None, error.utf8_error().to_string())])?;
    let format = Format::of(path).ok_or_else(|| {
        vec![in_file(None, "unknown format: expected .yaml, .yml, .toml or .json".to_owned())]
    })?;
    let document = format.parse(&text).map_err(|error| vec![in_file(error.line, error.message)])?;
    let source = path.display().to_string();
    engine.load_data(&source, &serde_json::json!(document.value)).map_err(|faults| {
        let line = |fault: &RolesFault| document.lines.of_place("authz", &fault.place);
        faults.iter().map(|fault| in_file(line(fault), fault.to_string())).collect()
    })
}

fn bundle(c: &mut Checker, raw: &raw::Bundle, engine: Option<Engine>) -> Option<PolicySpec> {
    let section = KeyPath::dotted("policy.bundle");
    if !HAS_REGO {
        c.bad(&section, BadValue::NoPolicyEngine);
        return None;
    }
    let key = raw.public_key.as_deref().map(bundle_key);
    let key = c.keep_given(&section.join("public_key"), key);
    let source_key = section.join("source");
    let Some(source) = raw.source.as_deref().filter(|source| !source.is_empty()) else {
        c.missing(&source_key, &section, BadValue::NoBundleSource);
        return None;
    };
    if !source.contains("://") {
        only_of_urls(c, &section, raw);
        let archive = c.keep(&source_key, values::read_policy(Path::new(source)))?;
        let (engine, key) = (engine?, key?);
        let loaded = engine.load_bundle(source, &archive, key.as_deref()).map_err(each_fault);
        return accept(c, &source_key, loaded).map(PolicySpec::Loaded);
    }
    let url = c.keep(&source_key, bundle_url(source, raw));
    let way = Way {
        bearer_file: raw.bearer_file.as_deref(),
        ca_file: raw.ca_file.as_deref(),
        client_cert: raw.client_cert.as_deref(),
        client_key: raw.client_key.as_deref(),
    };
    let access = way.check(c, &section, url.as_ref());
    let poll = c.span("policy.bundle.poll", &raw.poll, POLL.0, POLL.1);
    let timeout = c.span("policy.bundle.timeout", &raw.timeout, values::SHORTEST, FETCH);
    let directory = raw.cache_dir.as_deref();
    let cache_dir = c.cache_dir(&section.join("cache_dir"), directory, "bundles");
    Some(PolicySpec::Bundle(BundleSpec {
        engine: engine?,
        url: url?,
        access: access?,
        poll: poll?,
        timeout: timeout?,
        key: key?,
        cache_dir: cache_dir?,
    }))
}

/// A file is not fetched.
fn only_of_urls(c: &mut Checker, section: &KeyPath, raw: &raw::Bundle) {
    for (name, is_given) in [
        ("bearer_file", raw.bearer_file.is_some()),
        ("ca_file", raw.ca_file.is_some()),
        ("client_cert", raw.client_cert.is_some()),
        ("client_key", raw.client_key.is_some()),
        ("cache_dir", raw.cache_dir.is_some()),
        ("allow_http", raw.allow_http),
    ] {
        if is_given {
            c.bad(&section.join(name), BadValue::BundleIsAFile);
        }
    }
}

/// Whoever sits on the way of an unsigned bundle decides who may do what.
fn bundle_url(text: &str, raw: &raw::Bundle) -> Result<Url, BadValue> {
    if raw.public_key.is_some() {
        return values::policy_url(text, raw.allow_http);
    }
    values::unsigned_url(text)
}

fn bundle_key(path: &Path) -> Result<String, BadValue> {
    let pem = String::from_utf8_lossy(&values::read(path)?).into_owned();
    let not_a_key = |faults: LoadFaults| BadValue::NotABundleKey { path: path.into(), faults };
    check_bundle_key(&pem).map_err(not_a_key)?;
    Ok(pem)
}

fn opa(
    c: &mut Checker,
    policy: &raw::Policy,
    timeout: Option<Duration>,
    http_front: &str,
) -> Option<PolicySpec> {
    let section = KeyPath::dotted("policy.opa");
    let raw = policy.opa.clone().unwrap_or_default();
    let query = query(c, policy);
    let url_key = section.join("url");
    let Some(text) = raw.url.as_deref().filter(|url| !url.is_empty()) else {
        c.missing(&url_key, &KeyPath::dotted("policy.provider"), BadValue::NoOpa);
        return None;
    };
    let url = c.keep(&url_key, opa_url(text, raw.allow_http, http_front));
    let way = Way {
        bearer_file: raw.bearer_file.as_deref(),
        ca_file: raw.ca_file.as_deref(),
        client_cert: raw.client_cert.as_deref(),
        client_key: raw.client_key.as_deref(),
    };
    let access = way.check(c, &section, url.as_ref());
    let url = url?;
    if url.scheme() == "http" && !is_loopback(&url) {
        let key = section.join("allow_http").to_string();
        c.warnings.push(Warning::OpaInTheClear { key, url: text.into() });
    }
    let question = query?.below(&url);
    let not_a_url = |error| BadValue::NotAUrl { found: text.into(), error };
    let url = c.keep(&url_key, question.map_err(not_a_url))?;
    Some(PolicySpec::Opa(OpaSpec { url, access: access?, timeout: timeout? }))
}

fn opa_url(text: &str, allow_http: bool, http_front: &str) -> Result<Url, BadValue> {
    let url = values::policy_url(text, allow_http)?;
    if url.query().is_some() {
        return Err(BadValue::QueryOrFragment(text.into()));
    }
    // OPA's own default is the port of our HTTP front.
    let port = http_front.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    if is_loopback(&url) && port.is_some() && url.port_or_known_default() == port {
        return Err(BadValue::OpaIsDoorward { found: text.into() });
    }
    Ok(url)
}

/// How somebody is reached.
struct Way<'a> {
    bearer_file: Option<&'a Path>,
    ca_file: Option<&'a Path>,
    client_cert: Option<&'a Path>,
    client_key: Option<&'a Path>,
}

impl Way<'_> {
    fn check(self, c: &mut Checker, section: &KeyPath, url: Option<&Url>) -> Option<Access> {
        let bearer = self.bearer_file.map(|file| {
            if let Some(url) = url.filter(|url| url.scheme() == "http" && !is_loopback(url)) {
                let to = url.origin().ascii_serialization();
                return Err(BadValue::BearerInTheClear { to: to.into() });
            }
            KeyBearer::check(file)?;
            Ok(KeyBearer::new(file.to_owned(), url))
        });
        let key_bearer = c.keep_given(&section.join("bearer_file"), bearer);
        let ca_file = c.keep_given(&section.join("ca_file"), self.ca_file.map(values::ca_file));
        let client_cert = self.client_cert(c, section);
        Some(Access {
            ca_file: ca_file?,
            key_bearer: key_bearer?,
            client_cert: client_cert?,
            ..Access::default()
        })
    }

    fn client_cert(&self, c: &mut Checker, section: &KeyPath) -> Option<Option<ClientCertFiles>> {
        let (cert_key, key_key) = (section.join("client_cert"), section.join("client_key"));
        match (self.client_cert, self.client_key) {
            (None, None) => Some(None),
            (Some(_), None) => {
                c.missing(&key_key, &cert_key, BadValue::NoClientKey { other: "client_cert" });
                None
            }
            (None, Some(_)) => {
                c.missing(&cert_key, &key_key, BadValue::NoClientKey { other: "client_key" });
                None
            }
            (Some(cert), Some(key)) => {
                let files = ClientCertFiles { cert: cert.to_owned(), key: key.to_owned() };
                c.keep(&cert_key, ClientCert::read(&files)).map(|_| Some(files))
            }
        }
    }
}

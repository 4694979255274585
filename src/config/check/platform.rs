//! NeMo Platform: what its discovery document says, and the tokens that it signs itself.

use url::Url;

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::super::settings::{
    AccessKeySettings, PlatformSettings, SubjectTokenSettings, WorkloadExchange,
    WorkloadTokenSettings,
};
use super::super::warning::Warning;
use super::{Checker, access, introspection, key_location, values};
use crate::secret::ClientSecret;

/// The audience of workload tokens where nothing else is said, as NeMo has it.
const WORKLOAD_AUDIENCE: &str = "nemo-platform";

/// Checks `platform`, and what in `auth` is about it.
pub(super) fn check(c: &mut Checker, config: &raw::Config) -> Option<PlatformSettings> {
    let oidc = &config.auth.oidc;
    let section = KeyPath::dotted("auth.oidc");
    let mut endpoint = |name: &str, text: &Option<String>| {
        c.keep_given(&section.join(name), text.as_deref().map(values::url))
    };
    let authorization = endpoint("authorization_endpoint", &oidc.authorization_endpoint);
    let token = endpoint("token_endpoint", &oidc.token_endpoint);
    let device = endpoint("device_authorization_endpoint", &oidc.device_authorization_endpoint);
    let userinfo = endpoint("userinfo_endpoint", &oidc.userinfo_endpoint);
    let ttl = c.span(
        "auth.oidc.discovery_cache_ttl",
        &oidc.discovery_cache_ttl,
        values::ZERO,
        values::STALE,
    );
    // Whether this URL is any good is said where keys are looked for; a name that is no
    // URL simply has no document.
    let discovery_url = Some(&oidc.common).filter(|_| oidc.enabled);
    let discovery_url = discovery_url.and_then(key_location::document);
    let client_secret = c.client_secret(oidc);
    let exchange = exchange(c, config);
    let ca_file = config.platform.ca_file.as_deref().map(values::ca_file);
    let ca_file = c.keep_given(&KeyPath::dotted("platform.ca_file"), ca_file);
    let signing =
        if is_an_issuer(&config.auth) { Signing::check(c, config) } else { Signing::default() };
    let access_keys = access_keys(c, config, &signing);
    let workload_tokens = workload_tokens(c, config, signing);
    let subject_tokens = subject_tokens(c, config);
    Some(PlatformSettings {
        client_id: oidc.common.client_id.clone(),
        client_secret: client_secret?,
        default_scopes: words(&oidc.default_scopes),
        scope_prefix: oidc.common.scope_prefix.clone(),
        discovery_url,
        authorization_endpoint: authorization?,
        token_endpoint: token?,
        device_authorization_endpoint: device?,
        userinfo_endpoint: userinfo?,
        discovery_cache_ttl: ttl?,
        exchange: exchange?,
        ca_file: ca_file?,
        access_keys: access_keys?,
        workload_tokens: workload_tokens?,
        subject_tokens: subject_tokens?,
    })
}

impl Checker {
    /// The secret of the client that people log in with.
    pub(in crate::config) fn client_secret(
        &mut self,
        oidc: &raw::Oidc,
    ) -> Option<Option<ClientSecret>> {
        let section = KeyPath::dotted("auth.oidc");
        introspection::secret(self, &section, &oidc.client_secret, &oidc.client_secret_file)
    }
}

/// Whether the platform signs tokens that are accepted here, so that no other issuer is needed.
pub(super) fn is_an_issuer(auth: &raw::Auth) -> bool {
    auth.access_keys.enabled || auth.oidc.workload.workload_token_exchange_enabled
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the discovery document says of the exchange of workload tokens.
fn exchange(c: &mut Checker, config: &raw::Config) -> Option<WorkloadExchange> {
    let workload = &config.auth.oidc.workload;
    let key = KeyPath::dotted("auth.oidc.workload_token_endpoint");
    // Only workloads go there, inside a cluster often over plain http.
    let given = workload.workload_token_endpoint.as_deref();
    let given = c.keep_given(&key, given.map(|text| values::issuer_url(text, true)))?;
    let enabled = workload.workload_token_exchange_enabled;
    let own = || below(base_url(config)?, "/apis/auth/token").parse().ok();
    Some(WorkloadExchange {
        enabled,
        client_id: workload.workload_client_id.clone(),
        token_endpoint: given.or_else(|| enabled.then(own).flatten()),
        audience: workload.workload_audience.clone(),
        scope: workload.workload_scope.as_deref().map(words),
    })
}

fn access_keys(
    c: &mut Checker,
    config: &raw::Config,
    signing: &Signing,
) -> Option<Option<AccessKeySettings>> {
    let keys = &config.auth.access_keys;
    if !keys.enabled {
        return Some(None);
    }
    let section = KeyPath::dotted("auth.access_keys");
    let audience = c.keep(&section.join("audience"), values::word(&keys.audience));
    let recheck = c.span("auth.access_keys.recheck", &keys.recheck, values::ZERO, values::RECHECK);
    let status_url = status_url(c, config, &section);
    Some(Some(AccessKeySettings {
        issuer: signing.issuer.clone()?,
        jwks_uri: signing.jwks_uri.clone()?,
        audience: audience?,
        status_url: status_url?,
        recheck: recheck?,
    }))
}

fn status_url(c: &mut Checker, config: &raw::Config, section: &KeyPath) -> Option<Url> {
    let key = section.join("status_url");
    let Some(text) = &config.auth.access_keys.status_url else {
        c.missing(&key, &section.join("enabled"), BadValue::NoStatusUrl);
        return None;
    };
    let url = c.keep(&key, values::platform_url(text, config.platform.allow_http))?;
    let base = base_url(config).and_then(|base| Url::parse(base).ok());
    if base.is_some_and(|base| is_same_door(&base, &url)) {
        c.bad(&key, BadValue::StatusAtGateway { url: url.as_str().into() });
        return None;
    }
    warn_of_plain_http(c, Some(&url));
    Some(url)
}

/// Whether two URLs lead to the same listener; that of https has a twin for plain http.
fn is_same_door(one: &Url, other: &Url) -> bool {
    let port = |url: &Url| match url.port_or_known_default() {
        Some(80) => Some(443),
        port => port,
    };
    one.host() == other.host() && port(one) == port(other)
}

/// Access tokens that the platform has exchanged workloads' own tokens for.
fn workload_tokens(
    c: &mut Checker,
    config: &raw::Config,
    signing: Signing,
) -> Option<Option<WorkloadTokenSettings>> {
    let (oidc, workload) = (&config.auth.oidc, &config.auth.oidc.workload);
    if !workload.workload_token_exchange_enabled {
        return Some(None);
    }
    let section = KeyPath::dotted("auth.oidc");
    let issuer = match &workload.workload_token_issuer {
        Some(name) => c.keep(&section.join("workload_token_issuer"), values::word(name)),
        None => signing.issuer,
    };
    let audiences = match (&workload.workload_audience, &oidc.common.audience) {
        (Some(audience), _) => vec![audience.clone()],
        (None, Some(audiences)) if !audiences.is_empty() => audiences.to_vec(),
        (None, _) => vec![WORKLOAD_AUDIENCE.to_owned()],
    };
    let key = section.join("workload_allowed_audiences");
    let further = c.each(&key, &workload.workload_allowed_audiences, |one| values::word(one));
    Some(Some(WorkloadTokenSettings {
        issuer: issuer?,
        jwks_uri: signing.jwks_uri?,
        audiences: audiences.into_iter().chain(further?).collect(),
    }))
}

/// Tokens that workloads got from their own issuer, shown without an exchange.
fn subject_tokens(c: &mut Checker, config: &raw::Config) -> Option<Option<SubjectTokenSettings>> {
    let (oidc, workload) = (&config.auth.oidc, &config.auth.oidc.workload);
    let uri = workload.workload_subject_jwks_uri.as_deref();
    let Some(uri) = uri.filter(|_| workload.workload_token_exchange_enabled) else {
        return Some(None);
    };
    if workload.workload_subject_issuers.is_empty() {
        c.warnings.push(Warning::SubjectTokensOfNobody);
        return Some(None);
    }
    let section = KeyPath::dotted("auth.oidc");
    let uri = values::platform_url(uri, config.platform.allow_http);
    let jwks_uri = c.keep(&section.join("workload_subject_jwks_uri"), uri);
    let key = section.join("workload_subject_issuers");
    let issuers = c.each(&key, &workload.workload_subject_issuers, |one| values::word(one));
    let audience = workload.workload_client_id.as_ref().or(oidc.common.client_id.as_ref());
    warn_of_plain_http(c, jwks_uri.as_ref());
    Some(Some(SubjectTokenSettings {
        jwks_uri: jwks_uri?,
        issuers: issuers?,
        audience: audience.map_or(WORKLOAD_AUDIENCE, String::as_str).to_owned(),
    }))
}

fn base_url(config: &raw::Config) -> Option<&str> {
    config.platform.base_url.as_deref().filter(|base| !base.is_empty())
}

/// As NeMo puts its own URLs together.
fn below(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// What all tokens that the platform signs have in common.
#[derive(Default)]
struct Signing {
    issuer: Option<String>,
    jwks_uri: Option<Url>,
}

impl Signing {
    fn check(c: &mut Checker, config: &raw::Config) -> Self {
        let (auth, given) = (&config.auth, &config.auth.token_signing);
        let base_key = KeyPath::dotted("platform.base_url");
        let base = base_url(config).map(|base| c.keep(&base_key, values::word(base)));
        let needs_issuer =
            auth.access_keys.enabled || auth.oidc.workload.workload_token_issuer.is_none();
        if base.is_none() && (given.jwks_uri.is_none() || needs_issuer && given.issuer.is_none()) {
            c.bad(&base_key, BadValue::NoPlatform);
        }
        let base = base.flatten();
        let key = KeyPath::dotted("auth.token_signing.issuer");
        let issuer = match &given.issuer {
            Some(issuer) => c.keep(&key, values::word(issuer)),
            None => base.as_deref().map(|base| below(base, "/apis/auth")),
        };
        let (key, uri) = match &given.jwks_uri {
            Some(uri) => (KeyPath::dotted("auth.token_signing.jwks_uri"), Some(uri.clone())),
            None => (base_key, base.as_deref().map(|base| below(base, "/apis/auth/jwks"))),
        };
        let allow_http = config.platform.allow_http;
        let jwks_uri = uri.and_then(|uri| c.keep(&key, values::platform_url(&uri, allow_http)));
        warn_of_plain_http(c, jwks_uri.as_ref());
        Self { issuer, jwks_uri }
    }
}

fn warn_of_plain_http(c: &mut Checker, url: Option<&Url>) {
    if let Some(url) = url {
        access::warn_of_plain_http(c, &KeyPath::dotted("platform"), url);
    }
}

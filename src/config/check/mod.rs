//! Raw configuration → [`Settings`]: every value parsed, every fault collected.
//!
//! One file a part of the configuration. A part returns `None` when it has put a fault
//! down, and goes on as far as it can before it does.

mod access;
mod headers;
mod identity;
mod introspection;
mod issuer;
mod key_location;
mod module;
mod overlap;
mod platform;
mod platform_issuers;
mod policy;
pub(super) mod routes;
mod rules;
mod server;
mod unsigned;
mod values;

use std::path::{Path, PathBuf};

use super::bad_value::BadValue;
use super::fault::Fault;
use super::key_path::KeyPath;
use super::merge::Merged;
use super::raw;
use super::resource::ProtectedResource;
use super::settings::{IssuerSettings, LogSettings, PlatformSettings, Provenance, Settings};
use super::warning::Warning;
use crate::discovery::{EmptySet, FetchPolicy};
use crate::regular_file::is_ours_alone;

/// A value that cannot be meant.
#[derive(Debug)]
pub(super) struct Found {
    /// The key that the fault is told of.
    pub(super) key: KeyPath,
    /// The key to look up in the layers: another one when `key` itself is missing.
    pub(super) written_at: KeyPath,
    pub(super) why: BadValue,
}

impl Found {
    /// The same with its place in the layers.
    pub(super) fn fault(self, merged: &Merged) -> Fault {
        Fault {
            source: merged.source(&self.written_at),
            key: merged.as_written(self.key),
            problem: self.why.into(),
        }
    }
}

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Checker {
    pub(super) found: Vec<Found>,
    pub(super) warnings: Vec<Warning>,
    /// Whether this is a pod.
    pub(super) in_kubernetes: bool,
    /// Whether `log.format: auto` means text.
    pub(super) log_to_terminal: bool,
    /// Whether anything below `server.console` is written in any layer.
    pub(super) is_console_asked_for: bool,
}

impl Checker {
    pub(super) fn bad(&mut self, key: &KeyPath, why: impl Into<BadValue>) {
        self.missing(key, key, why);
    }

    /// Something is wrong with `key` because of what stands at `beside`.
    fn missing(&mut self, key: &KeyPath, beside: &KeyPath, why: impl Into<BadValue>) {
        self.found.push(Found { key: key.clone(), written_at: beside.clone(), why: why.into() });
    }

    fn keep<T, E: Into<BadValue>>(&mut self, key: &KeyPath, result: Result<T, E>) -> Option<T> {
        result.map_err(|why| self.bad(key, why)).ok()
    }

    /// `Some(None)` for what is not given, `None` for what is wrong.
    fn keep_given<T, E: Into<BadValue>>(
        &mut self,
        key: &KeyPath,
        result: Option<Result<T, E>>,
    ) -> Option<Option<T>> {
        result.map_or(Some(None), |result| self.keep(key, result).map(Some))
    }

    /// Checks everything; `Some` when nothing was found.
    pub(super) fn settings(&mut self, config: &raw::Config) -> Option<Settings> {
        if !config.auth.enabled {
            self.warnings.push(Warning::AuthDisabled);
        }
        let headers = headers::check(self, &config.headers);
        let leeway = self.span("token.leeway", &config.token.leeway, values::ZERO, values::LEEWAY);
        let issuers = issuer::check_all(self, config, leeway.unwrap_or_default());
        let platform = platform::check(self, config);
        let issuers = self.with_platform(config, issuers, platform.as_ref());
        let server = server::check(self, &config.server);
        let module = module::check(self, config);
        let exposed = server.as_ref().and_then(server::beyond_this_machine);
        let unsigned = config.auth.allow_unsigned_jwt.then(|| {
            unsigned::check(self, config, exposed, issuers.as_deref(), leeway.unwrap_or_default())
        });
        let max_token_bytes = self.number(
            "token.max_token_bytes",
            config.token.max_token_bytes as u64,
            values::TOKEN_BYTES,
        );
        let fetch = self.fetch_policy(&config.keys);
        let bypass = rules::bypass(self, &config.rules.bypass);
        let routes = routes::check(self, &config.rules.routes);
        let endpoints = rules::endpoints(self, &config.rules);
        let encoded_slashes = rules::encoded_slashes(self, &config.rules.encoded_slashes);
        let policy = policy::check(self, config);
        let realm =
            self.keep(&KeyPath::dotted("denial.realm"), values::quotable(&config.denial.realm));
        let protected_resources = self.protected_resources(&config.protected_resource);
        let log = self.log(&config.log);
        Some(Settings {
            auth_enabled: config.auth.enabled,
            allow_unsigned_jwt: config.auth.allow_unsigned_jwt,
            unsigned: unsigned.map_or(Some(None), |checked| checked.map(Some))?,
            issuers: issuers?,
            max_token_bytes: usize::try_from(max_token_bytes?).ok()?,
            cache: config.cache.clone(),
            fetch: fetch?,
            headers: headers?,
            bypass: bypass?,
            routes: routes?,
            encoded_slashes: encoded_slashes?,
            lets_preflights_pass: config.rules.cors_preflight == raw::CorsPreflight::Allow,
            endpoints: endpoints?,
            endpoints_file: config.rules.endpoints_file.clone(),
            policy: policy?,
            policy_files: policy::files_of(&config.policy),
            realm: realm?,
            protected_resources: protected_resources?,
            platform: platform?,
            server: server?,
            module: module?,
            log: log?,
            provenance: Provenance::default(),
        })
    }

    /// The issuers, and behind them those that the platform stands for: they speak of the same
    /// people, so nobody is warned of an overlap.
    fn with_platform(
        &mut self,
        config: &raw::Config,
        issuers: Option<Vec<IssuerSettings>>,
        platform: Option<&PlatformSettings>,
    ) -> Option<Vec<IssuerSettings>> {
        let section = KeyPath::dotted("auth.oidc");
        let mut issuers = issuers?;
        for issuer in platform_issuers::issuers(platform?, &config.auth.oidc.common) {
            let name = &issuer.token.issuer;
            if issuers.iter().any(|other| other.token.issuer == *name) {
                let issuer = name.as_str().into();
                self.bad(&section, BadValue::IssuerOfPlatform { issuer });
                return None;
            }
            issuers.push(issuer);
        }
        Some(issuers)
    }

    fn fetch_policy(&mut self, keys: &raw::Keys) -> Option<FetchPolicy> {
        use values::{COOL_DOWN, LONG, ROUND_TRIP, SHORTEST, ZERO};
        let refresh_min = self.span("keys.refresh_min", &keys.refresh_min, SHORTEST, LONG);
        let refresh_max = self.span("keys.refresh_max", &keys.refresh_max, SHORTEST, LONG);
        let refresh_default =
            self.span("keys.refresh_default", &keys.refresh_default, SHORTEST, LONG);
        let cool_down = self.span("keys.cool_down", &keys.cool_down, COOL_DOWN, LONG);
        let wait = self.span("keys.wait", &keys.wait, ZERO, ROUND_TRIP);
        let timeout = self.span("keys.timeout", &keys.timeout, SHORTEST, ROUND_TRIP);
        let max_stale = self.span("keys.max_stale", &keys.max_stale, SHORTEST, values::STALE);
        self.ordered("keys.refresh_min", refresh_min, "keys.refresh_default", refresh_default);
        self.ordered("keys.refresh_default", refresh_default, "keys.refresh_max", refresh_max);
        // Else keys would run out between two refreshes of a healthy issuer.
        self.ordered("keys.refresh_max", refresh_max, "keys.max_stale", max_stale);
        let key = KeyPath::dotted("keys.key_cache_dir");
        let cache_dir = self.cache_dir(&key, keys.key_cache_dir.as_deref(), "keys");
        Some(FetchPolicy {
            refresh_min: refresh_min?,
            refresh_max: refresh_max?,
            refresh_default: refresh_default?,
            cool_down: cool_down?,
            wait: wait?,
            timeout: timeout?,
            max_stale: max_stale?,
            empty_set: match keys.empty_set {
                raw::EmptySet::Withdraw => EmptySet::WITHDRAW,
                raw::EmptySet::Keep => EmptySet::Keep,
            },
            cache_dir: cache_dir?,
        })
    }

    /// A directory that what is fetched is kept in.
    fn cache_dir(
        &mut self,
        key: &KeyPath,
        directory: Option<&Path>,
        what: &'static str,
    ) -> Option<Option<PathBuf>> {
        let directory = self.keep_given(key, directory.map(values::directory))?;
        if let Some(directory) = &directory
            && directory.metadata().is_ok_and(|about| !is_ours_alone(&about))
        {
            let (key, directory) = (key.to_string(), directory.as_path().into());
            self.warnings.push(Warning::OpenCacheDirectory { key, directory, what });
        }
        Some(directory)
    }

    fn protected_resources(
        &mut self,
        given: &raw::ProtectedResource,
    ) -> Option<Vec<ProtectedResource>> {
        let section = KeyPath::dotted("protected_resource");
        let key = section.join("resource");
        let ids = self.each(&key, &given.resource, |one| values::resource(one));
        let key = section.join("authorization_servers");
        let servers = self.each(&key, &given.authorization_servers, |server| {
            values::url(server).map(|_| server.clone())
        });
        let key = section.join("scopes_supported");
        let scopes = self.each(&key, &given.scopes_supported, |scope| values::word(scope));
        if given.resource.is_empty() {
            for (name, list) in [
                ("authorization_servers", &given.authorization_servers),
                ("scopes_supported", &given.scopes_supported),
            ] {
                if !list.is_empty() {
                    self.bad(&section.join(name), BadValue::NoResource);
                }
            }
        }
        let (servers, scopes) = (servers?, scopes?);
        let resources = ids?.into_iter().map(|id| ProtectedResource {
            id,
            authorization_servers: servers.clone(),
            scopes_supported: scopes.clone(),
        });
        Some(resources.collect())
    }

    fn log(&mut self, log: &raw::Log) -> Option<LogSettings> {
        let filter = self.keep(&KeyPath::dotted("log.level"), values::log_filter(&log.level))?;
        let says_off = log.level.to_ascii_lowercase().contains("off");
        if !says_off && !filter.would_enable("doorward", &tracing::Level::ERROR) {
            self.warnings.push(Warning::NothingLogged { level: log.level.as_str().into() });
        }
        Some(LogSettings {
            level: log.level.clone(),
            json: match log.format {
                raw::LogFormat::Auto => !self.log_to_terminal,
                raw::LogFormat::Text => false,
                raw::LogFormat::Json => true,
            },
            decisions: log.decisions,
            decisions_per_second: log.decisions_per_second,
        })
    }

    /// Each item of a list, parsed; `None` when one is wrong.
    fn each<T, E: Into<BadValue>>(
        &mut self,
        key: &KeyPath,
        items: &[String],
        parse: impl Fn(&String) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let parsed: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.keep(&key.join(index), parse(item)))
            .collect();
        parsed.into_iter().collect()
    }
}

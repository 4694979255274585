//! What the console tells: the same facts as metrics and health, put together for people, and the
//! decision on a request that somebody asks about.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use doorward_core::clock::UnixTime;
use doorward_core::keys::{KeySource as _, VerificationKey};
use doorward_core::request::{HeaderView, RequestView, RouteView};
use serde::Serialize;

use super::admin::Overview;
use super::assembly::Shared;
use super::offline::explain_live;
use super::shortage::{Shortage, expires_in};
use super::start_error::StartError;
use crate::advice::fetching;
use crate::config::{ListenerSettings, Provenance, ServerSettings, Settings};
use crate::discovery::{IssuerKeys, IssuerStatus, KeyLocation, ObtainError};
use crate::explain::Pasted;
use crate::policy::PolicyStatus;
use crate::product::Product;
use crate::redact::redact_text;
use crate::telemetry::{History, LOOK_EVERY, RecentDenial, Reload, Windows};
use crate::transport::{Busy, CheckService, ConsoleView, Listener, Question, Told};
use crate::turns::Turns;

/// More questions in a second are not answered: one may cost a signature and a fetch of keys.
const QUESTIONS_PER_SECOND: u32 = 10;

/// All that the console knows.
pub(super) struct Console {
    shared: Shared,
    service: Arc<ArcSwap<CheckService>>,
    overview: Arc<Overview>,
    about: ArcSwap<About>,
    history: Mutex<History>,
    first_seen: Mutex<HashMap<KeyName, UnixTime>>,
    started_at: UnixTime,
    /// In Unix seconds; 0: not yet.
    ready_since: AtomicU64,
    questions: Turns,
    /// What was told last, which is told again within the second.
    told: Mutex<(UnixTime, Bytes)>,
}

/// What the console tells of a configuration.
#[derive(Default)]
pub(super) struct About {
    provenance: Provenance,
    /// The client that people log in with.
    client: Option<String>,
}

impl About {
    pub(super) fn new(settings: &Settings) -> Self {
        let client = settings.platform.client_id.clone();
        Self { provenance: settings.provenance.clone(), client }
    }
}

/// Tells a key from the others of all issuers: issuer, and what [`named`] says.
type KeyName = (String, String);

/// Everything that the page shows.
#[derive(Serialize)]
struct State {
    now: u64,
    version: &'static str,
    started_at: u64,
    ready: bool,
    ready_since: u64,
    issuers: Vec<IssuerState>,
    policy: Option<PolicyState>,
    decisions: Windows,
    denials: Vec<RecentDenial>,
    configuration: ConfigurationState,
}

#[derive(Serialize)]
struct IssuerState {
    issuer: String,
    product: &'static str,
    location: String,
    /// `ok`; `stale`: the last attempt failed, earlier keys serve on; `down`: no key is in force.
    state: &'static str,
    why: Option<String>,
    obtained_at: Option<u64>,
    next_attempt_at: Option<u64>,
    /// Seconds until the keys are too old.
    usable_for: Option<i64>,
    last_error: Option<String>,
    remedy: Option<String>,
    keys: Vec<KeyState>,
}

#[derive(Serialize)]
struct PolicyState {
    provider: &'static str,
    source: String,
    /// `ok`; `stale`: the last attempt failed, an earlier one serves on; `down`: none is in force.
    state: &'static str,
    revision: Option<String>,
    /// When it was read, or found to be the newest.
    confirmed_at: Option<u64>,
    last_error: Option<String>,
}

impl From<PolicyStatus> for PolicyState {
    fn from(status: PolicyStatus) -> Self {
        let PolicyStatus { provider, source, is_loaded, revision, confirmed_at, last_error } =
            status;
        let state = match (is_loaded, &last_error) {
            (true, None) => "ok",
            (true, Some(_)) => "stale",
            (false, Some(_)) => "down",
            (false, None) => "starting",
        };
        let confirmed_at = confirmed_at.map(|at| at.0);
        Self { provider, source, state, revision, confirmed_at, last_error }
    }
}

#[derive(Serialize)]
struct KeyState {
    kid: Option<String>,
    algorithms: Vec<&'static str>,
    kind: String,
    first_seen: u64,
}

#[derive(Serialize)]
struct ConfigurationState {
    files: Vec<PathBuf>,
    warnings: Vec<String>,
    read_at: Option<u64>,
    /// When a later one was refused, if one was.
    refused_at: Option<u64>,
}

/// The console's socket, where there is to be one.
///
/// # Errors
/// The address that somebody chose cannot be bound.
pub(super) async fn bind(
    server: &ServerSettings,
) -> Result<Option<(Listener, &ListenerSettings)>, StartError> {
    let Some(console) = &server.console else { return Ok(None) };
    match Listener::bind(&console.listen).await {
        Ok(listener) => Ok(Some((listener, console))),
        Err(error) if server.is_console_asked_for => Err(error.into()),
        Err(error) => {
            tracing::warn!(
                %error,
                "there is no console: set `server.console.listen` to an address that is free, or \
                 `server.console.enabled: false`"
            );
            Ok(None)
        }
    }
}

impl Console {
    pub(super) fn new(
        shared: Shared,
        service: Arc<ArcSwap<CheckService>>,
        overview: Arc<Overview>,
        about: About,
    ) -> Self {
        Self {
            started_at: shared.clock.now(),
            shared,
            service,
            overview,
            about: ArcSwap::from_pointee(about),
            history: Mutex::default(),
            first_seen: Mutex::default(),
            ready_since: AtomicU64::new(0),
            questions: Turns::new(QUESTIONS_PER_SECOND),
            told: Mutex::new((UnixTime(0), Bytes::new())),
        }
    }

    /// Tells of another configuration from now on.
    pub(super) fn follow(&self, about: About) {
        self.about.store(Arc::new(about));
    }

    /// Looks at everything again and again.
    pub(super) async fn look_regularly(self: Arc<Self>) {
        let mut moments = tokio::time::interval(Duration::from_secs(LOOK_EVERY));
        loop {
            moments.tick().await;
            self.look();
        }
    }

    /// Takes note of the counters, and of keys that are new.
    fn look(&self) {
        let now = self.shared.clock.now();
        let totals = self.shared.metrics.totals(&self.shared.cache_counters);
        self.history.lock().unwrap_or_else(PoisonError::into_inner).look(now, &totals);
        self.note_readiness(now);
        let issuers = self.overview.issuers();
        let mut first_seen = self.first_seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut present = HashMap::new();
        for issuer in issuers.iter() {
            let snapshot = issuer.snapshot();
            for key in snapshot.iter().flat_map(|snapshot| snapshot.set().keys()) {
                let name = (issuer.spec().issuer.clone(), named(key));
                let seen = first_seen.get(&name).copied();
                let obtained_at = snapshot.as_deref().map_or(now, |keys| keys.obtained_at());
                present.insert(name, seen.unwrap_or(obtained_at));
            }
        }
        *first_seen = present;
    }

    fn note_readiness(&self, now: UnixTime) -> bool {
        let ready = self.overview.is_ready();
        let since = if ready { self.ready_since.load(Ordering::Relaxed) } else { 0 };
        let since = if ready && since == 0 { now.0 } else { since };
        self.ready_since.store(since, Ordering::Relaxed);
        ready
    }

    fn issuer(&self, keys: &IssuerKeys, now: UnixTime) -> IssuerState {
        let status = keys.status();
        let spec = keys.spec();
        let shortage = Shortage::of(keys, now);
        let first_seen = self.first_seen.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = keys.snapshot();
        let shown = snapshot.iter().flat_map(|snapshot| snapshot.set().keys()).map(|key| {
            let name = (spec.issuer.clone(), named(key));
            KeyState {
                kid: key.kid().map(str::to_owned),
                algorithms: key.algorithms().iter().map(|algorithm| algorithm.name()).collect(),
                kind: key.kind().to_string(),
                first_seen: first_seen.get(&name).copied().unwrap_or(now).0,
            }
        });
        let (state, why) = match (shortage, &status.last_error) {
            (Some(_), None) if !keys.was_tried() => ("starting", None),
            (Some(why), _) => ("down", Some(why.to_string())),
            (None, Some(_)) => ("stale", Some("its last keys are used".to_owned())),
            (None, None) if status.borrowing => {
                ("ok", Some("it uses the keys of the primary issuer".to_owned()))
            }
            (None, None) => ("ok", None),
        };
        let IssuerStatus { last_error, obtained_at, next_attempt_at, .. } = &status;
        IssuerState {
            product: Product::recognise(&spec.issuer, None).name(),
            location: location(&spec.location),
            state,
            why,
            obtained_at: obtained_at.map(|at| at.0),
            next_attempt_at: next_attempt_at.map(|at| at.0),
            usable_for: expires_in(keys, now),
            remedy: last_error.as_ref().map(|error| remedy(error, keys)),
            last_error: last_error.as_ref().map(ToString::to_string),
            keys: shown.collect(),
            issuer: spec.issuer.clone(),
        }
    }

    fn tell(&self, now: UnixTime) -> String {
        let config = self.shared.metrics.config();
        let (read_at, refused_at) = (config.last(Reload::Accepted), config.last(Reload::Refused));
        let about = self.about.load();
        let provenance = &about.provenance;
        let ready = self.note_readiness(now);
        let totals = self.shared.metrics.totals(&self.shared.cache_counters);
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let state = State {
            now: now.0,
            version: env!("CARGO_PKG_VERSION"),
            started_at: self.started_at.0,
            ready,
            ready_since: self.ready_since.load(Ordering::Relaxed),
            issuers: self.overview.issuers().iter().map(|keys| self.issuer(keys, now)).collect(),
            policy: self.overview.policy().map(PolicyState::from),
            decisions: history.shown(now, &totals),
            denials: self.shared.denials.as_ref().map_or_else(Vec::new, |kept| kept.latest_first()),
            configuration: ConfigurationState {
                files: provenance.files.clone(),
                warnings: provenance.warnings.clone(),
                read_at: read_at.map(|at| at.0),
                refused_at: refused_at.filter(|at| Some(*at) > read_at).map(|at| at.0),
            },
        };
        serde_json::to_string(&state).unwrap_or_default()
    }
}

impl ConsoleView for Console {
    fn state(&self) -> Bytes {
        let now = self.shared.clock.now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0 != now {
            *told = (now, self.tell(now).into());
        }
        told.1.clone()
    }

    fn explain(&self, question: Question) -> Told {
        let now = self.shared.clock.now();
        if !self.questions.take(now) {
            return Box::pin(std::future::ready(Err(Busy)));
        }
        let (service, keys) = (self.service.load_full(), self.overview.issuers());
        let about = self.about.load_full();
        Box::pin(async move {
            let Question { token, method, path, host, mode, scopes, audience } = question;
            let token = Pasted::of(token.as_bytes()).token;
            let authorization = [b"Bearer ", token].concat();
            let header = HeaderView { name: b"authorization", value: &authorization };
            let mut route = RouteView::default();
            for (name, value) in [
                ("doorward.mode", &mode),
                ("doorward.scopes", &scopes),
                ("doorward.audience", &audience),
            ] {
                if !value.is_empty() {
                    route.note(name.as_bytes(), value.as_bytes());
                }
            }
            let headers = if token.is_empty() { &[][..] } else { std::slice::from_ref(&header) };
            let request = RequestView {
                method: method.as_bytes(),
                path: path.as_bytes(),
                authority: host.as_bytes(),
                headers,
                route,
            };
            let explanation = explain_live(&service, &keys, &about.client, &request, now).await;
            Ok(serde_json::to_string(&explanation).unwrap_or_default())
        })
    }
}

/// What of a key people see, which is enough to tell when it came.
fn named(key: &VerificationKey) -> String {
    let algorithms: Vec<_> = key.algorithms().iter().map(|algorithm| algorithm.name()).collect();
    format!("{} {} {}", key.kid().unwrap_or_default(), key.kind(), algorithms.join(" "))
}

fn location(location: &KeyLocation) -> String {
    match location {
        KeyLocation::Discovery(url) => format!("the jwks_uri in {}", redact_text(url.as_str())),
        KeyLocation::JwksUri(url) => redact_text(url.as_str()),
        KeyLocation::File(path) => path.display().to_string(),
        KeyLocation::Inline(_) => "the configuration".to_owned(),
        KeyLocation::Borrowed => "the primary issuer".to_owned(),
    }
}

fn remedy(error: &ObtainError, keys: &IssuerKeys) -> String {
    let otherwise = "`doorward doctor` examines this issuer step by step".to_owned();
    match error {
        ObtainError::Fetch(error) => fetching::not_fetched(error, &keys.spec().access, otherwise),
        ObtainError::Setup(_)
        | ObtainError::Metadata(_)
        | ObtainError::KeySet(_)
        | ObtainError::NoUsableKey { .. }
        | ObtainError::NotPublished
        | ObtainError::TooOld
        | ObtainError::FileTimedOut { .. }
        | ObtainError::File { .. } => otherwise,
    }
}

//! What a server keeps from its start to its end, whatever a reload says.

use super::StartError;
use crate::config::{ListenAddress, LogSettings, ServerSettings, Settings};

/// The keys that a reload leaves as they were at the start.
const FIXED: [&str; 9] = [
    "server.grpc.listen",
    "server.http.listen",
    "server.admin.listen",
    "server.console.enabled",
    "server.console.listen",
    "server.console.tls",
    "server.workers",
    "log.level",
    "log.format",
];

/// Whether a change of this key counts at the next start only.
#[must_use]
pub fn needs_restart(key: &str) -> bool {
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with('.');
    FIXED.iter().any(|fixed| key.strip_prefix(fixed).is_some_and(is_below))
}

/// The settings that cannot change, and the sockets that were bound by them.
pub(super) struct Fixed {
    server: ServerSettings,
    log: LogSettings,
    bound: Bound,
}

/// Where each listener is: with port 0 in the settings, the port that it got.
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) grpc: ListenAddress,
    pub(super) http: ListenAddress,
    pub(super) admin: ListenAddress,
    pub(super) console: Option<ListenAddress>,
}

impl Bound {
    /// All of them, by name.
    fn all(&self) -> impl Iterator<Item = (&'static str, &ListenAddress)> {
        let always = [("grpc", &self.grpc), ("http", &self.http), ("admin", &self.admin)];
        always.into_iter().chain(self.console.as_ref().map(|console| ("console", console)))
    }
}

impl Fixed {
    pub(super) fn new(settings: &Settings, bound: Bound) -> Self {
        Self { server: settings.server.clone(), log: settings.log.clone(), bound }
    }

    /// Where the listeners are: with port 0 in the settings, the port they got.
    pub(super) fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Checks what depends on who can reach us, by the sockets that are bound.
    ///
    /// # Errors
    /// Unsigned tokens would be believed from other machines.
    pub(super) fn check_safe(&self, settings: &Settings) -> Result<(), StartError> {
        match self.bound.all().find(|(_, address)| !address.is_local()) {
            Some((listener, address)) if settings.allow_unsigned_jwt => {
                let address = address.clone();
                Err(StartError::UnsignedBeyondLoopback { listener, address })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a listener may take its TLS from these settings. The console's stays what it was at
    /// the start, unless the same files are read again: without client certificates, a socket that
    /// was bound for those who have one would be everybody's.
    pub(super) fn may_renew_tls(&self, listener: &str, settings: &Settings) -> bool {
        listener != "console" || self.server.console == settings.server.console
    }

    /// The keys that these settings have otherwise.
    pub(super) fn changed(&self, settings: &Settings) -> Vec<&'static str> {
        let (server, log) = (&settings.server, &settings.log);
        let (console, new_console) = (&self.server.console, &server.console);
        let both = console.as_ref().zip(new_console.as_ref());
        let changed = [
            self.server.grpc.listen != server.grpc.listen,
            self.server.http.listen != server.http.listen,
            self.server.admin.listen != server.admin.listen,
            console.is_some() != new_console.is_some(),
            both.is_some_and(|(console, new_console)| console.listen != new_console.listen),
            both.is_some_and(|(console, new_console)| console.tls != new_console.tls),
            self.server.workers != server.workers,
            self.log.level != log.level,
            self.log.json != log.json,
        ];
        let changed = FIXED.into_iter().zip(changed);
        changed.filter_map(|(key, changed)| changed.then_some(key)).collect()
    }
}

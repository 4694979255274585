//! What a server keeps from its start to its end, whatever a reload says.

use super::StartError;
use crate::config::{ListenAddress, LogSettings, ServerSettings, Settings};

/// The keys that a reload leaves as they were at the start.
const FIXED: [&str; 6] = [
    "server.grpc.listen",
    "server.http.listen",
    "server.admin.listen",
    "server.workers",
    "log.level",
    "log.format",
];

/// Whether a change of this key counts at the next start only.
#[must_use]
pub fn needs_restart(key: &str) -> bool {
    FIXED.contains(&key)
}

/// The settings that cannot change, and the sockets that were bound by them.
pub(super) struct Fixed {
    server: ServerSettings,
    log: LogSettings,
    /// gRPC, HTTP, admin.
    bound: [ListenAddress; 3],
}

impl Fixed {
    pub(super) fn new(settings: &Settings, bound: [ListenAddress; 3]) -> Self {
        Self { server: settings.server.clone(), log: settings.log.clone(), bound }
    }

    /// Where the listeners are: with port 0 in the settings, the port they got.
    pub(super) fn bound(&self) -> &[ListenAddress; 3] {
        &self.bound
    }

    /// Checks what depends on who can reach us, by the sockets that are bound.
    ///
    /// # Errors
    /// Unsigned tokens would be believed from other machines.
    pub(super) fn check_safe(&self, settings: &Settings) -> Result<(), StartError> {
        let listeners = ["grpc", "http", "admin"].into_iter().zip(&self.bound);
        match listeners.into_iter().find(|(_, address)| !address.is_local()) {
            Some((listener, address)) if settings.allow_unsigned_jwt => {
                let address = address.clone();
                Err(StartError::UnsignedBeyondLoopback { listener, address })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The keys that these settings have otherwise.
    pub(super) fn changed(&self, settings: &Settings) -> Vec<&'static str> {
        let (server, log) = (&settings.server, &settings.log);
        let listen = |old: &ServerSettings| {
            [&old.grpc, &old.http, &old.admin].map(|listener| listener.listen.clone())
        };
        let [grpc, http, admin] = listen(&self.server);
        let [new_grpc, new_http, new_admin] = listen(server);
        let changed = [
            grpc != new_grpc,
            http != new_http,
            admin != new_admin,
            self.server.workers != server.workers,
            self.log.level != log.level,
            self.log.json != log.json,
        ];
        let changed = FIXED.into_iter().zip(changed);
        changed.filter_map(|(key, changed)| changed.then_some(key)).collect()
    }
}

//! Where the demonstration starts Doorward itself: the one place that knows how.

use std::sync::Arc;

use doorward_core::decision::Decision;
use doorward_core::request::RequestView;
use tokio::sync::mpsc;

use crate::app;
use crate::config::Settings;
use crate::telemetry;
use crate::transport::Watcher;

/// Starts a Doorward with the configuration in this YAML text, and tells the feed, when
/// there is one, of each decision. It blocks, and runs on a thread where that is fine.
pub(super) type StartServer = fn(&str, Option<Feed>) -> Result<Server, ServerFailure>;

/// Where decisions go. Use `try_send`: a decision that nobody has time to look at is
/// dropped, never waited for.
pub(super) type Feed = mpsc::Sender<Shown>;

/// Why Doorward did not start, from whatever layer it comes.
pub(super) type ServerFailure = Box<dyn std::error::Error + Send + Sync>;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) outcome: Outcome,
    pub(super) method: String,
    pub(super) path: String,
    /// What the client got.
    pub(super) status: Option<u16>,
}

/// Who decided, what, and about whom or why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// By Doorward: who it was, when anybody.
    Allowed(Option<String>),
    /// By Doorward, and then the upstream did not answer: why.
    Unanswered(String),
    /// By Doorward, or because it could not be asked: why.
    Denied(String),
    /// By Envoy, before anybody was asked: why.
    Refused(String),
    /// Nobody has to be asked on this route.
    Open,
}

/// A Doorward that runs; stopped when dropped.
pub(super) struct Server {
    stop: Option<Box<dyn FnOnce() + Send>>,
}

impl Server {
    /// `stop` ends it and blocks until it has ended.
    pub(super) fn new(stop: impl FnOnce() + Send + 'static) -> Self {
        Self { stop: Some(Box::new(stop)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Never on a thread of a runtime: what blocks there, or ends a runtime of its
            // own there, panics. A panic of `stop` has been reported by its thread.
            drop(std::thread::spawn(stop).join());
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// Starts the very server that `doorward serve` runs. `feed` is `None` when Envoy's
/// access log already tells of every decision.
pub(super) fn start(yaml: &str, feed: Option<Feed>) -> Result<Server, ServerFailure> {
    let settings = Settings::from_yaml("the demo's configuration", yaml)?;
    telemetry::install(&settings.log)?;
    let watcher = feed.map(|feed| {
        let watcher: Watcher = Arc::new(move |request, decision| {
            let _ = feed.try_send(shown(request, decision));
        });
        watcher
    });
    let running = app::start(settings, watcher)?;
    Ok(Server::new(move || running.stop()))
}

fn shown(request: &RequestView<'_>, decision: &Decision) -> Shown {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Shown {
        outcome: match decision {
            Decision::Allow(approval) => Outcome::Allowed(
                approval.identity().map(|who| who.identity().principal().to_owned()),
            ),
            Decision::Deny(denial) => Outcome::Denied(denial.reason().code().to_owned()),
        },
        method: text(request.method),
        // Without the query, as in Envoy's log: it may hold secrets.
        path: text(request.path_without_query()),
        status: None,
    }
}

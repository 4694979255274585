//! Where the demonstration starts Doorward itself: the one place that knows how.

use tokio::sync::mpsc;

/// Starts a Doorward with the configuration in this YAML text, and tells the feed, when
/// there is one, of each decision. It blocks, and runs on a thread where that is fine.
pub(super) type StartDoor = fn(&str, Option<Feed>) -> Result<Door, DoorFailure>;

/// Where decisions go. Use `try_send`: a decision that nobody has time to look at is
/// dropped, never waited for.
pub(super) type Feed = mpsc::Sender<Shown>;

/// Why Doorward did not start, from whatever layer it comes.
pub(super) type DoorFailure = Box<dyn std::error::Error + Send + Sync>;

/// A decision to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) allowed: bool,
    pub(super) method: String,
    pub(super) path: String,
    /// What the client got.
    pub(super) status: Option<u16>,
    /// Why it was denied.
    pub(super) reason: Option<String>,
    /// Who it was.
    pub(super) principal: Option<String>,
}

/// A Doorward that runs; stopped when dropped.
pub(super) struct Door {
    stop: Option<Box<dyn FnOnce() + Send>>,
}

impl Door {
    /// `stop` ends it and blocks until it has ended.
    pub(super) fn new(stop: impl FnOnce() + Send + 'static) -> Self {
        Self { stop: Some(Box::new(stop)) }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // Never on a thread of a runtime: what blocks there, or ends a runtime of its
            // own there, panics. A panic of `stop` has been reported by its thread.
            drop(std::thread::spawn(stop).join());
        }
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

// seam: to be replaced, once `App` and `Settings::from_yaml` are there, by
//
//     let settings = Settings::from_yaml("the demonstration's configuration", yaml)?;
//     let running = App::start(settings /*, feed */)?;
//     Ok(Door::new(move || running.shutdown()))
//
// `feed` is `None` when Envoy's access log already tells of every decision.
pub(super) fn start(_yaml: &str, _feed: Option<Feed>) -> Result<Door, DoorFailure> {
    Err("this build has no server".into())
}

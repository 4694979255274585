//! The policy that requests are put to: where it comes from, and which one is in force.
//!
//! What a policy is, the core says ([`doorward_core::policy`]); how one decides is `doorward-policy`'s
//! for Rego, the core's for roles, and an OPA's elsewhere.
//!
//! | file | holds |
//! |---|---|
//! | `spec` | what the configuration says of it |
//! | `engine` | files and bundles → a policy that decides, all faults at once |
//! | `live` | [`LivePolicy`], the one in force: what requests ask and people look at |
//! | `bundle` | the task that fetches a bundle, keeps the last good one on disk, and puts it in force |
//! | `opa` | the questions to an OPA |

mod bundle;
mod engine;
mod live;
mod opa;
mod spec;
mod watch;

use std::pin::Pin;
use std::sync::Arc;

use doorward_core::clock::Clock;

pub use self::engine::{Engine, HAS_REGO, LoadFaults, Loaded, check_bundle_key};
pub use self::live::{LivePolicy, LoadCounts, PolicyStatus};
pub use self::spec::{BundleSpec, OpaSpec, PolicySpec, Query, QueryError};
pub use self::watch::all_below;

/// What a policy takes beside itself: a task.
pub enum Work {
    /// None.
    None,
    /// It keeps the policy fresh, never completes, and may be dropped at any point.
    KeepFresh(Task),
    /// It sends questions, and ends when nobody can ask any more: dropped, it leaves some without an
    /// answer.
    Ask(Task),
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Puts a policy to work, and says what work that takes. Of its predecessor, what is the same
/// stays in force until there is something newer.
pub fn put_to_work(
    spec: PolicySpec,
    predecessor: Option<&LivePolicy>,
    counts: &Arc<LoadCounts>,
    clock: Arc<dyn Clock>,
) -> (Arc<LivePolicy>, Work) {
    match spec {
        PolicySpec::Loaded(loaded) => {
            counts.loaded();
            (Arc::new(LivePolicy::of_loaded(loaded, clock.now())), Work::None)
        }
        PolicySpec::Bundle(bundle) => {
            let live = Arc::new(LivePolicy::of_bundle(bundle, predecessor));
            let keeper = bundle::Keeper::new(&live, Arc::clone(counts), clock);
            let work = keeper.map_or(Work::None, |keeper| Work::KeepFresh(Box::pin(keeper.run())));
            (live, work)
        }
        PolicySpec::Opa(opa) => {
            let (asker, work) = opa::Opa::new(opa.clone(), Arc::clone(&clock));
            (Arc::new(LivePolicy::of_opa(opa, asker, clock.now())), Work::Ask(Box::pin(work)))
        }
    }
}

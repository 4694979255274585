//! A host for Envoy's dynamic modules, for tests: it loads the module that it is linked with, gives it
//! configurations and requests, and holds it to what the ABI ("v0.2.0") asks of modules.
//!
//! It does what Envoy does, and is stricter where Envoy trusts:
//!
//! - The bytes of headers, names and configurations that a module was shown are overwritten and freed
//!   when the ABI lets them go: at the next setter, and when the hook returns.
//! - Handles are numbers, never addresses: a module that looks into one crashes, and one that is used
//!   after its stream, configuration or scheduler is gone is found.
//! - What only a worker's or the main thread may call is found elsewhere.
//! - A stream's events come from any thread, in any order, and after its end.
//!
//! What a module does wrong is told by [`violations`].
//!
//! | module | does |
//! |---|---|
//! | `abi` | the C types, and how what a module has in memory is read |
//! | `hooks` | what a module exports |
//! | `callbacks`, `counting` | what it finds in Envoy |
//! | `config` | configurations, of filters and of routes |
//! | `stream` | one request on its way through the filter |
//! | `structs` | the one message of protobuf among them |
//! | `headers` | a header map whose bytes are lent |
//! | `statistics` | counters, gauges and histograms with labels |
//! | `main_thread` | Envoy's main thread: configurations, their events, their calls to clusters |
//! | `stand_in` | a filter that does all that one may, behind the module's own `abi.rs` |
//! | `registry` | handle → what it stands for; violations; the log |

mod abi;
mod callbacks;
mod config;
mod counting;
mod headers;
mod hooks;
mod main_thread;
mod registry;
mod statistics;
mod stream;
mod structs;

// For its hooks, which `hooks` names as C does.
#[cfg(feature = "module")]
use doorward_envoy as _;

// The module's file with `unsafe`, with a filter behind it that Miri can run: `make module-san`.
#[cfg(feature = "stand-in")]
extern crate self as doorward_core;
#[cfg(feature = "stand-in")]
#[allow(missing_docs, unreachable_pub, unfulfilled_lint_expectations)]
#[path = "../../envoy-module/src/abi.rs"]
pub mod module_abi;
#[cfg(feature = "stand-in")]
mod stand_in;
#[cfg(feature = "stand-in")]
pub use stand_in::{configuration, filter, log, request, route};

pub use config::{Call, Called, Cluster, Config, Refused, Route};
pub use registry::{Live, Violation, live, log_from, logged, violations};
pub use statistics::statistics;
pub use stream::{Metadata, Reply, Request, Response, Stream, Value};

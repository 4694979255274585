//! Doorward inside Envoy: an HTTP filter in a dynamic module, the same decisions as the server's
//! without the hop.
//!
//! | module | does |
//! |---|---|
//! | [`abi`] | Envoy's callbacks and hooks; the one file with `unsafe` |
//! | [`configuration`], [`route`] | `filter_config` of a listener and of a route |
//! | [`filter`] | one stream: decides it, and carries the decision out |
//! | [`request`] | what Envoy shows of a request, as the core takes it |
//! | [`waiting`] | a request for which somebody is asked |
//! | [`statistics`], [`log`] | Envoy's statistics and log |
//!
//! What decides is `doorward-core`; keys, tasks and sharing are `doorward::app::Embedded`.
//! `docs/module.md` tells how to use it.

pub mod abi;
pub mod configuration;
pub mod filter;
pub mod log;
pub mod request;
pub mod route;
pub mod statistics;
pub mod waiting;

//! The module as it is built, in a real Envoy: what only such a one can show. The decisions
//! themselves are tested with those of the other fronts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub
)]

mod configurations;
mod denials;
mod keys;
mod linking;
mod statistics;
mod support;

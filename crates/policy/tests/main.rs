//! The policy crate through its public door, asked by the core about really signed tokens.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub
)]

#[path = "../../core/tests/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

mod asking;
mod bundles;
mod corpus;
mod decisions;
mod inputs;
mod load;
mod opa;
mod policy_tests;
mod speed;

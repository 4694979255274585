//! The core through its public door, with really signed tokens: one file a feature, one binary for
//! all, so that `make mutants` links once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub
)]

mod bearer;
mod cache;
mod decisions;
mod delegation;
mod headers;
mod identity;
mod keys;
mod missing_keys;
mod opaque;
mod platform;
mod policy;
mod roles;
mod routes;
mod rules;
mod status;
mod support;
mod tenants;
mod tokens;

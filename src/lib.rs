//! Doorward (crate docs to come).
#![allow(missing_docs)]

pub mod app;
pub mod authorizer;
pub mod bearer;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decision;
pub mod discovery;
pub mod identity;
pub mod issuers;
pub mod keys;
pub mod request;
pub mod rules;
pub mod telemetry;
pub mod token;
pub mod token_cache;
pub mod transport;

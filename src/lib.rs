//! Doorward (crate docs to come).
#![allow(missing_docs)]

pub mod cli {
    //! One file a verb.
    pub mod demo;
}
pub mod clock;
pub mod config;
pub mod decision;
pub mod dev;
pub mod discovery;
pub mod identity;
pub mod keys;
pub mod rules;
pub mod token;

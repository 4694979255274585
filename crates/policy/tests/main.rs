//! The policy crate through its public door.

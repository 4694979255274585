//! What a path and a route ask for.

mod path;

pub use self::path::{PathRule, PathRuleError};

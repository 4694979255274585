//! What a path and a route ask for. Does not know how an identity was proven.

mod path;
mod route;

pub use self::path::{PathRule, PathRuleError};
pub use self::route::{Credentials, Permit, RouteRule, RuleFault, Rules};

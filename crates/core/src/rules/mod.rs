//! What a path and a route ask for. Does not know how an identity was proven.

mod endpoints;
mod method;
mod path;
mod pattern;
mod route;

pub use self::endpoints::{EndpointRule, Endpoints, Match};
pub use self::method::{Method, UnknownMethod};
pub use self::path::{PathRule, PathRuleError, Readings, SlashPrefix};
pub use self::pattern::{PathPattern, PathPatternError};
pub use self::route::{
    EndpointRules, Permit, RouteRule, RuleDenial, RuleFault, Rules, ScopeDemand, TokenRequirement,
    TokenScopes,
};

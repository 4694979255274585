//! What a path and a route ask for. Does not know how an identity was proven.

mod endpoints;
mod fault;
mod method;
mod path;
mod path_table;
mod pattern;
mod requirement;
mod route;
mod routes;

pub use self::endpoints::{EndpointRule, Endpoints, Match};
pub use self::fault::{RuleDenial, RuleFault};
pub use self::method::{Method, UnknownMethod};
pub use self::path::{PathRule, PathRuleError, Readings, SlashPrefix, without_path_parameters};
pub(crate) use self::path_table::{PathTable, Unreadable, order_of_names};
pub use self::pattern::{PathPattern, PathPatternError};
pub use self::requirement::TokenRequirement;
pub use self::route::{EndpointRules, Permit, RouteRule, Rules, ScopeDemand, TokenScopes};
pub use self::routes::{ConfiguredRoute, Host, NotAHost, RoutePath};

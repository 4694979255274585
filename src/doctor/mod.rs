//! What is wrong between an identity provider, a gateway and this configuration, and how
//! to mend it. Looks, never changes.
//!
//! | file | holds |
//! |---|---|
//! | `envoy` | an Envoy, Istio or Envoy Gateway configuration |
//! | `gateway` | a live gateway, probed |
//! | `report` | what an examination says: [`Finding`]s in [`Section`]s |

pub mod envoy;
pub mod gateway;
mod report;

pub use self::report::{Finding, Outcome, Report, Section};

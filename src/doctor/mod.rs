//! What is wrong between an identity provider, a gateway and this configuration, and how
//! to mend it. Looks, never changes.
//!
//! | file | holds |
//! |---|---|
//! | `envoy` | an Envoy, Istio or Envoy Gateway configuration |
//! | `report` | what an examination says: [`Finding`]s in [`Section`]s |

pub mod envoy;
mod report;

pub use self::report::{Finding, Outcome, Report, Section};

//! What is wrong between an identity provider, a gateway and this configuration, and how
//! to mend it. Looks, never changes.
//!
//! | file | holds |
//! |---|---|
//! | `envoy` | an Envoy, Istio or Envoy Gateway configuration |
//! | `gateway` | a live gateway, probed |
//! | `report` | what an examination says: [`Finding`]s in [`Section`]s |
//! | `issuer` | one issuer over the network: [`Examination::run`] |
//! | `key_set` | whether a key set can verify anything |
//! | `token` | one token, without I/O: [`examine_token`] |

pub mod envoy;
pub mod gateway;
mod issuer;
mod key_set;
mod report;
mod token;

pub use self::issuer::{Examination, Examined, Login};
pub use self::report::{Finding, Outcome, Report, Section};
pub use self::token::{KnownIssuer, examine_token};

//! Rego policies, decided in the process.
//!
//! [`Sources`] are the modules and the data of a policy, from files, directories or an OPA bundle;
//! [`Rego`] is the policy compiled, and answers [`doorward_core`] as a
//! [`Policy`](doorward_core::policy::Policy); [`run_tests`] is `opa test`. Nothing here opens a
//! socket: who fetches a bundle hands in its bytes.

mod bundle;
mod fault;
mod limits;
mod rego;
mod sources;
mod testing;

pub use self::bundle::{BundleKey, BundleKeyError};
pub use self::fault::LoadFault;
pub use self::limits::Limits;
pub use self::rego::{EvaluationFault, Rego};
pub use self::sources::Sources;
pub use self::testing::{Covered, Outcome, TestReport, TestResult, run_tests};

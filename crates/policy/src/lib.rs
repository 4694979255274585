//! Rego policies, decided in the process.
//!
//! [`Sources`] are the modules and the data of a policy, from files, directories or an OPA bundle;
//! [`Rego`] is the policy compiled, and answers [`doorward_core`] as a
//! [`Policy`](doorward_core::policy::Policy); [`run_tests`] is `opa test`. Nothing here opens a
//! socket: who fetches a bundle hands in its bytes.
//!
//! | module | does |
//! |---|---|
//! | `files`, `bundle`, `sources` | files → modules and data |
//! | `parse` | modules and data → an engine |
//! | `ast`, `analysis`, `builtins` | what rules read and call, and what is wrong with that |
//! | `parts`, `input` | which parts of the input are read, and those of one request |
//! | `evaluator`, `decisions` | evaluates, and remembers what came of it |
//! | `rego` | all of these: a policy |
//! | `testing`, `lines` | runs tests, and says which lines were evaluated |

mod analysis;
mod ast;
mod builtins;
mod bundle;
mod decisions;
mod evaluator;
mod fault;
mod files;
mod input;
mod limits;
mod lines;
mod parse;
mod parts;
mod rego;
mod sources;
mod testing;
mod throttle;

pub use self::bundle::{BundleKey, BundleKeyError};
pub use self::evaluator::EvaluationFault;
pub use self::fault::LoadFault;
pub use self::limits::Limits;
pub use self::rego::Rego;
pub use self::sources::Sources;
pub use self::testing::{Covered, Outcome, TestReport, TestResult, run_tests};

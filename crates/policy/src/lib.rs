//! Rego policies, decided in the process.
//!
//! [`Sources`] are the modules and the data of a policy, from files, directories or an OPA bundle;
//! [`Rego`] is the policy compiled, and answers [`doorward_core`] as a
//! [`Policy`](doorward_core::policy::Policy); [`run_tests`] is `opa test`. Nothing here opens a
//! socket: who fetches a bundle hands in its bytes.
//!
//! # Where it differs from OPA
//!
//! The interpreter is regorus. What it cannot do is a fault at load: functions that it has not
//! (`http.send`, `io.jwt.verify_…`, `crypto.…`, `yaml.…`, `json.match_schema`), and recursion, which it
//! would notice too late. What is left, as a test holds it against a real OPA:
//!
//! - Operators on values of wrong types (`"a" + 1`), and `some … in` a text, have no value in OPA. Here
//!   the evaluation fails, and the request is refused.
//! - `sprintf` has no value, or an empty text, where verbs and values do not match. `upper` follows Unicode (`ß`). Numbers are binary: `0.1 + 0.2` is not `0.3`, and `1e3` is
//!   shown as `1000`. `json.marshal` does not escape `<`.
//! - A module that lacks only the words that Rego v1 asks for is read as Rego v0, with a remark.
//!
//! # What is bounded
//!
//! Time is, between the steps of an evaluation ([`Limits`]). Memory is by what goes in: policy, data and
//! request. A policy that makes much out of little (`numbers.range(1, 1000000000)`) is not stopped
//! within that one call.
//!
//! # Modules
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

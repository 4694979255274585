//! What is wrong between an identity provider, a gateway and this configuration, and how
//! to mend it. Looks, never changes.
//!
//! | file | holds |
//! |---|---|
//! | `report` | what an examination says: [`Finding`]s in [`Section`]s |

mod report;

pub use self::report::{Finding, Outcome, Report, Section, printable};

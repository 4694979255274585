//! How much deciding may take.

use std::time::Duration;

/// How much one policy may take.
///
/// Time is looked at between the steps of an evaluation: one call of a builtin function is not
/// interrupted. Memory is bounded by what goes in: the sizes of the policy, its data and a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a whole evaluation may take.
    pub time: Duration,
    /// How much of that is spent on the thread of who asks. What takes longer is begun anew on a
    /// thread where waiting is in order.
    pub inline: Duration,
    /// How many evaluations may be on such threads at once.
    pub at_once: usize,
    /// How many decisions are remembered, of a policy whose decisions depend on nothing but parts of
    /// its input that are known beforehand. 0: none.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time: Duration::from_millis(500),
            inline: Duration::from_millis(1),
            at_once: 64,
            remembered: 10_000,
        }
    }
}

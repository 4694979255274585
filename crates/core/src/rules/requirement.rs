//! Whether a request needs a token.

/// Whether a request needs a token, from the least to the strictest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TokenRequirement {
    /// None is looked at: the request passes as nobody's.
    Ignored,
    /// A valid one or none at all. An invalid one is refused (CVE-2021-21378).
    Optional,
    /// A valid one.
    Required,
}

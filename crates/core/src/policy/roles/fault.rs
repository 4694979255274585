//! What can be wrong with the data of the policy.

use crate::rules::{PathPatternError, UnknownMethod};

/// Something in the data that the policy cannot go by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct RolesFault {
    /// The names on the way to it, joined by dots: `principals.alice.workspaces.team`.
    pub place: Box<str>,
    /// What is wrong there.
    pub problem: RolesProblem,
}

/// What is wrong at one place of the data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RolesProblem {
    /// Without it nobody could come anywhere, which is nothing to find out later.
    #[error("is missing")]
    Missing,
    /// It has to have members.
    #[error("is not an object")]
    NotAnObject,
    /// It has to have items, all of them strings.
    #[error("is not a list of strings")]
    NotTexts,
    /// It has to be `true` or `false`.
    #[error("is neither `true` nor `false`")]
    NotABoolean,
    /// Nobody would look at it, whatever it was meant to restrict.
    #[error("is not a member that is known here; notes begin with `x-`")]
    UnknownMember,
    /// No path matches it, or it is there twice.
    #[error("is not a usable pattern: {0}")]
    Pattern(PathPatternError),
    /// No request has this method.
    #[error("{0}")]
    Method(UnknownMethod),
    /// Which workspace a request is about would depend on the reader.
    #[error("names its workspace more than once, or by a placeholder for several segments")]
    Workspace,
    /// What is not said is not taken for "nothing".
    #[error("says neither which `permissions` it asks for nor `deny: true`")]
    AsksForNothing,
    /// NeMo looks for such a permission in another workspace.
    #[error(
        "asks for `{0}`: permissions of a named workspace (`workspace/permission`) are not supported"
    )]
    OtherWorkspace(Box<str>),
    /// It is a kind of caller that does not exist.
    #[error("lists `{0}`, which is neither `principal` nor `service_principal`")]
    UnknownCaller(Box<str>),
    /// Left out, it would mean everybody.
    #[error("lists no kind of caller")]
    NoCallers,
    /// It is not among the roles.
    #[error("names `{0}`, which is not one of the roles")]
    UnknownRole(Box<str>),
    /// Nothing comes of roles beyond that.
    #[error("includes itself on some way, or roles over more than five levels")]
    IncludesTooDeep,
}

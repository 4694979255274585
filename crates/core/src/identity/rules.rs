//! How claims become an identity, and identities headers: values that configuration
//! fills in.

use std::collections::{BTreeMap, BTreeSet};

use wildmatch::WildMatch;

use super::claim_path::ClaimPath;
use super::value::Profile;

/// Where one issuer's tokens carry whom they speak of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRules {
    /// The principal; `sub` when the token lacks this claim.
    pub subject: ClaimPath,
    /// The email address.
    pub email: ClaimPath,
    /// Which addresses are believed, as email and as principal.
    pub email_domains: EmailDomains,
    /// The groups: a string, an array, or an object whose keys are the groups.
    pub groups: ClaimPath,
    /// A claim whose values count as scopes (Entra's `roles` of application tokens).
    pub roles: Option<ClaimPath>,
    /// Cut off from the front of each scope.
    pub scope_prefix: Option<String>,
    /// Put in front of the principal; `{tid}` stands for the token's tenant.
    pub subject_prefix: Option<String>,
    /// Put in front of each group; `{tid}` stands for the token's tenant.
    pub groups_prefix: Option<String>,
    /// What `act` means in its tokens.
    pub delegation: Delegation,
}

/// What becomes of a token that says who acts for its subject (`act`, RFC 8693 §4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delegation {
    /// Who acts is told, and changes nothing.
    #[default]
    Ignored,
    /// As NeMo Platform has it: the actor is the principal, on behalf of the subject.
    Nemo,
}

impl Default for IdentityRules {
    /// `sub`, `email` and `groups`, as they are.
    fn default() -> Self {
        Self {
            subject: ClaimPath::claim_named("sub"),
            email: ClaimPath::claim_named("email"),
            email_domains: EmailDomains::Any,
            groups: ClaimPath::claim_named("groups"),
            roles: None,
            scope_prefix: None,
            subject_prefix: None,
            groups_prefix: None,
            delegation: Delegation::default(),
        }
    }
}

impl IdentityRules {
    /// Whether principals stand in a name space of their tenant's own.
    #[must_use]
    pub fn subjects_are_the_tenants(&self) -> bool {
        self.subject_prefix.as_deref().is_some_and(|prefix| prefix.contains(TENANT))
    }
}

/// Whose addresses the tokens of an issuer may give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EmailDomains {
    /// An address of any domain is taken.
    #[default]
    Any,
    /// Those at one of these domains, without regard to case.
    OneOf(BTreeSet<String>),
    /// The issuer stands for several tenants, each of which writes what it likes: those at a domain
    /// that Entra knows to be the tenant's own (`xms_edov`).
    OwnedByTenant,
}

/// What stands for the tenant in a prefix.
pub(super) const TENANT: &str = "{tid}";

/// Which headers carry the identity, and what they may hold. The same for all issuers.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderRules {
    /// The character set and limits of values.
    pub profile: Profile,
    /// Every header that starts with this is ours alone, in lower case and with `-`:
    /// `x-nmp-`.
    pub trusted_prefix: String,
    /// The names of the identity headers, in lower case.
    pub names: HeaderNames,
    /// Further claims and the headers (lower case) they are copied to.
    pub claims: BTreeMap<String, ClaimPath>,
    /// Groups that match none of these are dropped; empty: all are kept.
    pub groups_only: Vec<WildMatch>,
}

impl Default for HeaderRules {
    /// Those of NeMo Platform: `x-nmp-principal-id` and its siblings.
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            trusted_prefix: "x-nmp-".into(),
            names: HeaderNames::default(),
            claims: BTreeMap::new(),
            groups_only: Vec::new(),
        }
    }
}

/// The names of the identity headers, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct HeaderNames {
    pub principal_id: String,
    pub principal_email: String,
    pub principal_groups: String,
    pub principal_on_behalf_of: String,
    pub principal_on_behalf_of_email: String,
    pub principal_on_behalf_of_groups: String,
    pub scopes: String,
    pub authorized: String,
}

impl HeaderNames {
    /// All of them.
    pub fn all(&self) -> [&String; 8] {
        let Self {
            principal_id,
            principal_email,
            principal_groups,
            principal_on_behalf_of,
            principal_on_behalf_of_email,
            principal_on_behalf_of_groups,
            scopes,
            authorized,
        } = self;
        [
            principal_id,
            principal_email,
            principal_groups,
            principal_on_behalf_of,
            principal_on_behalf_of_email,
            principal_on_behalf_of_groups,
            scopes,
            authorized,
        ]
    }
}

impl Default for HeaderNames {
    fn default() -> Self {
        Self {
            principal_id: "x-nmp-principal-id".into(),
            principal_email: "x-nmp-principal-email".into(),
            principal_groups: "x-nmp-principal-groups".into(),
            principal_on_behalf_of: "x-nmp-principal-on-behalf-of".into(),
            principal_on_behalf_of_email: "x-nmp-principal-on-behalf-of-email".into(),
            principal_on_behalf_of_groups: "x-nmp-principal-on-behalf-of-groups".into(),
            scopes: "x-nmp-scopes".into(),
            authorized: "x-nmp-authorized".into(),
        }
    }
}

//! What an issuer's tokens must satisfy: values that configuration fills in.

use std::collections::BTreeSet;
use std::time::Duration;

use super::fault::TokenFault;
use super::kind::TokenKind;
use crate::keys::AlgorithmSet;

/// The placeholder in an Azure multi-tenant issuer.
pub const TENANT_PLACEHOLDER: &str = "{tenantid}";

/// The rules for the tokens of one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRules {
    /// What `iss` must be, to the byte; with [`TENANT_PLACEHOLDER`] in it, what it must
    /// be once the token's `tid` is filled in.
    pub issuer: String,
    /// Which `alg` values are accepted.
    pub algorithms: AlgorithmSet,
    /// What `aud` must hold.
    pub audience: AudienceRule,
    /// Whose `tid` is welcome. Issuers without a placeholder mostly have
    /// [`TenantRule::NotChecked`].
    pub tenants: TenantRule,
    /// The clients ([`CLIENT_CLAIMS`]) that may hold tokens; empty: any.
    pub allowed_clients: BTreeSet<String>,
    /// What becomes of tokens that are bound to a key.
    pub bound_tokens: BoundTokens,
    /// Whether tokens that look like ID tokens are refused, though they do not call themselves so.
    pub require_access_token: bool,
    /// How long a token may live in all: from `iat`, or else from now, to `exp`.
    pub max_lifetime: Option<Duration>,
    /// How far the issuer's clock may be off from ours.
    pub leeway: Duration,
    /// What its tokens are for, and with that what they must have.
    pub token_use: TokenUse,
    /// Whether a token counts only when whoever knows says so
    /// ([`StatusSource`](crate::status::StatusSource)).
    pub asked_about: bool,
}

impl TokenRules {
    /// The rules of an issuer whose tokens name one of these audiences. Any client may hold them,
    /// its clock may be a minute off, and all algorithms that exist here are accepted.
    ///
    /// ```
    /// let rules = doorward_core::token::TokenRules::new("https://idp.example", ["my-api"]);
    /// assert!(!rules.is_per_tenant());
    /// ```
    #[must_use]
    pub fn new<A: Into<String>>(
        issuer: impl Into<String>,
        audiences: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            algorithms: AlgorithmSet::ALL,
            audience: AudienceRule::AnyOf(audiences.into_iter().map(Into::into).collect()),
            tenants: TenantRule::NotChecked,
            allowed_clients: BTreeSet::new(),
            bound_tokens: BoundTokens::default(),
            require_access_token: false,
            max_lifetime: None,
            leeway: Duration::from_secs(60),
            token_use: TokenUse::default(),
            asked_about: false,
        }
    }

    /// Whether a token of this kind may come.
    ///
    /// # Errors
    /// It is not for access, or looks so and access tokens are required.
    pub fn check_kind(&self, kind: TokenKind) -> Result<(), TokenFault> {
        match kind {
            TokenKind::Other(kind) => Err(TokenFault::AnotherKind(kind)),
            TokenKind::LikeId(claim) if self.require_access_token => {
                Err(TokenFault::LikeIdToken(claim))
            }
            TokenKind::Access | TokenKind::LikeId(_) | TokenKind::Unsaid => Ok(()),
        }
    }

    /// Whether the issuer stands for one issuer a tenant.
    #[must_use]
    pub fn is_per_tenant(&self) -> bool {
        self.issuer.contains(TENANT_PLACEHOLDER)
    }
}

/// What a token is for, by NeMo Platform's names (`token_kind`), and with that what it must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum TokenUse {
    /// A person's or a program's access token, of any OpenID Connect issuer.
    #[default]
    OidcAccessToken,
    /// A Scoped Access Key: it may have no `exp`, and says by [`ACCESS_KEY`] that it is one.
    AccessKey,
    /// What the platform gives a workload for its own token (RFC 8693).
    WorkloadAccessToken,
    /// A workload's own token, such as Kubernetes gives to pods.
    WorkloadSubjectToken,
}

/// The claim, and its value, by which a token says that it is an access key of NeMo Platform.
pub const ACCESS_KEY: (&str, &str) = ("nmp_token_type", "access_key");

impl TokenUse {
    /// The platform's name for it: `oidc_access_token`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// The claims that it must have besides `iss` and `aud`.
    pub(super) fn required_claims(self) -> &'static [&'static str] {
        match self {
            Self::OidcAccessToken | Self::WorkloadSubjectToken => &["exp"],
            Self::AccessKey => &["sub", "iat", "nbf", "jti"],
            Self::WorkloadAccessToken => &["exp", "sub", "iat", "nbf"],
        }
    }
}

/// Where a token names the client that it was issued to; the first that is there counts: OpenID
/// Connect Core §2 and Azure v2, Azure v1, RFC 9068 §2.2, Okta.
pub const CLIENT_CLAIMS: [&str; 4] = ["azp", "appid", "client_id", "cid"];

/// What becomes of tokens that are bound to a key of their client (`cnf`, RFC 7800: DPoP, mutual
/// TLS). As a plain bearer such a token proves less than its issuer meant it to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoundTokens {
    /// They are refused.
    #[default]
    Refused,
    /// They are taken for plain bearer tokens: somebody in front of us checks the binding.
    Ignored,
}

/// Which audiences are ours (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudienceRule {
    /// `aud` must be, or hold, one of these.
    AnyOf(BTreeSet<String>),
    /// `verify_audience: false`, written out by the operator.
    NotChecked,
}

/// Which tenants are ours (Azure's `tid`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantRule {
    /// `tid` must be one of these, in lower case.
    OneOf(BTreeSet<String>),
    /// Any well-formed tenant: `*`, written out by the operator.
    Any,
    /// The issuer has no tenants.
    NotChecked,
}

impl TenantRule {
    /// Whether tokens of more than one tenant may come.
    #[must_use]
    pub fn is_several(&self) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tenants) => tenants.len() > 1,
            Self::NotChecked => false,
        }
    }
}

/// Whether a text is a GUID, as the ids of Entra's tenants and applications are: five groups of
/// hexadecimal digits. Anything else put into an issuer's template could make it another URL.
#[must_use]
pub fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

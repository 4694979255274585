//! What is allowed but should not go unnoticed.

/// A warning about a configuration that is otherwise sound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// `auth.enabled: false`.
    #[error("auth.enabled is false: every request is allowed, whoever sends it")]
    AuthDisabled,
    /// `auth.allow_unsigned_jwt: true`.
    #[error(
        "auth.allow_unsigned_jwt is true: anybody can write a token; for local development only"
    )]
    UnsignedAccepted,
    /// `verify_audience: false`.
    #[error("{key} is false: tokens that {issuer} made for other applications are accepted")]
    AudienceNotVerified {
        /// The key.
        key: String,
        /// The issuer.
        issuer: String,
    },
    /// `allow_http: true`, and plain http to another machine.
    #[error(
        "{key} is true: {url} is fetched over plain http, and whoever is on the way can choose \
         what it says, keys included"
    )]
    PlainHttp {
        /// The key.
        key: String,
        /// What is fetched.
        url: String,
    },
    /// An entry of `additional_issuers` that looks like a URL and cannot be discovered.
    #[error(
        "{key}: {issuer} is not discovered, not being an https URL that could be: the primary \
         issuer's keys serve for it"
    )]
    NotDiscovered {
        /// The key.
        key: String,
        /// The issuer.
        issuer: String,
    },
    /// What is kept in `keys.key_cache_dir` could be anybody's.
    #[error(
        "keys.key_cache_dir: {directory} belongs to another user, or others may write to it: no \
         key in it is believed; name a directory below it, which Doorward then makes its own"
    )]
    OpenCacheDirectory {
        /// The directory.
        directory: String,
    },
    /// Several issuers without `subject_prefix` of their own.
    #[error(
        "{} share one name space of principals: `alice` of one is `alice` of the other; give \
         each a subject_prefix of its own",
        issuers.join(", ")
    )]
    SubjectsOverlap {
        /// Those with the same prefix.
        issuers: Vec<String>,
    },
    /// Several issuers without `groups_prefix` of their own.
    #[error(
        "{} share one name space of groups: `admins` of one is `admins` of the other; give each \
         a groups_prefix of its own",
        issuers.join(", ")
    )]
    GroupsOverlap {
        /// Those with the same prefix.
        issuers: Vec<String>,
    },
    /// Several issuers that may give the same email addresses.
    #[error(
        "{} may each give {}: roles are given to addresses as to principals; give each \
         email_domains of its own",
        issuers.join(", "),
        domain.as_ref().map_or("any email address".into(), |it| format!("addresses at {it}"))
    )]
    EmailsOverlap {
        /// Those issuers.
        issuers: Vec<String>,
        /// The domain that both list; `None`: they list none, and any address will do.
        domain: Option<String>,
    },
    /// `email_domains` where every tenant may come.
    #[error(
        "{issuer} lets every tenant in, and each can write addresses at its email_domains: leave them \
         out, and xms_edov decides"
    )]
    AddressesOfAnyTenant {
        /// The issuer.
        issuer: String,
    },
    /// Many tenants and a claim that each of them writes as it likes.
    #[error(
        "{issuer} stands for several tenants, and each can put what it likes into `{claim}`: \
         take `oid` for the subject, or a subject_prefix with {{tid}}"
    )]
    MutableSubject {
        /// The issuer.
        issuer: String,
        /// The subject claim.
        claim: String,
    },
    /// `rules.bypass: ["/*"]`.
    #[error("rules.bypass holds `/*`: no path needs a token")]
    EverythingBypassed,
    /// `rules.scopes: required`, and no endpoint asks for one.
    #[error(
        "rules.scopes is `required`, but there is no rules.endpoints or rules.endpoints_file that \
         asks for scopes"
    )]
    ScopesOfNothing,
    /// Some keys of a configured key set are left out.
    #[error("{key}: key {position} is left out: {reason}")]
    KeyLeftOut {
        /// The configuration key.
        key: String,
        /// From 0.
        position: usize,
        /// Why.
        reason: String,
    },
    /// A key set with private keys in it.
    #[error("{key} holds private keys: Doorward needs the public ones alone")]
    PrivateKeys {
        /// The configuration key.
        key: String,
    },
}

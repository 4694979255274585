//! What is allowed but should not go unnoticed.

use crate::redact::Shown;

/// A warning about a configuration that is otherwise sound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each is what its message says")]
pub enum Warning {
    /// `auth.enabled: false`.
    #[error("auth.enabled is false: every request is allowed, without authentication")]
    AuthDisabled,
    /// `auth.allow_unsigned_jwt: true`.
    #[error(
        "auth.allow_unsigned_jwt is true: anyone can make up a token; for local development only"
    )]
    UnsignedAccepted,
    /// `verify_audience: false`, but for Cognito with `allowed_clients`.
    #[error(
        "{key} is false: tokens that {issuer} issued for other applications are accepted{}",
        if *clients { ", as long as one of allowed_clients requested them" } else { "" }
    )]
    AudienceNotVerified {
        key: String,
        issuer: Shown,
        /// Whether only tokens of certain clients are accepted.
        clients: bool,
    },
    /// A v2 issuer of Entra's with an audience that only v1 tokens have.
    #[error(
        "{key} begins with api://, and no token of {issuer} does: its `aud` is just the \
         application's id; add {}",
        id.as_ref().map_or("that GUID, the Application (client) ID".into(), ToString::to_string)
    )]
    AudienceOfV1 { key: String, issuer: Shown, id: Option<Shown> },
    /// A claim that looks like a way through objects.
    #[error(
        "{key}: `{claim}` is read as the name of one claim, with dots in it; to reach a nested \
         claim write {pointer}"
    )]
    DottedClaim { key: String, claim: Shown, pointer: Shown },
    /// `allow_http: true`, and plain http to another machine.
    #[error(
        "{key} is true: {url} is fetched over plain http, and anyone on the network path can \
         change it, keys included"
    )]
    PlainHttp { key: String, url: Shown },
    /// An entry of `additional_issuers` that looks like a URL and cannot be discovered.
    #[error(
        "{key}: {issuer} is not an https URL, so it is not discovered: the primary issuer's keys \
         are used for it"
    )]
    NotDiscovered { key: String, issuer: Shown },
    /// What is kept in a cache directory could be anybody's.
    #[error(
        "{key}: {directory} belongs to another user, or others can write to it: {what} in it are not \
         trusted; choose a subdirectory, which Doorward then creates for itself"
    )]
    OpenCacheDirectory {
        key: String,
        directory: Shown,
        /// What is kept there.
        what: &'static str,
    },
    /// Several issuers without `subject_prefix` of their own.
    #[error(
        "{} share one namespace of principals: `alice` of one is `alice` of the other; give each \
         its own subject_prefix",
        list(issuers)
    )]
    SubjectsOverlap {
        /// Those with the same prefix.
        issuers: Vec<Shown>,
    },
    /// Several issuers without `groups_prefix` of their own.
    #[error(
        "{} share one namespace of groups: `admins` of one is `admins` of the other; give each \
         its own groups_prefix",
        list(issuers)
    )]
    GroupsOverlap {
        /// Those with the same prefix.
        issuers: Vec<Shown>,
    },
    /// Several issuers that may give the same email addresses.
    #[error(
        "{} can each assert {}: roles are granted to email addresses as well as to principals; \
         give each its own email_domains",
        list(issuers),
        domain.as_ref().map_or("any email address".into(), |it| format!("addresses at {it}"))
    )]
    EmailsOverlap {
        issuers: Vec<Shown>,
        /// The domain that both list; `None`: they list none, and any address will do.
        domain: Option<String>,
    },
    /// `email_domains` where every tenant may come.
    #[error(
        "{issuer} accepts every tenant, and each of them can assert addresses at its \
         email_domains: remove those, and xms_edov decides"
    )]
    AddressesOfAnyTenant { issuer: Shown },
    /// Many tenants and a claim that each of them writes as it likes.
    #[error(
        "{issuer} covers several tenants, and each of them controls `{claim}`: use `oid` as \
         subject_claim, or a subject_prefix with {{tid}}"
    )]
    MutableSubject { issuer: Shown, claim: Shown },
    /// `workload_subject_jwks_uri` without issuers.
    #[error(
        "auth.oidc.workload_subject_jwks_uri has no effect: auth.oidc.workload_subject_issuers \
         names no issuer"
    )]
    SubjectTokensOfNobody,
    /// `rules.bypass: ["/*"]`.
    #[error("rules.bypass contains `/*`: no path needs a token")]
    EverythingBypassed,
    /// A route of `rules.routes` that is about every request, with `mode: bypass`.
    #[error("{key} opens every path: what no route before it is about needs no token")]
    EverythingOpen { key: String },
    /// `rules.scopes: required`, and no endpoint asks for one.
    #[error(
        "rules.scopes is `required`, but neither rules.endpoints nor rules.endpoints_file \
         requires any"
    )]
    ScopesOfNothing,
    /// `rules.endpoints` with `rules.scopes: optional`.
    #[error(
        "rules.scopes is `optional`: a token without platform scopes (those with a `:`) passes \
         every endpoint of the table; `required` requires scopes of all tokens"
    )]
    ScopesOptional,
    /// An OPA on another machine, by plain http.
    #[error(
        "{key} is true: {url} is asked over plain http, and anyone on the network path can allow \
         requests, and read their tokens"
    )]
    OpaInTheClear { key: String, url: Shown },
    /// What the policy itself is remarked upon.
    #[error("policy: {0}")]
    Policy(String),
    /// `log.level` leaves all of Doorward's own lines out, without saying `off`.
    #[error("log.level is `{level}`: Doorward logs nothing, not even errors; write info,{level}")]
    NothingLogged { level: Shown },
    /// A listener's certificate has run out, or soon will.
    #[error("{key}: the certificate in {path} {when}: renew it; gateways reject an expired one")]
    CertificateRunsOut {
        key: String,
        path: Shown,
        /// In how many days.
        when: String,
    },
    /// Some keys of a configured key set are left out.
    #[error("{key}: key {position} is left out: {reason}")]
    KeyLeftOut {
        key: String,
        /// From 0.
        position: usize,
        reason: String,
    },
    /// A key set with private keys in it.
    #[error("{key} contains private keys: Doorward needs only the public ones")]
    PrivateKeys { key: String },
}

fn list(issuers: &[Shown]) -> String {
    issuers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

//! NeMo Platform as an issuer of tokens, and the issuers of its workloads' own.

use std::time::Duration;

use doorward_core::identity::{ClaimPath, Delegation, IdentityRules};
use doorward_core::keys::{Algorithm, AlgorithmSet};
use doorward_core::token::{TokenRules, TokenUse};
use url::Url;

use super::super::raw;
use super::super::settings::{AccessKeySettings, IssuerSettings, PlatformSettings};
use crate::discovery::{Access, IntrospectionSpec, KeyLocation, Protocol};

/// How far the platform lets clocks be off.
const LEEWAY: Duration = Duration::from_secs(30);
/// How long the platform may take to say whether an access key is active.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The issuers that `platform` stands for. `primary` says where workloads' own tokens have whom they
/// speak of: what is wrong with its claims is said where that issuer is checked.
pub(super) fn issuers(platform: &PlatformSettings, primary: &raw::Issuer) -> Vec<IssuerSettings> {
    let access = Access { ca_file: platform.ca_file.clone(), ..Access::default() };
    let mut issuers = Vec::new();
    let mut access_keys = platform.access_keys.as_ref();
    if let Some(workloads) = &platform.workload_tokens {
        let audiences = workloads.audiences.iter().cloned();
        let rules = rules(&workloads.issuer, audiences, TokenUse::WorkloadAccessToken);
        let identity = IdentityRules { delegation: Delegation::Nemo, ..IdentityRules::default() };
        let shared = access_keys.take_if(|keys| keys.issuer == workloads.issuer);
        issuers.push(IssuerSettings {
            access_keys: shared.map(access_key_rules),
            introspection: shared.map(|keys| status(keys, &access)),
            ..issuer(rules, identity, &workloads.jwks_uri, &access)
        });
    }
    if let Some(keys) = access_keys {
        issuers.push(IssuerSettings {
            introspection: Some(status(keys, &access)),
            ..issuer(access_key_rules(keys), IdentityRules::default(), &keys.jwks_uri, &access)
        });
    }
    if let Some(subjects) = &platform.subject_tokens {
        let claim = |name: &str, default| name.parse::<ClaimPath>().unwrap_or(default);
        let standard = IdentityRules::default();
        let identity = IdentityRules {
            subject: claim(&primary.subject_claim, standard.subject),
            email: claim(&primary.email_claim, standard.email),
            groups: claim(&primary.groups_claim, standard.groups),
            ..IdentityRules::default()
        };
        issuers.extend(subjects.issuers.iter().map(|name| {
            let audience = [subjects.audience.clone()];
            let rules = rules(name, audience, TokenUse::WorkloadSubjectToken);
            issuer(rules, identity.clone(), &subjects.jwks_uri, &access)
        }));
    }
    issuers
}

fn rules(
    issuer: &str,
    audiences: impl IntoIterator<Item = String>,
    token_use: TokenUse,
) -> TokenRules {
    let algorithms: AlgorithmSet = [Algorithm::RS256].into_iter().collect();
    let rules = TokenRules::new(issuer, audiences);
    TokenRules { algorithms, token_use, leeway: LEEWAY, ..rules }
}

fn access_key_rules(keys: &AccessKeySettings) -> TokenRules {
    let rules = rules(&keys.issuer, [keys.audience.clone()], TokenUse::AccessKey);
    TokenRules { asked_about: true, ..rules }
}

fn status(keys: &AccessKeySettings, access: &Access) -> IntrospectionSpec {
    IntrospectionSpec {
        issuer: keys.issuer.clone(),
        endpoint: keys.status_url.clone(),
        protocol: Protocol::Authenticate,
        access: access.clone(),
        timeout: TIMEOUT,
        recheck: keys.recheck,
        // All of its keys are signed.
        unknown_per_second: 0,
    }
}

fn issuer(
    token: TokenRules,
    identity: IdentityRules,
    jwks_uri: &Url,
    access: &Access,
) -> IssuerSettings {
    IssuerSettings {
        token,
        identity,
        keys: KeyLocation::JwksUri(jwks_uri.clone()),
        access: access.clone(),
        borrows_from_primary: false,
        access_keys: None,
        introspection: None,
        opaque_prefix: None,
    }
}

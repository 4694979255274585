//! `auth.allow_unsigned_jwt`: tokens that anybody can make up, for development on one machine.

use std::time::Duration;

use doorward_core::identity::IdentityRules;
use doorward_core::token::{AudienceRule, TokenRules};
use url::Url;

use super::super::settings::{IssuerSettings, UnsignedSettings};
use super::{BadValue, Checker, KeyPath, Warning, identity, raw};
use crate::discovery::KeyLocation;
use crate::loopback::is_loopback;

/// What such tokens are called where others have the name of their issuer.
const NAME: &str = "unsigned tokens";

/// What unsigned tokens mean. `exposed` is a listener that others than this machine can reach.
pub(super) fn check(
    c: &mut Checker,
    config: &raw::Config,
    exposed: Option<&'static str>,
    issuers: Option<&[IssuerSettings]>,
    leeway: Duration,
) -> Option<UnsignedSettings> {
    c.warnings.push(Warning::UnsignedAccepted);
    let key = KeyPath::dotted("auth.allow_unsigned_jwt");
    if let Some(listener) = exposed {
        c.bad(&key, BadValue::UnsignedBeyondLoopback { listener });
    }
    if c.in_kubernetes {
        c.bad(&key, BadValue::UnsignedInKubernetes);
    }
    let elsewhere = issuers.into_iter().flatten().find(|issuer| !is_local(issuer));
    if let Some(issuer) = elsewhere {
        let issuer = issuer.token.issuer.as_str().into();
        c.bad(&key, BadValue::UnsignedBesideIssuer { issuer });
    }
    let oidc = &config.auth.oidc;
    let identity: IdentityRules = match issuers?.first() {
        // Its claims have been checked.
        Some(primary) if oidc.enabled && oidc.common.issuer.is_some() => primary.identity.clone(),
        Some(_) | None => {
            let section = KeyPath::dotted("auth.oidc");
            identity::check(c, &section, &oidc.common, config.headers.profile, false)?
        }
    };
    let rules = TokenRules::new(NAME, [""; 0]);
    let token = TokenRules { audience: AudienceRule::NotChecked, leeway, ..rules };
    Some(UnsignedSettings { token, identity })
}

/// Whether an issuer is on this machine: by its name and by where its keys are, of which one has to
/// say so, and by whom it has asked about its tokens.
fn is_local(issuer: &IssuerSettings) -> bool {
    let name = Url::parse(&issuer.token.issuer).ok();
    let keys = match &issuer.keys {
        KeyLocation::Discovery(url) | KeyLocation::JwksUri(url) => Some(url),
        KeyLocation::File(_) | KeyLocation::Inline(_) | KeyLocation::Borrowed => None,
    };
    let asked = issuer.introspection.as_ref().map(|asked| &asked.endpoint);
    let mut named = name.iter().chain(keys).peekable();
    named.peek().is_some() && named.chain(asked).all(is_loopback)
}

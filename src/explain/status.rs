//! What others were asked about a token, and what it says of who acts.

use doorward_core::decision::Fault;
use doorward_core::identity::Delegation;
use doorward_core::token::{ACCESS_KEY, TokenUse};

use super::steps::{Evidence, Facts};
use super::words::{claim, span};

impl Evidence<'_> {
    pub(super) fn token_use(&self) -> Facts {
        let (name, value) = ACCESS_KEY;
        let expected = match self.rules().map(|rules| rules.token_use) {
            Some(TokenUse::AccessKey) => {
                format!("an access key: {name} {value:?}, sub, iat, nbf, jti `ak_…`")
            }
            Some(TokenUse::WorkloadAccessToken) => {
                format!("a workload's access token: sub, iat, nbf, exp; no {name}")
            }
            Some(TokenUse::WorkloadSubjectToken) => "a workload's own token".to_owned(),
            Some(TokenUse::OidcAccessToken) | None => String::new(),
        };
        let named = [name, "jti"].map(|name| format!("{name} {}", claim(self.token.claim(name))));
        let found = match self.fault {
            Some(Fault::Token(fault))
                if super::Check::of(Fault::Token(fault)) == super::Check::Use =>
            {
                format!("{}: {fault}", named.join(", "))
            }
            Some(_) | None => named.join(", "),
        };
        Facts::new(expected, found)
    }

    pub(super) fn actor(&self) -> Facts {
        let found = format!("act {}", claim(self.token.claim("act")));
        let delegates =
            self.identity_rules().is_some_and(|rules| rules.delegation == Delegation::Nemo)
                && self.rules().is_some_and(|rules| rules.token_use != TokenUse::AccessKey);
        if !delegates {
            return Facts::new("", format!("{found}: changes nothing (`delegation: ignore`)"));
        }
        let behalf = self.verified().and_then(|verified| verified.identity().on_behalf_of());
        let found = match (behalf, self.verified()) {
            (Some(behalf), Some(verified)) => format!(
                "{found} → {} on behalf of {}",
                verified.identity().principal(),
                behalf.subject
            ),
            (_, _) => found,
        };
        Facts::new("act.sub: who acts for the subject; not `*`, not `service:…`", found)
    }

    pub(super) fn status(&self) -> Facts {
        let whom = if self.is_opaque() { "its issuer" } else { "whoever knows" };
        let found = match self.fault {
            Some(fault @ Fault::Status(_)) => fault.to_string(),
            Some(_) | None => {
                let recheck = self.issuer.and_then(|issuer| issuer.status()).map(|it| it.recheck());
                format!("active; asked again after {}", span(recheck.unwrap_or_default()))
            }
        };
        Facts::new(format!("{whom} to call the token active"), found)
    }
}

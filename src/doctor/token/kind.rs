//! What kind of token it is: access tokens only are keys to an API.

use doorward_core::token::{OtherKind, TokenKind};

use crate::token_parts::TokenParts;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A person's access token.
    Person,
    /// An application's own access token (client credentials): no email, mostly no groups.
    Machine,
    /// An OpenID Connect ID token.
    Id,
    /// Something to get other tokens with.
    Refresh,
    /// News for a client that a session has ended, or another event.
    Logout,
    /// For Microsoft Graph.
    Graph,
}

impl Kind {
    /// Tells by what the token says of itself and, where that is nothing, by the claims that go with
    /// each provider's tokens.
    pub(super) fn of(token: &TokenParts) -> Self {
        let has = |name: &str| token.claim(name).is_some();
        if token.is_for_microsoft_graph() {
            return Self::Graph;
        }
        let access = if is_machine(token) { Self::Machine } else { Self::Person };
        match token.kind() {
            TokenKind::Access => return access,
            TokenKind::Other(OtherKind::Refresh | OtherKind::Offline) => return Self::Refresh,
            TokenKind::Other(OtherKind::Logout | OtherKind::Event) => return Self::Logout,
            TokenKind::Other(OtherKind::Id) | TokenKind::LikeId(_) => return Self::Id,
            TokenKind::Unsaid | TokenKind::Other(OtherKind::Unnamed) => {}
        }
        // authentik's access tokens are its ID tokens with `azp` and `uid` in addition.
        let granted = ["scope", "scp", "roles", "permissions", "gty", "cid"].into_iter().any(has)
            || (has("azp") && has("uid"));
        let profile =
            ["auth_time", "name", "preferred_username", "picture", "amr"].into_iter().any(has);
        let of_google = token.text("iss").is_some_and(|iss| iss.ends_with("accounts.google.com"));
        if of_google || (!granted && profile) { Self::Id } else { access }
    }
}

/// Whether an application speaks for itself.
fn is_machine(token: &TokenParts) -> bool {
    let text = |name: &str| token.text(name);
    let service_account =
        text("preferred_username").is_some_and(|name| name.starts_with("service-account-"));
    let kubernetes =
        text("sub").is_some_and(|subject| subject.starts_with("system:serviceaccount:"));
    let is_itself = token.client().is_some() && token.client() == text("sub");
    // Entra: an application has roles and no scp, and is its own object.
    let entra = text("idtyp") == Some("app")
        || (text("tid").is_some() && text("scp").is_none() && text("oid") == text("sub"));
    // Keycloak writes session, token and grant type in front of its ids: `trrtcc:…`.
    let keycloak = text("jti").and_then(|id| id.split_once(':')).is_some_and(|(front, _)| {
        front.len() == 6 && front.ends_with("cc") && text("typ") == Some("Bearer")
    });
    let auth0 = text("gty") == Some("client-credentials");
    service_account || keycloak || kubernetes || is_itself || entra || auth0
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn tokens_of_each_provider_are_told_apart() {
        let jwt = json!({"typ": "JWT", "alg": "RS256"});
        for (header, claims, kind) in [
            (&jwt, json!({"typ": "Bearer", "nonce": "n", "sub": "a"}), Kind::Person),
            (&jwt, json!({"typ": "ID", "sub": "a"}), Kind::Id),
            (&jwt, json!({"typ": "Refresh"}), Kind::Refresh),
            (&jwt, json!({"typ": "Offline"}), Kind::Refresh),
            (&jwt, json!({"typ": "Logout"}), Kind::Logout),
            (&jwt, json!({"events": {"http://e/logout": {}}, "sub": "a"}), Kind::Logout),
            (
                &jwt,
                json!({"typ": "Bearer", "azp": "job", "preferred_username": "service-account-job"}),
                Kind::Machine,
            ),
            (
                &jwt,
                json!({"typ": "Bearer", "azp": "job", "jti": "trrtcc:8d55", "sub": "a"}),
                Kind::Machine,
            ),
            (
                &jwt,
                json!({"typ": "Bearer", "azp": "nmp", "jti": "onrtro:8d55", "sub": "a"}),
                Kind::Person,
            ),
            (&jwt, json!({"token_use": "id", "sub": "a"}), Kind::Id),
            (&jwt, json!({"token_use": "access", "client_id": "c", "sub": "a"}), Kind::Person),
            (&json!({"typ": "at+JWT"}), json!({"sub": "job", "client_id": "job"}), Kind::Machine),
            (&json!({"typ": "at+jwt"}), json!({"sub": "a", "auth_time": 1}), Kind::Person),
            (&jwt, json!({"aud": "c", "sub": "a", "at_hash": "h"}), Kind::Id),
            (&jwt, json!({"aud": "c", "tid": "t", "oid": "o", "sub": "s", "name": "A"}), Kind::Id),
            (
                &jwt,
                json!({"aud": "c", "tid": "t", "oid": "o", "sub": "s", "name": "A", "scp": "x"}),
                Kind::Person,
            ),
            (
                &jwt,
                json!({"aud": "c", "tid": "t", "oid": "o", "sub": "o", "roles": ["r"]}),
                Kind::Machine,
            ),
            (&jwt, json!({"gty": "client-credentials", "sub": "x@clients"}), Kind::Machine),
            (&jwt, json!({"cid": "c", "uid": "u", "sub": "a@b", "scp": ["openid"]}), Kind::Person),
            (&jwt, json!({"aud": "c", "sub": "u", "amr": ["pwd"], "idp": "o"}), Kind::Id),
            (&jwt, json!({"iss": "https://accounts.google.com", "sub": "1"}), Kind::Id),
            (&jwt, json!({"sub": "a", "name": "A", "azp": "c", "uid": "u"}), Kind::Person),
            (&jwt, json!({"sub": "a", "name": "A"}), Kind::Id),
            (&jwt, json!({"sub": "system:serviceaccount:jobs:trainer"}), Kind::Machine),
            (&jwt, json!({"aud": "https://graph.microsoft.com", "scp": "User.Read"}), Kind::Graph),
            (
                &json!({"typ": "JWT", "nonce": "n"}),
                json!({"aud": "00000003-0000-0000-c000-000000000000"}),
                Kind::Graph,
            ),
            (&jwt, json!({"sub": "a", "aud": "b"}), Kind::Person),
        ] {
            let members = |value: &Value| value.as_object().cloned();
            let parts = TokenParts {
                header: members(header),
                claims: members(&claims),
                ..TokenParts::default()
            };
            assert_eq!(Kind::of(&parts), kind, "{header} {claims}");
        }
    }
}

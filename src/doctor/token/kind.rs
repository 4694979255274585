//! What kind of token it is: access tokens only are keys to an API.

use doorward_core::token::{CLIENT_CLAIMS, OtherKind, Sign, TokenKind, TokenRules};
use serde_json::Value;

use super::super::report::Finding;
use crate::advice::token as remedies;
use crate::product::Product;

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

/// What the token says of itself, or looks like to the server.
pub(super) fn said(header: &Value, claims: &Value) -> TokenKind {
    TokenKind::of(header.get("typ").and_then(Value::as_str), |name| Sign::of(claims.get(name)?))
}

impl Kind {
    /// Tells by what the token [`said`] and, where that is nothing, by the claims that go with
    /// each provider's tokens.
    pub(super) fn of(said: TokenKind, header: &Value, claims: &Value) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let has = |name: &str| claims.get(name).is_some_and(|value| !value.is_null());
        if is_for_graph(header, text("aud")) {
            return Self::Graph;
        }
        let access = if is_machine(claims) { Self::Machine } else { Self::Person };
        match said {
            TokenKind::Access => return access,
            TokenKind::Other(OtherKind::Refresh | OtherKind::Offline) => return Self::Refresh,
            TokenKind::Other(OtherKind::Logout | OtherKind::Event) => return Self::Logout,
            TokenKind::Other(OtherKind::Id) | TokenKind::LikeId(_) => return Self::Id,
            TokenKind::Unsaid => {}
        }
        // authentik's access tokens are its ID tokens with `azp` and `uid` in addition.
        let granted = ["scope", "scp", "roles", "permissions", "gty", "cid"].into_iter().any(has)
            || (has("azp") && has("uid"));
        let profile =
            ["auth_time", "name", "preferred_username", "picture", "amr"].into_iter().any(has);
        let of_google = text("iss").is_some_and(|iss| iss.ends_with("accounts.google.com"));
        if of_google || (!granted && profile) { Self::Id } else { access }
    }

    /// What to say of it: a failure where the server refuses it for its kind.
    pub(super) fn judged(
        self,
        said: TokenKind,
        rules: &TokenRules,
        claims: &Value,
        provider: Product,
    ) -> Finding {
        let refused = rules.check_kind(said).is_err();
        let audience = audience_of(claims);
        match self {
            Self::Graph => Finding::fail(
                "token_kind",
                format!("a token for Microsoft Graph ({audience})"),
                "ask for a scope of your own API (api://<client-id>/<scope>) and not for Graph's \
                 (User.Read): Graph's tokens are signed in a way that only Graph can verify",
            ),
            Self::Person => Finding::pass("token_kind", "a person's access token"),
            Self::Machine => Finding::pass("token_kind", "an application's own access token"),
            Self::Refresh => Finding::fail(
                "token_kind",
                "a refresh token: it is only for the provider's token endpoint",
                "send access_token, and never send refresh_token",
            ),
            Self::Logout => Finding::fail(
                "token_kind",
                "a logout token or another event token: it tells a client what has happened to a \
                 session or a user",
                "send access_token",
            ),
            Self::Id if refused => Finding::fail(
                "token_kind",
                format!("an ID token, not an access token ({audience})"),
                remedies::id_token(provider),
            ),
            // Google has no other: accepted knowingly.
            Self::Id if provider == Product::Google => Finding::warn(
                "token_kind",
                "an ID token: it says who logged in, and every API of that client accepts it",
                remedies::id_token(provider),
            ),
            Self::Id => Finding::warn(
                "token_kind",
                format!(
                    "it looks like an ID token, not an access token ({audience}); without \
                     require_access_token it is accepted"
                ),
                remedies::id_token(provider),
            ),
        }
    }
}

fn audience_of(claims: &Value) -> String {
    match claims.get("aud") {
        Some(Value::String(audience)) => format!("aud {audience:?}"),
        Some(other) => format!("aud {other}"),
        None => "no aud".to_owned(),
    }
}

/// Graph signs over a hashed `nonce` of the header: nobody else can verify that.
fn is_for_graph(header: &Value, audience: Option<&str>) -> bool {
    let graph = matches!(
        audience.map(|audience| audience.trim_end_matches('/')),
        Some(
            "00000003-0000-0000-c000-000000000000"
                | "00000002-0000-0000-c000-000000000000"
                | "https://graph.microsoft.com"
                | "https://graph.microsoft.us"
                | "https://graph.windows.net"
        )
    );
    graph || header.get("nonce").is_some_and(Value::is_string)
}

/// Whether an application speaks for itself.
fn is_machine(claims: &Value) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let service_account =
        text("preferred_username").is_some_and(|name| name.starts_with("service-account-"));
    let kubernetes =
        text("sub").is_some_and(|subject| subject.starts_with("system:serviceaccount:"));
    let client = CLIENT_CLAIMS.into_iter().find_map(text);
    let is_itself = client.is_some() && client == text("sub");
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
    use serde_json::json;

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
            assert_eq!(Kind::of(said(header, &claims), header, &claims), kind, "{header} {claims}");
        }
    }
}

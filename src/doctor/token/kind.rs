//! What kind of token it is: access tokens only are keys to an API.

use serde_json::Value;

use super::super::remedies::token as remedies;
use super::super::report::Finding;
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
    /// For Microsoft Graph.
    Graph,
}

impl Kind {
    /// Tells by header and claims. Where a token names its own kind, that counts.
    pub(super) fn of(header: &Value, claims: &Value) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let has = |name: &str| claims.get(name).is_some_and(|value| !value.is_null());
        let typ = header.get("typ").and_then(Value::as_str).unwrap_or_default();
        if is_for_graph(header, text("aud")) {
            return Self::Graph;
        }
        let access = if is_machine(claims) { Self::Machine } else { Self::Person };
        // Keycloak's `typ` claim; RFC 9068's header; Cognito's `token_use`.
        match (text("typ"), text("token_use")) {
            (Some("Refresh" | "Offline"), _) => return Self::Refresh,
            (Some("ID"), _) | (_, Some("id")) => return Self::Id,
            (Some("Bearer"), _) | (_, Some("access")) => return access,
            (Some(_) | None, Some(_) | None) => {}
        }
        if typ.to_ascii_lowercase().trim_start_matches("application/") == "at+jwt" {
            return access;
        }
        // OpenID Connect Core §2, §3.1.3.6: these tie an ID token to a login.
        if ["nonce", "at_hash", "c_hash", "s_hash"].into_iter().any(has) {
            return Self::Id;
        }
        let granted = ["scope", "scp", "roles", "permissions", "gty", "cid"].into_iter().any(has);
        let profile =
            ["auth_time", "name", "preferred_username", "picture", "amr"].into_iter().any(has);
        let of_google = text("iss").is_some_and(|iss| iss.ends_with("accounts.google.com"));
        if of_google || (!granted && profile) { Self::Id } else { access }
    }

    /// Why this is not the token to send.
    pub(super) fn mistaken(self, claims: &Value, provider: Product) -> Option<Finding> {
        match self {
            Self::Person | Self::Machine => None,
            // Accepted knowingly: there is no other.
            Self::Id if provider == Product::Google => None,
            Self::Id => Some(Finding::fail(
                "token_kind",
                format!("an ID token, not an access token ({})", audience_of(claims)),
                remedies::id_token(provider),
            )),
            Self::Refresh => Some(Finding::fail(
                "token_kind",
                "a refresh token: it is for the provider's token endpoint and nobody else",
                "send access_token, and keep refresh_token to yourself",
            )),
            Self::Graph => Some(Finding::fail(
                "token_kind",
                format!("a token for Microsoft Graph ({})", audience_of(claims)),
                "ask for a scope of your own API (api://<client-id>/<scope>) and not for Graph's \
                 (User.Read): Graph's tokens are signed in a way that only Graph can verify",
            )),
        }
    }

    pub(super) fn described(self) -> Finding {
        match self {
            Self::Person => Finding::pass("token_kind", "a person's access token"),
            Self::Machine => Finding::pass("token_kind", "an application's own access token"),
            Self::Id | Self::Refresh | Self::Graph => Finding::warn(
                "token_kind",
                "an ID token: it says who logged in, and any API of that client's takes it",
                remedies::id_token(Product::Google),
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
    let client = ["client_id", "cid", "azp", "appid"].into_iter().find_map(text);
    let is_itself = client.is_some() && client == text("sub");
    // Entra: an application has roles and no scp, and is its own object.
    let entra = text("idtyp") == Some("app")
        || (text("tid").is_some() && text("scp").is_none() && text("oid") == text("sub"));
    // Keycloak writes session, token and grant type in front of its ids: `trrtcc:…`.
    let keycloak = text("jti").and_then(|id| id.split_once(':')).is_some_and(|(front, _)| {
        front.len() == 6 && front.ends_with("cc") && text("typ") == Some("Bearer")
    });
    service_account || keycloak || is_itself || entra || text("gty") == Some("client-credentials")
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
            (&jwt, json!({"aud": "https://graph.microsoft.com", "scp": "User.Read"}), Kind::Graph),
            (
                &json!({"typ": "JWT", "nonce": "n"}),
                json!({"aud": "00000003-0000-0000-c000-000000000000"}),
                Kind::Graph,
            ),
            (&jwt, json!({"sub": "a", "aud": "b"}), Kind::Person),
        ] {
            assert_eq!(Kind::of(header, &claims), kind, "{header} {claims}");
        }
    }
}

//! Who can log in, and through which client.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::fault::OAuthFault;

/// A person who can log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevUser {
    /// The login name, and the `sub` of this user's tokens.
    pub name: String,
    /// For the password grant. The pages ask for none.
    pub password: String,
    /// `email`.
    pub email: String,
    /// `email_verified`.
    pub email_verified: bool,
    /// `groups`.
    pub groups: Vec<String>,
}

/// A program that can ask for tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevClient {
    /// `client_id`.
    pub id: String,
    /// With one, the client has to prove itself and may use the client-credentials grant.
    pub secret: Option<String>,
}

/// alice with a verified address and two groups, bob with an unverified one.
pub(super) fn built_in_users() -> Vec<DevUser> {
    let user = |name: &str, password: &str, email_verified, groups: &[&str]| DevUser {
        name: name.into(),
        password: password.into(),
        email: format!("{name}@example.com"),
        email_verified,
        groups: groups.iter().map(ToString::to_string).collect(),
    };
    vec![
        user("alice", "wonderland", true, &["research", "team-b"]),
        user("bob", "builder", false, &["operations"]),
    ]
}

/// `doorward` for people, without a secret; `robot` / `robot-secret` for programs.
pub(super) fn built_in_clients() -> Vec<DevClient> {
    vec![
        DevClient { id: "doorward".into(), secret: None },
        DevClient { id: "robot".into(), secret: Some("robot-secret".into()) },
    ]
}

/// Who asks at the token endpoint: HTTP Basic or form fields (RFC 6749 §2.3.1).
pub(super) fn authenticate<'a>(
    clients: &'a [DevClient],
    headers: &HeaderMap,
    form: (Option<&str>, Option<&str>),
) -> Result<&'a DevClient, OAuthFault> {
    let basic = headers.get(AUTHORIZATION).map(|value| basic(value.to_str().ok()));
    let (id, secret) = match basic {
        Some(credentials) => credentials
            .map(|(id, secret)| (id, Some(secret)))
            .ok_or(OAuthFault::InvalidClient("the Authorization header is not HTTP Basic"))?,
        None => {
            let id = form.0.ok_or(OAuthFault::InvalidClient("client_id is missing"))?;
            (id.to_owned(), form.1.map(str::to_owned))
        }
    };
    let client = clients
        .iter()
        .find(|client| client.id == id)
        .ok_or(OAuthFault::InvalidClient("no such client"))?;
    match &client.secret {
        Some(wanted) if secret.as_ref() != Some(wanted) => {
            Err(OAuthFault::InvalidClient("wrong client secret"))
        }
        Some(_) | None => Ok(client),
    }
}

fn basic(header: Option<&str>) -> Option<(String, String)> {
    let (scheme, value) = header?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

/// RFC 6749 §2.3.1: both halves are form-encoded before Basic joins them.
fn form_decoded(text: &str) -> String {
    // A lone name parses as that name with an empty value; `=` and `&` arrive encoded.
    url::form_urlencoded::parse(text.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

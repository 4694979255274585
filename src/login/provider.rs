//! Whom to log in with: an issuer's endpoints and the client to use, found through a
//! platform's own document or straight from the issuer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::error::LoginError;
use crate::discovery::{HttpFetcher, Metadata, ObtainError, may_lead, well_known_url};
use crate::loopback::{is_loopback, with_scheme};
use crate::product::Product;

/// Where a platform says how to log in: NeMo's document, and Doorward's.
const DISCOVERY_PATH: &str = "/apis/auth/discovery";

/// All that is needed to log in and to stay logged in. No secret in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The platform that named the issuer, without a slash at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Whose tokens they are: their `iss`.
    pub issuer: String,
    /// The client that asks for tokens (RFC 6749 §2.2).
    pub client_id: String,
    /// RFC 6749 §3.2.
    pub token_endpoint: Url,
    /// RFC 8628 §3.1, when the device flow is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<Url>,
    /// RFC 7009, when revocation is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<Url>,
    /// Whether PKCE with S256 is offered (RFC 7636; `code_challenge_methods_supported`).
    #[serde(default)]
    pub pkce: bool,
    /// The scopes to ask for when nobody chooses, separated by blanks.
    #[serde(default)]
    pub default_scopes: String,
    /// What platform scopes carry in front on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_prefix: Option<String>,
    /// More parameters of every request: `audience`, `resource`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, String)>,
    /// A file of authorities to trust besides the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The file with the client's secret, where it has one in a file: read each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// Whether the secret goes into the form (`client_secret_post`), not into the `Authorization`
    /// header, which is the default (OpenID Connect Discovery §3).
    #[serde(default)]
    pub secret_in_form: bool,
}

/// What the person logging in says of the client. What is `None` comes from the
/// platform's document, or from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientOptions {
    /// `client_id`. Required without a platform to ask.
    pub client_id: Option<String>,
    /// What platform scopes carry in front on the wire.
    pub scope_prefix: Option<String>,
    /// `audience` (Auth0) and `resource` (RFC 8707).
    pub parameters: Vec<(String, String)>,
    /// A file of authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl Provider {
    /// Asks the platform at `base_url` how to log in. What its document leaves out, the
    /// issuer is asked for.
    ///
    /// # Errors
    /// There is no such document, login is off there, or an endpoint is missing or not to
    /// be trusted.
    pub async fn of_platform(
        http: &HttpFetcher,
        base_url: &str,
        options: ClientOptions,
    ) -> Result<Self, LoginError> {
        let base_url = with_scheme(base_url.trim_end_matches('/')).into_owned();
        let url = parse_url(&format!("{base_url}{DISCOVERY_PATH}"), &base_url)?;
        let document = http.get(&url).await.map_err(LoginError::NoPlatform)?;
        let not_ours = |why| LoginError::NotAPlatform { url: url.clone(), why };
        let document: Value =
            serde_json::from_slice(&document.body).map_err(|_| not_ours("it is not JSON"))?;
        let oidc = document.get("oidc").filter(|oidc| oidc.is_object());
        let Some(oidc) = oidc else {
            return Err(match document.get("auth_enabled").and_then(Value::as_bool) {
                Some(false) => LoginError::LoginOff { base_url },
                Some(true) | None => not_ours("it has no `oidc`"),
            });
        };
        let text = |name| oidc.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let issuer = text("issuer").ok_or_else(|| not_ours("`oidc` has no `issuer`"))?;
        let client_id = options.client_id.clone().or_else(|| text("client_id").map(str::to_owned));
        let client_id = client_id.ok_or_else(|| not_ours("`oidc` has no `client_id`"))?;
        let endpoint = |name: &'static str| match text(name) {
            Some(text) => trusted(name, parse_url(text, text)?, &url).map(Some),
            None => Ok(None),
        };
        let token_endpoint = endpoint("token_endpoint")?;
        let device = endpoint("device_authorization_endpoint")?;
        // The platform's document has no revocation endpoint; the issuer's may. Only when
        // the endpoints to log in at are missing is it an error not to reach it.
        let published = match parse_url(issuer, issuer) {
            // Its document is asked for only where this one may send anybody.
            Ok(named) if may_lead(&url, &named).is_err() => {
                Err(LoginError::Insecure { name: "issuer", url: named })
            }
            Ok(_) | Err(_) => published(http, issuer).await,
        };
        let published = match (published, &token_endpoint) {
            (Ok(published), _) => Some(published),
            (Err(_), Some(_)) => None,
            (Err(error), None) => return Err(error),
        };
        let published = published.unwrap_or_default();
        let published = Published {
            token: token_endpoint.or(published.token),
            device: device.or(published.device),
            ..published
        };
        let scope_prefix =
            options.scope_prefix.clone().or_else(|| text("scope_prefix").map(str::to_owned));
        Ok(Self {
            default_scopes: text("default_scopes").unwrap_or(DEFAULT_SCOPES).to_owned(),
            base_url: Some(base_url),
            scope_prefix,
            ..Self::new(issuer, client_id, published, options)?
        })
    }

    /// Asks `issuer` itself.
    ///
    /// # Errors
    /// It publishes no discovery document or no token endpoint, or `client_id` is missing.
    pub async fn of_issuer(
        http: &HttpFetcher,
        issuer: &str,
        options: ClientOptions,
    ) -> Result<Self, LoginError> {
        let client_id = options.client_id.clone().ok_or(LoginError::NoClientId)?;
        let issuer = &*with_scheme(issuer);
        Self::new(issuer, client_id, published(http, issuer).await?, options)
    }

    fn new(
        issuer: &str,
        client_id: String,
        published: Published,
        options: ClientOptions,
    ) -> Result<Self, LoginError> {
        let no_token_endpoint =
            || LoginError::NotOffered { issuer: issuer.to_owned(), endpoint: "token_endpoint" };
        Ok(Self {
            base_url: None,
            issuer: issuer.to_owned(),
            client_id,
            token_endpoint: published.token.ok_or_else(no_token_endpoint)?,
            device_authorization_endpoint: published.device,
            revocation_endpoint: published.revocation,
            pkce: published.pkce,
            default_scopes: DEFAULT_SCOPES.to_owned(),
            scope_prefix: options.scope_prefix,
            parameters: options.parameters,
            ca_file: options.ca_file,
            client_secret_file: None,
            secret_in_form: published.secret_in_form,
        })
    }

    /// What the login is called unless somebody names it: one per platform, or per issuer.
    #[must_use]
    pub fn name(&self) -> &str {
        self.base_url.as_deref().unwrap_or(&self.issuer)
    }

    /// Whose product the issuer is.
    #[must_use]
    pub fn product(&self) -> Product {
        Product::recognise(&self.issuer, None)
    }
}

const DEFAULT_SCOPES: &str = "openid profile email offline_access";

/// What an issuer publishes of logging in, its endpoints judged.
#[derive(Default)]
struct Published {
    token: Option<Url>,
    device: Option<Url>,
    revocation: Option<Url>,
    pkce: bool,
    secret_in_form: bool,
}

async fn published(http: &HttpFetcher, issuer: &str) -> Result<Published, LoginError> {
    parse_url(issuer, issuer)?;
    let url = well_known_url(issuer)
        .map_err(|cause| LoginError::NotAUrl { text: issuer.to_owned(), cause })?;
    let answer = http.get(&url).await.map_err(ObtainError::from);
    // Judged by the configured URL: a redirect can add TLS, never take it away.
    let metadata = answer
        .and_then(|answer| Ok(Metadata::parse(&answer.body, issuer, &url)?))
        .map_err(|cause| LoginError::NoMetadata { issuer: issuer.to_owned(), cause })?;
    let judged = |name, endpoint: Option<Url>| {
        endpoint.map(|endpoint| trusted(name, endpoint, &url)).transpose()
    };
    Ok(Published {
        pkce: metadata.offers_pkce(),
        secret_in_form: metadata.wants_secret_in_form(),
        token: judged("token_endpoint", metadata.token_endpoint)?,
        device: judged("device_authorization_endpoint", metadata.device_authorization_endpoint)?,
        // Not worth a login: what is not trusted is not used.
        revocation: judged("revocation_endpoint", metadata.revocation_endpoint).unwrap_or_default(),
    })
}

/// The document may name it, and passwords and tokens are sent by https only (RFC 6749
/// §3.2), or within this machine.
fn trusted(name: &'static str, url: Url, document: &Url) -> Result<Url, LoginError> {
    let is_private = url.scheme() == "https" || is_loopback(&url);
    if is_private && may_lead(document, &url).is_ok() {
        Ok(url)
    } else {
        Err(LoginError::Insecure { name, url })
    }
}

fn parse_url(url: &str, text: &str) -> Result<Url, LoginError> {
    let not_a_url = |cause| LoginError::NotAUrl { text: text.to_owned(), cause };
    let url = Url::parse(url).map_err(not_a_url)?;
    // `nmp.example:8080` parses, as a URL of the scheme `nmp.example`.
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(not_a_url(url::ParseError::RelativeUrlWithoutBase));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_on_this_machine() {
        let verdict = |url: &str, document: &str| {
            trusted("token_endpoint", Url::parse(url).unwrap(), &Url::parse(document).unwrap())
                .is_ok()
        };
        assert!(verdict("https://idp/t", "https://nmp/d"));
        assert!(verdict("https://idp/t", "http://nmp/d"));
        assert!(verdict("http://127.0.0.1:1/t", "http://localhost/d"));
        assert!(!verdict("http://idp/t", "http://nmp/d"));
        assert!(!verdict("http://nmp/t", "http://nmp/d"));
        assert!(!verdict("http://127.0.0.1:1/t", "https://nmp/d"));
        assert!(!verdict("http://127.0.0.1:1/t", "http://nmp/d"));
        assert!(!verdict("file:///t", "http://localhost/d"));
    }

    #[test]
    fn what_no_document_may_name_as_an_endpoint() {
        for text in ["nmp.example", "nmp.example:8080", "file:///x", "https://"] {
            assert!(parse_url(text, text).is_err(), "{text}");
        }
    }
}

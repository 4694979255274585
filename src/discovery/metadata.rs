//! The OpenID Connect Discovery 1.0 document: what an issuer says about itself.

use doorward_core::token::{TENANT_PLACEHOLDER, is_guid};
use serde_json::{Map, Value};
use url::Url;

use super::url_policy::{self, RefusedUrl};
use crate::pkce;

/// Where the discovery document of `issuer` is (OpenID Connect Discovery 1.0 §4: path
/// appended, a trailing slash removed before). Azure's `{tenantid}` template has its
/// document under `common`, whose key set holds the keys of all tenants.
///
/// # Errors
/// The issuer is not a URL.
pub fn well_known_url(issuer: &str) -> Result<Url, url::ParseError> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer).replace(TENANT_PLACEHOLDER, "common");
    Url::parse(&format!("{base}/.well-known/openid-configuration"))
}

/// A discovery document whose issuer was found right.
///
/// Members nobody here needs are left unread, and so are optional ones of a wrong type:
/// an odd `scopes_supported` must not cost the key set.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the registered ones (OpenID Connect Discovery §3)")]
pub struct Metadata {
    pub issuer: String,
    pub jwks_uri: Url,
    pub authorization_endpoint: Option<Url>,
    pub token_endpoint: Option<Url>,
    pub device_authorization_endpoint: Option<Url>,
    pub userinfo_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
    pub introspection_endpoint: Option<Url>,
    pub end_session_endpoint: Option<Url>,
    pub grant_types_supported: Option<Vec<String>>,
    pub scopes_supported: Option<Vec<String>>,
    pub claims_supported: Option<Vec<String>>,
    pub response_types_supported: Option<Vec<String>>,
    pub code_challenge_methods_supported: Option<Vec<String>>,
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub id_token_signing_alg_values_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Whether a client's secret has to be in the form: the issuer does not take it in the
    /// `Authorization` header, as it would by default (OpenID Connect Discovery §3).
    #[must_use]
    pub fn wants_secret_in_form(&self) -> bool {
        self.token_endpoint_auth_methods_supported.as_ref().is_some_and(|methods| {
            let offers = |name: &str| methods.iter().any(|method| method == name);
            !offers("client_secret_basic") && offers("client_secret_post")
        })
    }

    /// Reads the document found at `url`, which must be that of `issuer`.
    ///
    /// # Errors
    /// It is not JSON, lacks a required member, belongs to another issuer, or names a
    /// key set that must not be fetched.
    pub fn parse(document: &[u8], issuer: &str, url: &Url) -> Result<Self, MetadataError> {
        let document: Value = serde_json::from_slice(document).map_err(MetadataError::NotJson)?;
        let document = document.as_object().ok_or(MetadataError::NotAnObject)?;
        let published = required(document, "issuer")?;
        check_issuer(issuer, published)?;
        let endpoint = |name| endpoint(document, name, url);
        let words = |name| words(document, name);
        Ok(Self {
            issuer: published.to_owned(),
            jwks_uri: jwks_uri(document, url)?,
            authorization_endpoint: endpoint("authorization_endpoint"),
            token_endpoint: endpoint("token_endpoint"),
            device_authorization_endpoint: endpoint("device_authorization_endpoint"),
            userinfo_endpoint: endpoint("userinfo_endpoint"),
            revocation_endpoint: endpoint("revocation_endpoint"),
            introspection_endpoint: endpoint("introspection_endpoint"),
            end_session_endpoint: endpoint("end_session_endpoint"),
            grant_types_supported: words("grant_types_supported"),
            scopes_supported: words("scopes_supported"),
            claims_supported: words("claims_supported"),
            response_types_supported: words("response_types_supported"),
            code_challenge_methods_supported: words("code_challenge_methods_supported"),
            token_endpoint_auth_methods_supported: words("token_endpoint_auth_methods_supported"),
            id_token_signing_alg_values_supported: words("id_token_signing_alg_values_supported"),
        })
    }

    /// Whether PKCE is offered with S256 (RFC 7636; RFC 8414 §2).
    #[must_use]
    pub fn offers_pkce(&self) -> bool {
        let methods = self.code_challenge_methods_supported.iter().flatten();
        methods.into_iter().any(|method| method == pkce::METHOD)
    }
}

/// OpenID Connect Discovery §4.3: equal to the byte. Without this check a document of
/// one issuer could choose the keys of another.
fn check_issuer(configured: &str, published: &str) -> Result<(), MetadataError> {
    if published == configured || fills(published, configured) {
        return Ok(());
    }
    let configured = configured.to_owned();
    let published = published.to_owned();
    if published.trim_end_matches('/') == configured.trim_end_matches('/') {
        Err(MetadataError::TrailingSlash { configured, published })
    } else {
        Err(MetadataError::OtherIssuer { configured, published })
    }
}

/// Whether `issuer` is the template with a tenant's GUID filled in: one tenant of the
/// document under `common` or `organizations`. An issuer could as well publish the exact
/// name, so this opens nothing; each key there says whom it signs for.
fn fills(template: &str, issuer: &str) -> bool {
    let Some((before, after)) = template.split_once(TENANT_PLACEHOLDER) else {
        return false;
    };
    issuer.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(is_guid)
}

fn required<'d>(
    document: &'d Map<String, Value>,
    name: &'static str,
) -> Result<&'d str, MetadataError> {
    let value = document.get(name).ok_or(MetadataError::Missing(name))?;
    value.as_str().ok_or(MetadataError::NotText(name))
}

fn jwks_uri(document: &Map<String, Value>, url: &Url) -> Result<Url, MetadataError> {
    let text = required(document, "jwks_uri")?;
    let uri = Url::parse(text)
        .map_err(|cause| MetadataError::BadKeySetUrl { url: text.to_owned(), cause })?;
    match url_policy::may_lead(url, &uri) {
        Ok(()) => Ok(uri),
        Err(reason) => Err(MetadataError::RefusedUrl { url: text.to_owned(), reason }),
    }
}

/// Endpoints are handed on to browsers and command lines, so they have to be as
/// trustworthy as the key set's URL; but what is wrong with one is not worth the keys.
fn endpoint(document: &Map<String, Value>, name: &str, url: &Url) -> Option<Url> {
    let endpoint = Url::parse(document.get(name)?.as_str()?).ok()?;
    url_policy::may_lead(url, &endpoint).is_ok().then_some(endpoint)
}

fn words(document: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    let words = document.get(name)?.as_array()?;
    words.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

/// Why a document is not the discovery document of the issuer. Its text holds the cause.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The document is not JSON.
    #[error("the discovery document is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// JSON, but no object.
    #[error("the discovery document is not a JSON object")]
    NotAnObject,
    /// A required member is absent.
    #[error("the discovery document has no `{0}`")]
    Missing(&'static str),
    /// A required member is no string.
    #[error("`{0}` in the discovery document is not a string")]
    NotText(&'static str),
    /// Equal but for a slash at the end.
    #[error(
        "the discovery document is for issuer {published:?}, but {configured:?} is configured: \
         they differ in the trailing slash, and `iss` of a token is compared byte for byte; \
         configure {published:?}"
    )]
    TrailingSlash {
        /// The issuer as the configuration has it.
        configured: String,
        /// The issuer as the document has it.
        published: String,
    },
    /// The document is another issuer's (OpenID Connect Discovery §4.3).
    #[error("the discovery document is for issuer {published:?}, but {configured:?} is configured")]
    OtherIssuer {
        /// The issuer as the configuration has it.
        configured: String,
        /// The issuer as the document has it.
        published: String,
    },
    /// `jwks_uri` is not a URL.
    #[error("`jwks_uri` {url:?} is not a URL: {cause}")]
    BadKeySetUrl {
        /// The URL as the document has it.
        url: String,
        /// What makes it no URL.
        cause: url::ParseError,
    },
    /// `jwks_uri` must not be followed.
    #[error("`jwks_uri` {url:?} is not followed: {reason}")]
    RefusedUrl {
        /// The URL as the document has it.
        url: String,
        /// The rule that it breaks.
        reason: RefusedUrl,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TENANT_ID: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";

    fn parse(issuer: &str, url: &str, document: &Value) -> Result<Metadata, MetadataError> {
        Metadata::parse(document.to_string().as_bytes(), issuer, &Url::parse(url).unwrap())
    }

    #[test]
    fn the_document_is_where_the_issuer_says() {
        for (issuer, url) in [
            ("https://idp", "https://idp/.well-known/openid-configuration"),
            ("https://idp/", "https://idp/.well-known/openid-configuration"),
            ("https://idp/realms/a", "https://idp/realms/a/.well-known/openid-configuration"),
            (
                "https://login.microsoftonline.com/{tenantid}/v2.0",
                "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(well_known_url(issuer).unwrap().as_str(), url);
        }
    }

    #[test]
    fn odd_optional_members_cost_nothing_and_dangerous_ones_are_left_out() {
        let read = parse(
            "https://idp",
            "https://idp/d",
            &json!({
                "issuer": "https://idp", "jwks_uri": "https://idp/k",
                "token_endpoint": "https://idp/t", "userinfo_endpoint": 5,
                "authorization_endpoint": "javascript:alert(1)",
                "device_authorization_endpoint": "http://idp/device",
                "scopes_supported": ["openid", 1], "grant_types_supported": ["password"],
                "x": {"y": []},
            }),
        )
        .unwrap();
        assert_eq!(read.token_endpoint.unwrap().as_str(), "https://idp/t");
        assert_eq!(read.grant_types_supported.unwrap(), ["password"]);
        assert_eq!(read.userinfo_endpoint, None);
        assert_eq!(read.authorization_endpoint, None);
        assert_eq!(read.device_authorization_endpoint, None);
        assert_eq!(read.scopes_supported, None);
    }

    #[test]
    fn the_issuer_is_compared_to_the_byte() {
        let document = |issuer: &str| json!({"issuer": issuer, "jwks_uri": "https://idp/k"});
        let verdict = |configured: &str, published: &str| {
            parse(configured, "https://idp/d", &document(published)).map(|_| ())
        };
        assert!(verdict("https://idp", "https://idp").is_ok());
        for (configured, published) in
            [("https://idp", "https://idp/"), ("https://a/", "https://a")]
        {
            let error = verdict(configured, published).unwrap_err();
            assert!(matches!(error, MetadataError::TrailingSlash { .. }), "{error}");
            assert!(error.to_string().contains(&format!("configure {published:?}")), "{error}");
        }
        for other in ["https://IDP", "https://idp.evil", "https://id", "", "http://idp"] {
            let error = verdict("https://idp", other).unwrap_err();
            assert!(matches!(error, MetadataError::OtherIssuer { .. }), "{error}");
        }
    }

    #[test]
    fn azures_template_stands_for_itself_and_for_one_tenant() {
        let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
        let tenant = format!("https://login.microsoftonline.com/{TENANT_ID}/v2.0");
        let url = "https://login.microsoftonline.com/organizations/v2.0/d";
        let document = json!({"issuer": template, "jwks_uri": "https://idp/k"});
        assert!(parse(template, url, &document).is_ok());
        assert!(parse(&tenant, url, &document).is_ok());
        for other in [
            "https://login.microsoftonline.com/evil/v2.0",
            "https://login.microsoftonline.com//v2.0",
            "https://login.microsoftonline.com/72f988bf/../evil-86f1-41af-91ab-2d7cd011db47/v2.0",
            "https://evil/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0",
        ] {
            assert!(parse(other, url, &document).is_err(), "{other}");
        }
        // The template as configured does not accept the document of one tenant.
        let one = json!({"issuer": tenant, "jwks_uri": "https://idp/k"});
        assert!(parse(template, url, &one).is_err());
    }

    #[test]
    fn what_is_no_discovery_document_says_why() {
        for (document, part) in [
            (json!([]), "not a JSON object"),
            (json!({"jwks_uri": "https://idp/k"}), "no `issuer`"),
            (
                json!({"issuer": ["https://idp"]}),
                "`issuer` in the discovery document is not a string",
            ),
            (json!({"issuer": "https://idp"}), "no `jwks_uri`"),
            (json!({"issuer": "https://idp", "jwks_uri": "/k"}), "is not a URL"),
            (json!({"issuer": "https://idp", "jwks_uri": "file:///k"}), "not an http or https"),
            (json!({"issuer": "https://idp", "jwks_uri": "http://127.0.0.1/k"}), "plain http"),
        ] {
            let error = parse("https://idp", "https://idp/d", &document).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = Metadata::parse(b"<html>", "https://idp", &Url::parse("https://idp").unwrap());
        assert!(matches!(error, Err(MetadataError::NotJson(_))));
    }
}

//! Microsoft Entra ID, by a faithful fake: its issuers, discovery documents, key sets and
//! tokens (see Microsoft's "access tokens" reference), with keys of our own.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::check::{Outcome, get};
use super::doorward::Doorward;
use super::idp::{Answer, Idp};
use super::signer::{Signer, from_now};
use super::{PATIENCE, eventually};

pub const CLIENT: &str = "11112222-bbbb-3333-cccc-4444dddd5555";
pub const CONTOSO: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
pub const FABRIKAM: &str = "bbbbcccc-1111-dddd-2222-eeee3333ffff";
pub const STRANGE: &str = "ccccdddd-2222-eeee-3333-ffff4444aaaa";
pub const OBJECT: &str = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";

pub const V2: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
pub const V1: &str = "https://sts.windows.net/{tenantid}/";

pub fn of_tenant(template: &str, tenant: &str) -> String {
    template.replace("{tenantid}", tenant)
}

/// A key as Entra publishes it: with `x5t`, in v2 with an `issuer` of its own, without
/// `alg`.
pub fn jwk(signer: &Signer, issuer: Option<&str>) -> Value {
    let mut jwk = signer.jwk();
    jwk["x5t"] = jwk["kid"].clone();
    if let Some(issuer) = issuer {
        jwk["issuer"] = json!(issuer);
        jwk["cloud_instance_name"] = json!("microsoftonline.com");
    }
    jwk
}

/// Entra's keys: one for everybody, one of v1's document, and one that is Fabrikam's own.
pub struct Entra {
    pub idp: Idp,
    pub shared: &'static Signer,
    pub v1: &'static Signer,
    pub fabrikams: &'static Signer,
}

/// Made once, since RSA keys take their time.
static KEYS: LazyLock<[Signer; 3]> =
    LazyLock::new(|| ["shared", "v1", "fabrikams"].map(Signer::rsa));

impl Entra {
    pub async fn start() -> Self {
        let [shared, v1, fabrikams] = &*KEYS;
        let idp = Idp::start([]).await;
        for (path, issuer, keys) in [
            (
                "/organizations/v2.0",
                V2,
                vec![jwk(shared, Some(V2)), jwk(fabrikams, Some(&of_tenant(V2, FABRIKAM)))],
            ),
            ("/organizations", V1, vec![jwk(v1, None)]),
        ] {
            let keys_path = format!("{path}/discovery/keys");
            idp.answer(
                &format!("{path}/.well-known/openid-configuration"),
                Answer::Json(
                    200,
                    json!({
                        "issuer": issuer,
                        "jwks_uri": idp.url(&keys_path),
                        "token_endpoint": idp.url("/token"),
                        "tenant_region_scope": null,
                        "cloud_instance_name": "microsoftonline.com",
                    }),
                ),
            );
            idp.answer(&keys_path, Answer::Json(200, json!({"keys": keys})));
        }
        Self { idp, shared, v1, fabrikams }
    }

    pub fn discovery_url(&self, path: &str) -> String {
        self.idp.url(&format!("{path}/.well-known/openid-configuration"))
    }

    /// Both issuers for these tenants, spelled out.
    pub fn config(&self, tenants: &Value) -> String {
        let common = json!({
            "audience": [CLIENT, format!("api://{CLIENT}")],
            "subject_claim": "oid", "roles_claim": "roles",
            "scope_prefix": format!("api://{CLIENT}/"), "allowed_tenants": tenants,
        });
        let with = |more: Value| {
            let mut issuer = common.clone();
            issuer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            issuer
        };
        json!({"auth": {
            "oidc": with(json!({
                "issuer": V2, "discovery_url": self.discovery_url("/organizations/v2.0"),
            })),
            "issuers": [with(json!({
                "issuer": V1, "discovery_url": self.discovery_url("/organizations"),
            }))],
        }})
        .to_string()
    }

    pub async fn doorward(&self, config: &str, issuers: &[&str]) -> Doorward {
        let doorward = Doorward::start_explained(config).await;
        for issuer in issuers {
            let keys = format!("doorward_key_set_keys{{issuer=\"{issuer}\"}}");
            eventually("the keys are there", PATIENCE, async || {
                (doorward.metric(&keys).await? >= 1.0).then_some(())
            })
            .await;
        }
        doorward
    }
}

/// A person's v2 token.
pub fn v2(tenant: &str, more: Value) -> Value {
    with(
        json!({
            "aud": CLIENT, "iss": of_tenant(V2, tenant), "tid": tenant, "ver": "2.0",
            "iat": from_now(-10), "nbf": from_now(-10), "exp": from_now(3600),
            "azp": "00001111-aaaa-2222-bbbb-3333cccc4444", "azpacr": "1",
            "oid": OBJECT, "sub": "pairwise-subject", "name": "Alice",
            "preferred_username": "alice@contoso.example", "scp": "platform.read platform.write",
            "groups": ["0aa0aa0a-0000-4444-8888-000000000001"],
            "rh": "0.x", "uti": "u", "xms_ftd": "x",
        }),
        more,
    )
}

/// A person's v1 token.
pub fn v1(tenant: &str, more: Value) -> Value {
    with(
        json!({
            "aud": format!("api://{CLIENT}"), "iss": of_tenant(V1, tenant), "tid": tenant,
            "ver": "1.0", "iat": from_now(-10), "nbf": from_now(-10), "exp": from_now(3600),
            "appid": "00001111-aaaa-2222-bbbb-3333cccc4444", "appidacr": "1", "oid": OBJECT,
            "sub": "pairwise-subject", "upn": "alice@contoso.example", "scp": "platform.read",
        }),
        more,
    )
}

pub fn with(mut claims: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

pub async fn ask(doorward: &Doorward, signer: &Signer, claims: &Value) -> Outcome {
    doorward.ask(get("/v1/models").bearer(&signer.token("RS256", claims))).await
}

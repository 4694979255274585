//! Microsoft Entra ID, by a faithful fake: its issuers, discovery documents, key sets and
//! tokens (see Microsoft's "access tokens" reference), with keys of our own.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::support::check::{Outcome, get};
use crate::support::doorward::Doorward;
use crate::support::idp::{Answer, Idp};
use crate::support::signer::{Signer, from_now};
use crate::support::{PATIENCE, eventually};

const CLIENT: &str = "11112222-bbbb-3333-cccc-4444dddd5555";
const CONTOSO: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
const FABRIKAM: &str = "bbbbcccc-1111-dddd-2222-eeee3333ffff";
const STRANGE: &str = "ccccdddd-2222-eeee-3333-ffff4444aaaa";
const OBJECT: &str = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";

const V2: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";
const V1: &str = "https://sts.windows.net/{tenantid}/";

fn of_tenant(template: &str, tenant: &str) -> String {
    template.replace("{tenantid}", tenant)
}

/// A key as Entra publishes it: with `x5t`, in v2 with an `issuer` of its own, without
/// `alg`.
fn jwk(signer: &Signer, issuer: Option<&str>) -> Value {
    let mut jwk = signer.jwk();
    jwk["x5t"] = jwk["kid"].clone();
    if let Some(issuer) = issuer {
        jwk["issuer"] = json!(issuer);
        jwk["cloud_instance_name"] = json!("microsoftonline.com");
    }
    jwk
}

/// Entra's keys: one for everybody, one of v1's document, and one that is Fabrikam's own.
struct Entra {
    idp: Idp,
    shared: &'static Signer,
    v1: &'static Signer,
    fabrikams: &'static Signer,
}

/// Made once, since RSA keys take their time.
static KEYS: LazyLock<[Signer; 3]> =
    LazyLock::new(|| ["shared", "v1", "fabrikams"].map(Signer::rsa));

impl Entra {
    async fn start() -> Self {
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

    fn discovery_url(&self, path: &str) -> String {
        self.idp.url(&format!("{path}/.well-known/openid-configuration"))
    }

    /// Both issuers for these tenants, spelled out.
    fn config(&self, tenants: &Value) -> String {
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

    async fn doorward(&self, config: &str, issuers: &[&str]) -> Doorward {
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
fn v2(tenant: &str, more: Value) -> Value {
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
fn v1(tenant: &str, more: Value) -> Value {
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

fn with(mut claims: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

async fn ask(doorward: &Doorward, signer: &Signer, claims: &Value) -> Outcome {
    doorward.ask(get("/v1/models").bearer(&signer.token("RS256", claims))).await
}

#[tokio::test]
async fn v1_and_v2_tokens_of_allowed_tenants_pass() {
    let entra = Entra::start().await;
    let doorward = entra.doorward(&entra.config(&json!([CONTOSO, FABRIKAM])), &[V2, V1]).await;
    for tenant in [CONTOSO, FABRIKAM] {
        let outcome = ask(&doorward, entra.shared, &v2(tenant, json!({}))).await;
        assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
        assert_eq!(outcome.header("x-nmp-principal-id"), Some(OBJECT));
        assert_eq!(outcome.header("x-nmp-scopes"), Some("platform.read platform.write"));
        assert_eq!(outcome.metadata["issuer"], of_tenant(V2, tenant));
        let outcome = ask(&doorward, entra.v1, &v1(tenant, json!({}))).await;
        assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
        assert_eq!(outcome.metadata["issuer"], of_tenant(V1, tenant));
    }
    // Full scope names, too.
    let scp = format!("api://{CLIENT}/platform.read");
    let outcome = ask(&doorward, entra.shared, &v2(CONTOSO, json!({"scp": scp}))).await;
    assert_eq!(outcome.header("x-nmp-scopes"), Some("platform.read"));
}

#[tokio::test]
async fn other_tenants_and_mismatched_ones_do_not() {
    let entra = Entra::start().await;
    let doorward = entra.doorward(&entra.config(&json!([CONTOSO, FABRIKAM])), &[V2, V1]).await;
    for (claims, reason) in [
        (v2(STRANGE, json!({})), "unknown_issuer"),
        // `tid` and `iss` of two tenants, both allowed, both ways
        (v2(CONTOSO, json!({"tid": FABRIKAM})), "unknown_issuer"),
        (v2(FABRIKAM, json!({"tid": CONTOSO})), "unknown_issuer"),
        (v2(CONTOSO, json!({"tid": null})), "unknown_issuer"),
        (v2(CONTOSO, json!({"tid": 5})), "unknown_issuer"),
        (v2(CONTOSO, json!({"tid": [CONTOSO]})), "unknown_issuer"),
        // No GUIDs
        (v2("common", json!({})), "unknown_issuer"),
        (v2("contoso.example", json!({})), "unknown_issuer"),
        (v2("{tenantid}", json!({})), "unknown_issuer"),
        (v2("", json!({})), "unknown_issuer"),
        (v2("x/../v2.0", json!({})), "unknown_issuer"),
        (v2(CONTOSO, json!({"iss": V2})), "unknown_issuer"),
        // v1's name is an issuer of its own: other keys
        (v1(CONTOSO, json!({})), "unknown_key"),
        (
            v1(CONTOSO, json!({"iss": of_tenant(V1, CONTOSO).trim_end_matches('/')})),
            "unknown_issuer",
        ),
        (v2(CONTOSO, json!({"aud": "00000003-0000-0000-c000-000000000000"})), "bad_audience"),
    ] {
        let outcome = ask(&doorward, entra.shared, &claims).await;
        assert_eq!(outcome.reason, reason, "{claims}: {outcome:?}");
    }
    // `*` lets every tenant in, but no text that is none.
    let doorward = entra.doorward(&entra.config(&json!(["*"])), &[V2]).await;
    let outcome = ask(&doorward, entra.shared, &v2(STRANGE, json!({}))).await;
    assert_eq!(outcome.reason, "authenticated");
    for tenant in ["common", "", "{tenantid}", "aaaabbbb0000cccc1111dddd2222eeee"] {
        let outcome = ask(&doorward, entra.shared, &v2(tenant, json!({}))).await;
        assert_eq!(outcome.reason, "unknown_issuer", "{tenant:?}");
    }
}

#[tokio::test]
async fn a_tenants_own_key_signs_for_no_other_tenant() {
    let entra = Entra::start().await;
    let doorward = entra.doorward(&entra.config(&json!([CONTOSO, FABRIKAM])), &[V2, V1]).await;
    let outcome = ask(&doorward, entra.fabrikams, &v2(FABRIKAM, json!({}))).await;
    assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    let outcome = ask(&doorward, entra.fabrikams, &v2(CONTOSO, json!({}))).await;
    assert_eq!(outcome.reason, "unknown_key", "{outcome:?}");
    // Nor does a token that is not the name of a key.
    let unnamed =
        entra.fabrikams.token_with(json!({"alg": "RS256", "typ": "JWT"}), &v2(CONTOSO, json!({})));
    let outcome = doorward.ask(get("/").bearer(&unnamed)).await;
    assert_ne!(outcome.status, 200, "{outcome:?}");
    // Without `alg` in the key, the whole family is served, and no other.
    let es =
        entra.shared.token_with(json!({"alg": "ES256", "kid": "shared"}), &v2(CONTOSO, json!({})));
    assert_eq!(doorward.ask(get("/").bearer(&es)).await.reason, "unknown_key");
}

#[tokio::test]
async fn app_tokens_and_group_overage() {
    let entra = Entra::start().await;
    let doorward = entra.doorward(&entra.config(&json!([CONTOSO])), &[V2, V1]).await;
    let app = v2(
        CONTOSO,
        json!({
            "scp": null, "groups": null, "roles": ["platform:read", "platform:admin"], "idtyp": "app",
            "preferred_username": null, "name": null,
        }),
    );
    let outcome = ask(&doorward, entra.shared, &app).await;
    assert_eq!(outcome.header("x-nmp-scopes"), Some("platform:read platform:admin"));
    assert_eq!(outcome.header("x-nmp-principal-groups"), None);
    assert_eq!(outcome.header("x-nmp-principal-email"), None);

    // Alike in v1 and v2 and in the implicit flow: the groups are unknown, and counted so.
    let overage = json!({
        "groups": null, "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/x/users/y/getMemberObjects"}},
    });
    for claims in [v2(CONTOSO, overage), v2(CONTOSO, json!({"groups": null, "hasgroups": true}))] {
        let outcome = ask(&doorward, entra.shared, &claims).await;
        assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
        assert_eq!(outcome.header("x-nmp-principal-groups"), None);
    }
    let counted = format!("doorward_group_overage_total{{issuer=\"{V2}\"}}");
    assert_eq!(doorward.metric(&counted).await, Some(2.0));
    let outcome = ask(&doorward, entra.shared, &v2(CONTOSO, json!({}))).await;
    assert_eq!(outcome.reason, "authenticated");
    assert_eq!(doorward.metric(&counted).await, Some(2.0), "a token with its groups is none");
}

/// Any tenant writes what it likes into `email`. Entra says of which domains it knows the owner.
#[tokio::test]
async fn tenants_give_only_addresses_that_are_their_own() {
    let entra = Entra::start().await;
    let start = async |tenants: Value, more: Value| {
        let mut config: Value = serde_json::from_str(&entra.config(&tenants)).unwrap();
        for (name, value) in more.as_object().unwrap() {
            config["auth"]["oidc"][name] = value.clone();
        }
        entra.doorward(&config.to_string(), &[V2]).await
    };
    let email = async |doorward: &Doorward, more: Value| {
        let claims = with(v2(CONTOSO, json!({"email": "ceo@corp.example"})), more);
        let outcome = ask(doorward, entra.shared, &claims).await;
        assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
        outcome.header("x-nmp-principal-email").map(str::to_owned)
    };
    let ceo = Some("ceo@corp.example".to_owned());
    for tenants in [json!([CONTOSO, FABRIKAM]), json!(["*"])] {
        let doorward = start(tenants.clone(), json!({})).await;
        for (owned, sent) in [
            (Value::Null, false),
            (json!(true), true),
            (json!(1), true),
            (json!("1"), true),
            (json!("true"), true),
            (json!("True"), true),
            (json!(false), false),
            (json!(0), false),
            (json!("0"), false),
            (json!("false"), false),
            (json!({}), false),
        ] {
            let found = email(&doorward, json!({"xms_edov": owned})).await;
            assert_eq!(found, ceo.clone().filter(|_| sent), "{owned}");
        }
        let unverified = json!({"xms_edov": true, "email_verified": false});
        assert_eq!(email(&doorward, unverified).await, None);

        // Listed domains are all there are.
        let listed = json!({"email_domains": ["corp.example"]});
        let doorward = start(tenants.clone(), listed).await;
        assert_eq!(email(&doorward, json!({})).await, ceo);
        let elsewhere = json!({"email": "ceo@other.example", "xms_edov": true});
        assert_eq!(email(&doorward, elsewhere).await, None);

        // As principal: the same, unless tenants have name spaces of their own.
        for (settings, more, principal) in [
            (json!({"subject_claim": "email"}), json!({}), None),
            (json!({"subject_claim": "email"}), json!({"xms_edov": 1}), Some("ceo@corp.example")),
            // It speaks of `email` alone.
            (
                json!({"subject_claim": "upn"}),
                json!({"upn": "root@corp.example", "xms_edov": 1}),
                None,
            ),
            (
                json!({"subject_claim": "email", "email_domains": ["corp.example"]}),
                json!({}),
                Some("ceo@corp.example"),
            ),
            (
                json!({"subject_claim": "email", "subject_prefix": "{tid}:"}),
                json!({}),
                Some(&*format!("{CONTOSO}:ceo@corp.example")),
            ),
        ] {
            let doorward = start(tenants.clone(), settings.clone()).await;
            let claims = with(v2(CONTOSO, json!({"email": "ceo@corp.example"})), more);
            let outcome = ask(&doorward, entra.shared, &claims).await;
            let reason = if principal.is_some() { "authenticated" } else { "invalid_claim" };
            assert_eq!(outcome.reason, reason, "{settings}");
            assert_eq!(outcome.header("x-nmp-principal-id"), principal, "{settings}");
        }
    }
    // One tenant is an issuer like any other.
    let doorward = start(json!([CONTOSO]), json!({})).await;
    assert_eq!(email(&doorward, json!({})).await, ceo);
}

/// The preset names Microsoft's hosts. Here v2's discovery document is put on the fake,
/// and whatever is left for the internet goes to a proxy that refuses it.
#[tokio::test]
async fn the_preset_stands_for_both_issuers() {
    let entra = Entra::start().await;
    let shared = Signer::rsa("shared");
    let config = |tenants: Value| {
        let mut entra_preset = json!({"client_id": CLIENT});
        entra_preset.as_object_mut().unwrap().extend(tenants.as_object().unwrap().clone());
        json!({"auth": {
            "preset": {"entra": entra_preset},
            "oidc": {
                "discovery_url": entra.discovery_url("/organizations/v2.0"),
                "proxy": entra.idp.issuer(),
            },
        }})
        .to_string()
    };
    let many = config(json!({"tenants": [CONTOSO, FABRIKAM]}));
    let doorward = entra.doorward(&many, &[V2]).await;
    let outcome =
        ask(&doorward, entra.shared, &v2(CONTOSO, json!({"scp": null, "roles": ["r"]}))).await;
    assert_eq!(outcome.header("x-nmp-principal-id"), Some(OBJECT), "{outcome:?}");
    assert_eq!(outcome.header("x-nmp-scopes"), Some("r"));
    let outcome = ask(&doorward, entra.shared, &v2(STRANGE, json!({}))).await;
    assert_eq!(outcome.reason, "unknown_issuer");
    // v1 is trusted too. It borrows v2's keys until its own are there, and those say that
    // they sign for v2 alone.
    let outcome = ask(&doorward, entra.shared, &v1(CONTOSO, json!({}))).await;
    assert_eq!(outcome.reason, "unknown_key", "{outcome:?}");
    let keys = json!({"keys": [jwk(entra.shared, Some(V2)), jwk(&shared, None)]});
    let keys_path = "/organizations/v2.0/discovery/keys";
    entra.idp.answer(keys_path, Answer::Json(200, keys));

    // One tenant: its own discovery document, which names it.
    let issuer = of_tenant(V2, CONTOSO);
    entra.idp.answer(
        "/organizations/v2.0/.well-known/openid-configuration",
        Answer::Json(200, json!({"issuer": issuer, "jwks_uri": entra.idp.url(keys_path)})),
    );
    let doorward = entra.doorward(&config(json!({"tenant": CONTOSO})), &[&issuer]).await;
    let outcome = ask(&doorward, entra.shared, &v2(CONTOSO, json!({}))).await;
    assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    let outcome = ask(&doorward, entra.shared, &v2(FABRIKAM, json!({}))).await;
    assert_eq!(outcome.reason, "unknown_issuer");
    // A borrowed key that names no issuer serves v1, in either form of the audience.
    for aud in [CLIENT.to_owned(), format!("api://{CLIENT}")] {
        let token = shared
            .token_with(json!({"alg": "RS256", "typ": "JWT"}), &v1(CONTOSO, json!({"aud": aud})));
        let outcome = doorward.ask(get("/").bearer(&token)).await;
        assert_eq!(outcome.reason, "authenticated", "{outcome:?}");
    }
}

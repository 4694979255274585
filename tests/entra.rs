//! Tokens of Microsoft Entra ID, v1 and v2: whose pass, whose do not, and what they carry.

use serde_json::json;

use crate::support::check::get;
use crate::support::entra::{
    CLIENT, CONTOSO, Entra, FABRIKAM, OBJECT, STRANGE, V1, V2, ask, of_tenant, v1, v2,
};

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

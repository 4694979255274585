//! Whose email addresses are believed where one issuer of Entra ID stands for many tenants.

use serde_json::{Value, json};

use crate::support::doorward::Doorward;
use crate::support::entra::{CONTOSO, Entra, FABRIKAM, V2, ask, v2, with};

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

//! Which tokens are for access: of which kind, for which client, bound to nothing, and for how long.

use serde_json::{Value, json};

use crate::reasons::{ISSUER, denied};
use crate::support::check::get;
use crate::support::doorward::Doorward;
use crate::support::signer::{RSA, claims, from_now, jwks};

fn with_settings(settings: Value) -> String {
    let mut oidc = json!({"issuer": ISSUER, "client_id": "nmp", "jwks": jwks([&*RSA])});
    oidc.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    json!({"auth": {"oidc": oidc}}).to_string()
}

/// A token that is bound to a key proves nothing to who is only shown the token.
#[tokio::test]
async fn a_token_bound_to_a_key_is_no_bearer_token() {
    let strict = Doorward::start_explained(&with_settings(json!({}))).await;
    let settings = with_settings(json!({"bound_tokens": "ignore"}));
    let lenient = Doorward::start_explained(&settings).await;
    for bound in [
        json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
        json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        json!({"jwk": RSA.jwk()}),
        json!({"kid": "k"}),
        json!({"unknown": 1}),
        json!({}),
        json!("jkt"),
        json!(["jkt"]),
        json!(0),
        json!(false),
    ] {
        let token = RSA.token("RS256", &claims(ISSUER, json!({"cnf": bound})));
        denied(&strict, get("/").bearer(&token), 401, "unsupported_token").await;
        // Twice: the second time it would be in the cache.
        denied(&strict, get("/").bearer(&token), 401, "unsupported_token").await;
        assert_eq!(lenient.ask(get("/").bearer(&token)).await.status, 200, "{bound}");
    }
}

/// What says of itself that it is for something else never passes; what only looks so is
/// refused where that is asked for.
#[tokio::test]
async fn only_access_tokens_are_keys() {
    let lenient = Doorward::start_explained(&with_settings(json!({}))).await;
    let settings = with_settings(json!({"require_access_token": true}));
    let strict = Doorward::start_explained(&settings).await;
    let access = |claims: &Value| {
        RSA.token_with(json!({"alg": "RS256", "kid": "rsa-1", "typ": "at+jwt"}), claims)
    };
    for typ in ["ID", "Refresh", "Offline", "Logout", "id", "REFRESH"] {
        let claims = claims(ISSUER, json!({"typ": typ}));
        for token in [RSA.token("RS256", &claims), access(&claims)] {
            for doorward in [&lenient, &strict] {
                denied(doorward, get("/").bearer(&token), 401, "unsupported_token").await;
            }
        }
    }
    // A logout token without a type (OpenID Connect Back-Channel Logout §2.4).
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let logout = RSA.token("RS256", &claims(ISSUER, json!({"events": logout, "sid": "s"})));
    for doorward in [&lenient, &strict] {
        denied(doorward, get("/").bearer(&logout), 401, "unsupported_token").await;
    }
    for (more, is_access) in [
        (json!({"at_hash": "h"}), false),
        (json!({"c_hash": "h"}), false),
        (json!({"s_hash": "h"}), false),
        (json!({"nonce": "n"}), false),
        (json!({"nonce": 5}), false),
        (json!({"token_use": "id"}), false),
        (json!({"typ": "JWT", "nonce": "n"}), false),
        (json!({"typ": 5, "nonce": "n"}), false),
        (json!({"typ": "Bearer", "nonce": "n"}), true),
        (json!({"typ": "Bearer", "at_hash": "h"}), true),
        (json!({"token_use": "access"}), true),
        (json!({"typ": "custom"}), true),
        (json!({"auth_time": 1, "name": "Alice", "amr": ["pwd"]}), true),
        (json!({}), true),
    ] {
        let token = RSA.token("RS256", &claims(ISSUER, more.clone()));
        assert_eq!(lenient.ask(get("/").bearer(&token)).await.status, 200, "{more}");
        if is_access {
            assert_eq!(strict.ask(get("/").bearer(&token)).await.status, 200, "{more}");
        } else {
            denied(&strict, get("/").bearer(&token), 401, "unsupported_token").await;
        }
    }
    // RFC 9068's header says it as clearly as Keycloak's claim.
    let token = access(&claims(ISSUER, json!({"nonce": "n"})));
    assert_eq!(strict.ask(get("/").bearer(&token)).await.status, 200);
}

#[tokio::test]
async fn the_client_is_found_where_each_provider_names_it() {
    let settings = with_settings(json!({"allowed_clients": ["cli"]}));
    let doorward = Doorward::start_explained(&settings).await;
    for (more, status) in [
        (json!({"azp": "cli"}), 200),
        (json!({"appid": "cli"}), 200),
        (json!({"client_id": "cli"}), 200),
        (json!({"cid": "cli"}), 200),
        (json!({"cid": "other"}), 401),
        (json!({"cid": ["cli"]}), 401),
        // The first that is there counts.
        (json!({"azp": "other", "cid": "cli"}), 401),
        (json!({"azp": 5, "cid": "cli"}), 401),
        (json!({}), 401),
    ] {
        let token = RSA.token("RS256", &claims(ISSUER, more.clone()));
        if status == 200 {
            assert_eq!(doorward.ask(get("/").bearer(&token)).await.status, 200, "{more}");
        } else {
            denied(&doorward, get("/").bearer(&token), status, "bad_audience").await;
        }
    }
}

/// `exp` in milliseconds would be good for tens of thousands of years.
#[tokio::test]
async fn a_token_does_not_live_for_ever() {
    let limited = with_settings(json!({"max_lifetime": "2h"}));
    let limited = Doorward::start_explained(&limited).await;
    let free = Doorward::start_explained(&with_settings(json!({}))).await;
    let (hour, year) = (3600, 366 * 24 * 3600);
    for (more, free_passes, limited_passes) in [
        (json!({}), true, true),
        (json!({"iat": from_now(-hour), "exp": from_now(hour - 5)}), true, true),
        (json!({"iat": from_now(-hour), "exp": from_now(hour + 5)}), true, false),
        (json!({"iat": 0}), true, false),
        (json!({"iat": null, "exp": from_now(2 * hour)}), true, true),
        (json!({"iat": null, "exp": from_now(2 * hour + 90)}), true, false),
        (json!({"exp": from_now(9 * year)}), true, false),
        (json!({"exp": 253_402_300_799_i64}), true, false),
        (json!({"exp": 253_402_300_800_i64}), false, false),
        (json!({"exp": from_now(hour) * 1000}), false, false),
        (json!({"iat": null, "exp": from_now(hour) * 1000}), false, false),
        (json!({"exp": u64::MAX}), false, false),
        (json!({"exp": 1e30}), false, false),
    ] {
        let token = RSA.token("RS256", &claims(ISSUER, more.clone()));
        for (doorward, passes) in [(&free, free_passes), (&limited, limited_passes)] {
            for round in ["fresh", "cached"] {
                if passes {
                    let outcome = doorward.ask(get("/").bearer(&token)).await;
                    assert_eq!(outcome.status, 200, "{more}, {round}");
                } else {
                    denied(doorward, get("/").bearer(&token), 401, "invalid_claim").await;
                }
            }
        }
    }
}

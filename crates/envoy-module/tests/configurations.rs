//! Configurations: their faults, updates, and what is left when the last one goes.

use serde_json::{Value, json};

use crate::support::{
    Around, Envoy, eventually, http, library, listener, module, per_route, validate, with,
};

async fn status(envoy: &Envoy, listener: &str, path: &str, token: Option<&str>) -> u16 {
    let url = format!("http://{}{path}", envoy.address(listener).await);
    let request = http().get(url);
    let request = match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    request.send().await.unwrap().status().as_u16()
}

/// All faults at once, each with its nearest key, and what only the server has by its name.
#[tokio::test]
async fn faults_are_told_and_nothing_is_started() {
    let Some(around) = Around::start().await else { return };
    let sound = listener("main", module(around.config()), &[]);
    let trial = validate(&around, &[sound]).await;
    assert!(trial.accepted, "{}", trial.said);

    let unsound = with(
        around.config(),
        json!({"server": {"workers": 2}, "cachee": {}, "token": {"leeway": "soon"}}),
    );
    let trial = validate(&around, &[listener("main", module(unsound), &[])]).await;
    assert!(!trial.accepted);
    for told in ["server", "cachee", "cache", "token.leeway"] {
        assert!(trial.said.contains(told), "{told}: {}", trial.said);
    }
    assert_eq!(around.issuer.asked().len(), 0, "nothing is fetched to validate");
}

/// A text is YAML, or the path of a file; another filter than ours there is not.
#[tokio::test]
async fn a_configuration_may_be_text_or_a_file() {
    let Some(around) = Around::start().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("doorward.yaml");
    std::fs::write(&file, around.config().to_string()).unwrap();
    let of_file = listener("file", module(json!(file)), &[]);
    let of_text = listener("text", module(json!("auth:\n  enabled: false\n")), &[]);
    let trial = validate(&around, &[of_file, of_text]).await;
    assert!(trial.accepted, "{}", trial.said);

    let missing = module(json!(dir.path().join("missing.yaml")));
    let trial = validate(&around, &[listener("main", missing, &[])]).await;
    assert!(!trial.accepted && trial.said.contains("missing.yaml"), "{}", trial.said);

    let mut other = module(around.config());
    other["typed_config"]["filter_name"] = json!("doorwart");
    let trial = validate(&around, &[listener("main", other, &[])]).await;
    assert!(!trial.accepted && trial.said.contains("`doorward`"), "{}", trial.said);
}

/// An update with faults is refused and the old configuration serves on; one without costs the
/// issuer no question, and tokens stay verified.
#[tokio::test]
async fn updates_keep_keys_and_tokens() {
    let Some(around) = Around::start().await else { return };
    let token = around.token();
    let envoy = Envoy::start(&around, &[listener("main", module(around.config()), &[])]).await;
    assert_eq!(status(&envoy, "main", "/", Some(&token)).await, 200);
    let asked = around.issuer.asked().len();

    let unsound = with(around.config(), json!({"rules": {"bypas": []}}));
    envoy.update(1, &[listener("main", module(unsound), &[])]);
    eventually("the fault is told", async || envoy.log().contains("rules.bypas").then_some(()))
        .await;
    assert_eq!(status(&envoy, "main", "/", Some(&token)).await, 200);

    let bypass = with(around.config(), json!({"rules": {"bypass": ["/open"]}}));
    envoy.update(2, &[listener("main", module(bypass), &[])]);
    eventually("the update is in force", async || {
        (status(&envoy, "main", "/open", None).await == 200).then_some(())
    })
    .await;
    assert_eq!(status(&envoy, "main", "/", Some(&token)).await, 200);
    assert_eq!(around.issuer.asked().len(), asked, "an update costs the issuer nothing");
    eventually("what was verified before the updates is found after them", async || {
        envoy.statistic("doorward_token_cache_hits_total", &[]).await.filter(|hits| *hits == 2)
    })
    .await;
    assert_eq!(envoy.statistic("doorward_token_cache_misses_total", &[]).await, Some(1));
    assert_eq!(envoy.threads("doorward"), 1);
}

/// What a route says counts for it alone; a fault in it refuses the update.
#[tokio::test]
async fn a_route_has_the_last_word() {
    let Some(around) = Around::start().await else { return };
    let routes = [
        per_route("/open", json!({"mode": "bypass"})),
        per_route("/admin", json!({"scopes": ["admin:all"]})),
        per_route("/other", json!({"audience": "somebody-else"})),
    ];
    let token = around.token();
    let envoy = Envoy::start(&around, &[listener("main", module(around.config()), &routes)]).await;
    for (path, token, expected) in [
        ("/open", None, 200),
        ("/", None, 401),
        ("/", Some(token.as_str()), 200),
        ("/admin", Some(&token), 403),
        ("/other", Some(&token), 401),
    ] {
        assert_eq!(status(&envoy, "main", path, token).await, expected, "{path}");
    }
    let unsound = [per_route("/x", json!({"mod": "bypass"}))];
    let trial = validate(&around, &[listener("main", module(around.config()), &unsound)]).await;
    assert!(!trial.accepted && trial.said.contains("mode"), "{}", trial.said);
}

/// While a newer file takes the place of this one, routes may still be configured for the older: what
/// such a one asks for is not known, and not ignored.
#[tokio::test]
async fn a_route_of_another_module_is_denied() {
    let Some(mut around) = Around::start().await else { return };
    let dir = tempfile::tempdir().unwrap();
    for name in ["libdoorward_envoy.so", "libdoorward_older.so"] {
        std::fs::copy(library(), dir.path().join(name)).unwrap();
    }
    around.modules = dir.path().to_owned();
    let mut older = per_route("/older", json!({"scopes": ["admin:all"]}));
    older["typed_per_filter_config"]["doorward"]["dynamic_module_config"]["name"] =
        json!("doorward_older");
    let routes = [older, per_route("/open", json!({"mode": "bypass"}))];
    let envoy = Envoy::start(&around, &[listener("main", module(around.config()), &routes)]).await;
    let token = around.token();
    assert_eq!(status(&envoy, "main", "/", Some(&token)).await, 200);
    assert_eq!(status(&envoy, "main", "/open", None).await, 200);
    assert_eq!(status(&envoy, "main", "/older", Some(&token)).await, 503);
    assert!(envoy.log().contains("per-route configuration for another module"), "{}", envoy.log());
}

/// Envoy lets go of the library when the last filter goes, unless told otherwise; ours has a thread.
#[tokio::test]
async fn the_last_filter_goes_and_comes_back() {
    let Some(around) = Around::start().await else { return };
    let closable = |mut filter: Value| {
        filter["typed_config"]["dynamic_module_config"] = json!({"name": "doorward_envoy"});
        filter
    };
    let token = around.token();
    let ours = listener("main", closable(module(around.config())), &[]);
    let mut envoy = Envoy::start(&around, std::slice::from_ref(&ours)).await;
    for version in [1, 3] {
        assert_eq!(status(&envoy, "main", "/", Some(&token)).await, 200);
        assert_eq!(envoy.threads("doorward"), 1);
        envoy.update(version, &[]);
        eventually("its thread ends", async || (envoy.threads("doorward") == 0).then_some(()))
            .await;
        assert!(envoy.is_alive(), "{}", envoy.log());
        envoy.update(version + 1, std::slice::from_ref(&ours));
    }
    assert_eq!(status(&envoy, "main", "/", Some(&token)).await, 200);
    assert_eq!(envoy.stop().await, Some(0));
}

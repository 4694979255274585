//! Keys kept fresh in the background: rotation, outage, faults, files.

use std::sync::Arc;

use doorward_core::clock::SystemClock;
use doorward_core::keys::KeySource as _;
use serde_json::json;

use super::fake_idp::{Answer, FakeIdp, jwk, jwks};
use super::{AN_HOUR, Running, eventually, on_demand, restless, spec, write_atomically};
use crate::discovery::{
    Access, FetchPolicy, IssuerMetadata, KeyLocation, MetadataSpec, ObtainError, well_known_url,
};

#[tokio::test]
async fn rotation_is_noticed_and_a_removed_key_is_gone() {
    let idp = FakeIdp::start(&["a"]).await;
    let issuer = Running::tried(spec(&idp.issuer, idp.discovery(), restless())).await;
    assert_eq!(issuer.kids(), ["a"]);
    idp.keys(Answer::Json(200, jwks(&["a", "b"])));
    eventually("the new key is in force", || issuer.kids() == ["a", "b"]).await;
    idp.keys(Answer::Json(200, jwks(&["b"])));
    eventually("the old key is gone", || issuer.kids() == ["b"]).await;
    assert!(issuer.keys.status().fetches.ok >= 3);
}

#[tokio::test]
async fn the_same_keys_keep_their_id_and_get_younger() {
    let idp = FakeIdp::start(&[]).await;
    let (one, two) = (jwk("1"), jwk("2"));
    idp.keys(Answer::Json(200, json!({"keys": [one.clone(), two.clone()]})));
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), restless())).await;
    let first = issuer.keys.snapshot().clone().unwrap();
    idp.keys(Answer::Json(200, json!({"keys": [two, one]})));
    eventually("it is confirmed", || issuer.keys.status().fetches.unchanged >= 3).await;
    let later = issuer.keys.snapshot().clone().unwrap();
    assert!(Arc::ptr_eq(first.set(), later.set()));
    assert!(!Arc::ptr_eq(&first, &later));
    assert_eq!(issuer.keys.status().fetches.ok, 1);
}

#[tokio::test]
async fn the_last_good_set_survives_every_fault_and_recovery_is_noticed() {
    let mut idp = FakeIdp::start(&["a"]).await;
    let issuer = Running::tried(spec(&idp.issuer, idp.discovery(), restless())).await;
    let id = issuer.set_id();
    for (fault, text) in [
        (Answer::Status(500), "status 500"),
        (Answer::Text("<html>".into()), "not JSON"),
        (Answer::Text("{}".into()), "no member `keys`"),
        (Answer::Json(200, jwks(&[])), "no usable key (0 left out)"),
        (Answer::Text(r#"{"keys":[{"kty":"oct","k":"x"}]}"#.into()), "symmetric"),
        (Answer::Endless, "larger than 1 MiB"),
    ] {
        idp.keys(fault);
        eventually(text, || {
            let error = issuer.keys.status().last_error;
            error.is_some_and(|error| error.to_string().contains(text))
        })
        .await;
        assert_eq!(issuer.set_id(), id, "{text}");
    }
    idp.keys(Answer::Json(200, jwks(&["b"])));
    eventually("it recovers", || issuer.kids() == ["b"]).await;
    assert!(issuer.keys.status().last_error.is_none());
    idp.stop().await;
    let errors = issuer.keys.status().fetches.error;
    eventually("it is down", || issuer.keys.status().fetches.error > errors).await;
    assert_eq!(issuer.kids(), ["b"]);
}

#[tokio::test]
async fn one_odd_key_spoils_nothing() {
    let idp = FakeIdp::start(&[]).await;
    let mut odd = jwk("x");
    odd["kid"] = json!(5);
    idp.keys(Answer::Json(200, json!({"keys": [odd, json!("x"), jwk("good")]})));
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), on_demand())).await;
    assert_eq!(issuer.kids(), ["good"]);
}

#[tokio::test]
async fn cache_control_sets_the_pace_within_bounds() {
    let idp = FakeIdp::start(&[]).await;
    let planned = async |cache_control: &'static str| {
        idp.keys(Answer::Raw(
            200,
            ("cache-control", cache_control.into()),
            jwks(&["k"]).to_string(),
        ));
        let policy = FetchPolicy {
            refresh_min: AN_HOUR,
            refresh_default: 2 * AN_HOUR,
            refresh_max: 8 * AN_HOUR,
            ..on_demand()
        };
        let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), policy)).await;
        let status = issuer.keys.status();
        let pause = status.next_attempt_at.unwrap().since(status.obtained_at.unwrap());
        pause.as_secs_f64() / AN_HOUR.as_secs_f64()
    };
    for (cache_control, hours) in [
        ("public", 2.0),
        ("max-age=14400", 4.0),
        ("max-age=1", 1.0),
        ("max-age=99999999", 8.0),
        ("no-store", 1.0),
    ] {
        let pause = planned(cache_control).await;
        assert!((hours * 0.89..hours * 1.11).contains(&pause), "{cache_control}: {pause} h");
    }
}

#[tokio::test]
async fn discovery_of_somebody_else_gives_no_keys() {
    let idp = FakeIdp::start(&["k"]).await;
    let other = format!("{}/", idp.issuer);
    let issuer = Running::tried(spec(&other, idp.discovery(), on_demand())).await;
    assert!(issuer.keys.snapshot().is_none());
    let error = issuer.keys.status().last_error.unwrap();
    assert!(matches!(*error, ObtainError::Metadata(_)), "{error}");
    assert_eq!(idp.key_requests(), 0);
}

#[tokio::test]
async fn the_key_set_may_move() {
    let idp = FakeIdp::start(&["k"]).await;
    let policy = FetchPolicy { refresh_max: AN_HOUR, ..restless() };
    let issuer = Running::tried(spec(&idp.issuer, idp.discovery(), policy)).await;
    let moved = json!({"issuer": idp.issuer, "jwks_uri": idp.url("/moved")});
    idp.metadata(Answer::Json(200, moved));
    idp.keys(Answer::Status(404));
    eventually("discovery is asked again", || idp.metadata_requests() > 1).await;
    idp.keys(Answer::Json(200, jwks(&["there"])));
    eventually("the key is found", || issuer.kids() == ["there"]).await;
}

#[tokio::test]
async fn a_key_file_is_read_again_and_a_bad_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    let file = spec("file", KeyLocation::File(path.clone()), restless());
    let issuer = Running::tried(file).await;
    assert!(issuer.keys.snapshot().is_none());
    write_atomically(&path, &jwks(&["a"]).to_string());
    eventually("the file is found", || issuer.kids() == ["a"]).await;
    let errors = issuer.keys.status().fetches.error;
    std::fs::write(&path, "{\"keys\":").unwrap();
    eventually("the bad file is seen", || issuer.keys.status().fetches.error > errors).await;
    assert_eq!(issuer.kids(), ["a"]);
    write_atomically(&path, &jwks(&["b"]).to_string());
    eventually("the new file is read", || issuer.kids() == ["b"]).await;
    std::fs::remove_file(&path).unwrap();
    eventually("the file is gone", || issuer.keys.status().last_error.is_some()).await;
    assert_eq!(issuer.kids(), ["b"]);
}

#[tokio::test]
async fn a_changed_setting_does_not_cost_the_keys_a_changed_place_does() {
    let mut idp = FakeIdp::start(&["a"]).await;
    let old = Running::tried(spec(&idp.issuer, idp.jwks_uri(), on_demand())).await;
    idp.stop().await;
    let changed = FetchPolicy { max_stale: AN_HOUR, ..on_demand() };
    let heir = spec(&idp.issuer, idp.jwks_uri(), changed);
    assert_ne!(&heir, old.keys.spec());
    let start = |spec| Running::start_with(spec, None, Some(&old.keys), Arc::new(SystemClock));
    let new = start(heir);
    assert_eq!((new.kids(), new.set_id()), (old.kids(), old.set_id()));
    let snapshot = new.keys.snapshot().clone().unwrap();
    assert_eq!(snapshot.usable_until(), snapshot.obtained_at().plus(AN_HOUR));
    let elsewhere = KeyLocation::JwksUri(idp.url("/other"));
    assert!(start(spec(&idp.issuer, elsewhere, on_demand())).keys.snapshot().is_none());
    assert!(start(spec("other", idp.jwks_uri(), on_demand())).keys.snapshot().is_none());
}

#[tokio::test]
async fn metadata_is_stale_rather_than_none() {
    let mut idp = FakeIdp::start(&[]).await;
    let spec = MetadataSpec {
        issuer: idp.issuer.clone(),
        url: well_known_url(&idp.issuer).unwrap(),
        access: Access::default(),
        timeout: super::PATIENCE,
        ttl: std::time::Duration::from_millis(20),
        cache_dir: None,
    };
    let (metadata, work) = IssuerMetadata::new(spec, None, Arc::new(SystemClock));
    let mut task = tokio::task::JoinSet::new();
    task.spawn(work);
    metadata.tried().await;
    let token_endpoint = || metadata.current().unwrap().token_endpoint.clone().unwrap();
    assert_eq!(token_endpoint(), idp.url("/token"));
    let jwks_uri = idp.url("/keys");
    let moved =
        json!({"issuer": idp.issuer, "jwks_uri": jwks_uri, "token_endpoint": idp.url("/t2")});
    idp.metadata(Answer::Json(200, moved));
    eventually("it is refreshed", || token_endpoint() == idp.url("/t2")).await;
    idp.stop().await;
    eventually("it is down", || metadata.last_error().is_some()).await;
    assert_eq!(token_endpoint(), idp.url("/t2"));
}

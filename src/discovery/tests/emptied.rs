//! Key sets without usable keys: believed after enough scheduled reads, and no others.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::clock::SystemClock;
use doorward_core::keys::{KeySource as _, Refetch};

use super::fake_idp::{Answer, FakeIdp, jwks};
use super::{Running, eventually, on_demand, restless, spec, write_atomically};
use crate::discovery::{EmptySet, FetchPolicy, KeyLocation};

const OVER: Duration = Duration::from_millis(300);

/// Believes an emptied set sooner than the minute it takes outside of tests.
fn soon(policy: FetchPolicy) -> FetchPolicy {
    FetchPolicy { empty_set: EmptySet::Withdraw { reads: 3, over: OVER }, ..policy }
}

#[tokio::test]
async fn good_reads_in_between_start_the_count_anew() {
    let idp = FakeIdp::start(&["a"]).await;
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), soon(restless()))).await;
    let good = jwks(&["a"]);
    idp.keys(Answer::Json(200, good.clone()));
    eventually("the key is there", || issuer.keys.status().fetches.ok == 2).await;
    // A broken node that answers every other read, for longer than the time it takes.
    for round in 1..=20 {
        idp.keys(Answer::Json(200, jwks(&[])));
        eventually("one empty read", || issuer.keys.status().fetches.empty >= round).await;
        idp.keys(Answer::Json(200, good.clone()));
        let before = issuer.keys.status().fetches.unchanged;
        eventually("one good read", || issuer.keys.status().fetches.unchanged > before).await;
    }
    assert_eq!((issuer.kids(), issuer.keys.status().fetches.withdrawn), (vec!["a".to_owned()], 0));
    idp.keys(Answer::Json(200, jwks(&[])));
    eventually("it is withdrawn", || issuer.keys.status().withdrawn()).await;
    assert_eq!(issuer.kids(), [""; 0]);
    assert!(issuer.keys.snapshot().is_some(), "no key is not the same as not knowing");
    // Confirmed from then on, like any other set; and what comes back is believed at once.
    eventually("it is confirmed", || issuer.keys.status().last_error.is_none()).await;
    idp.keys(Answer::Json(200, good));
    eventually("the key is back", || issuer.kids() == ["a"]).await;
}

#[tokio::test]
async fn a_good_read_that_was_asked_for_counts() {
    let idp = FakeIdp::start(&["a"]).await;
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), soon(restless()))).await;
    idp.keys(Answer::Json(200, jwks(&[])));
    eventually("it is withdrawn", || issuer.keys.status().withdrawn()).await;
    drop(issuer);
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), on_demand())).await;
    assert!(issuer.keys.snapshot().is_none(), "one read is not enough");
    idp.keys(Answer::Json(200, jwks(&["b"])));
    assert_eq!(issuer.refetch().await, Refetch::Answered);
    assert_eq!(issuer.kids(), ["b"]);
}

#[tokio::test]
async fn a_key_file_can_be_emptied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    write_atomically(&path, &jwks(&["a"]).to_string());
    let file = spec("file", KeyLocation::File(path.clone()), soon(restless()));
    let issuer = Running::tried(file).await;
    assert_eq!(issuer.kids(), ["a"]);
    write_atomically(&path, &jwks(&[]).to_string());
    eventually("it is withdrawn", || issuer.keys.status().withdrawn()).await;
}

/// What it borrows is not its to withdraw.
#[tokio::test]
async fn an_issuer_without_keys_of_its_own_goes_on_borrowing() {
    let (primary, alias) = (FakeIdp::start(&["p"]).await, FakeIdp::start(&[]).await);
    let lender = Running::tried(spec(&primary.issuer, primary.jwks_uri(), on_demand())).await;
    let borrower = Running::start_with(
        spec(&alias.issuer, alias.jwks_uri(), soon(restless())),
        Some(Arc::clone(&lender.keys) as _),
        None,
        Arc::new(SystemClock),
    );
    let start = std::time::Instant::now();
    eventually("it was read for long enough", || {
        borrower.keys.status().fetches.empty > 5 && start.elapsed() > 2 * OVER
    })
    .await;
    assert_eq!(borrower.kids(), ["p"]);
}

#[tokio::test]
async fn a_changed_setting_brings_nothing_back() {
    let idp = FakeIdp::start(&["a"]).await;
    let old = Running::tried(spec(&idp.issuer, idp.jwks_uri(), soon(restless()))).await;
    idp.keys(Answer::Json(200, jwks(&[])));
    eventually("it is withdrawn", || old.keys.status().withdrawn()).await;
    let keep = FetchPolicy { empty_set: EmptySet::Keep, ..on_demand() };
    let heir = spec(&idp.issuer, idp.jwks_uri(), keep);
    let new = Running::start_with(heir, None, Some(&old.keys), Arc::new(SystemClock));
    new.keys.tried().await;
    assert!(new.keys.status().withdrawn());
}

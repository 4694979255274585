//! Unknown kids: one fetch however many ask, one a cool-down, and nobody else is held up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward_core::keys::RefetchCause::{BadSignature, UnknownKey};
use doorward_core::keys::{KeySource as _, Refetch};
use tokio::task::JoinSet;

use super::super::refetch_limiter::MAX_WAITING;
use super::fake_idp::{Answer, FakeIdp, jwks};
use super::{PATIENCE, Running, eventually, on_demand, spec};
use crate::discovery::{FetchPolicy, KeyLocation};

#[tokio::test]
async fn a_hundred_unknown_kids_at_once_cost_one_fetch() {
    let idp = FakeIdp::start(&["old"]).await;
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), on_demand())).await;
    assert_eq!(idp.key_requests(), 1);
    idp.keys(Answer::Late(Duration::from_millis(50), jwks(&["new"])));
    let mut askers = JoinSet::new();
    for _ in 0..100 {
        let keys = Arc::clone(&issuer.keys);
        askers.spawn(async move {
            let outcome = keys.refetch(UnknownKey, PATIENCE).await;
            (outcome, super::kids(&*keys))
        });
    }
    for (outcome, kids) in askers.join_all().await {
        assert_eq!(outcome, Refetch::Answered);
        assert_eq!(kids, ["new"]);
    }
    assert_eq!(idp.key_requests(), 2);
}

#[tokio::test]
async fn a_flood_of_made_up_kids_costs_one_fetch_a_cool_down() {
    let idp = FakeIdp::start(&["known"]).await;
    let cool_down = Duration::from_millis(150);
    let policy = FetchPolicy { cool_down, ..on_demand() };
    let issuer = Running::tried(spec(&idp.issuer, idp.discovery(), policy)).await;
    let (before, id) = (Instant::now(), issuer.set_id());
    let mut not_due = 0;
    while idp.key_requests() < 4 {
        assert!(before.elapsed() < PATIENCE);
        let outcome = issuer.refetch().await;
        if outcome == Refetch::NotDue {
            not_due += 1;
        } else {
            assert_eq!(outcome, Refetch::Answered);
        }
        // The known key is in force all the time, in the very same set.
        assert_eq!(issuer.set_id(), id);
        tokio::task::yield_now().await;
    }
    assert!(not_due > 3);
    assert!(before.elapsed() >= 2 * cool_down, "{:?} for 3 fetches", before.elapsed());
    assert_eq!(idp.metadata_requests(), 1, "the key set's URL is remembered");
    assert_eq!(issuer.keys.status().fetches.unchanged, 3);
}

#[tokio::test]
async fn an_issuer_that_never_answered_is_not_flooded_either() {
    let idp = FakeIdp::start(&[]).await;
    idp.keys(Answer::Status(500));
    let policy = FetchPolicy { cool_down: PATIENCE, ..on_demand() };
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), policy)).await;
    assert_eq!(issuer.refetch().await, Refetch::Failed);
    for _ in 0..100 {
        assert_eq!(issuer.refetch().await, Refetch::NotDue);
    }
    assert_eq!(idp.key_requests(), 2);
    assert!(issuer.keys.snapshot().is_none());
}

#[tokio::test]
async fn a_request_may_wait_for_the_first_fetch() {
    let idp = FakeIdp::start(&[]).await;
    idp.keys(Answer::Late(Duration::from_millis(50), jwks(&["first"])));
    let policy = FetchPolicy { cool_down: PATIENCE, ..on_demand() };
    let issuer = Running::start(spec(&idp.issuer, idp.jwks_uri(), policy));
    assert_eq!(issuer.refetch().await, Refetch::Answered);
    assert_eq!(issuer.kids(), ["first"]);
    assert_eq!(idp.key_requests(), 1);
}

#[tokio::test]
async fn a_hanging_issuer_holds_nobody_up() {
    let (hanging, lively) = (FakeIdp::start(&["h"]).await, FakeIdp::start(&["l"]).await);
    let one = Running::tried(spec(&hanging.issuer, hanging.jwks_uri(), on_demand())).await;
    let other = Running::tried(spec(&lively.issuer, lively.jwks_uri(), on_demand())).await;
    hanging.keys(Answer::Hang);
    let start = Instant::now();
    assert_eq!(
        one.keys.refetch(UnknownKey, Duration::from_millis(20)).await,
        Refetch::StillUnderWay
    );
    assert!(start.elapsed() < PATIENCE / 2);
    assert_eq!(other.refetch().await, Refetch::Answered);
    // Nor does it hold up what it published before; and the one fetch is joined.
    assert_eq!(one.kids(), ["h"]);
    assert_eq!(one.keys.refetch(UnknownKey, Duration::ZERO).await, Refetch::StillUnderWay);
    eventually("the hanging request arrives", || hanging.key_requests() == 2).await;
}

#[tokio::test]
async fn those_who_leave_do_not_end_the_fetch() {
    let idp = FakeIdp::start(&["old"]).await;
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), on_demand())).await;
    idp.keys(Answer::Late(Duration::from_millis(50), jwks(&["new"])));
    drop(tokio::time::timeout(Duration::from_millis(5), issuer.refetch()).await);
    eventually("the new key is in force", || issuer.kids() == ["new"]).await;
    assert_eq!(idp.key_requests(), 2);
}

#[tokio::test]
async fn requests_wait_on_runtimes_of_their_own() {
    let idp = FakeIdp::start(&["old"]).await;
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), on_demand())).await;
    idp.keys(Answer::Json(200, jwks(&["new"])));
    let keys = Arc::clone(&issuer.keys);
    let request = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(keys.refetch(UnknownKey, PATIENCE))
    });
    eventually("the request thread is done", || request.is_finished()).await;
    assert_eq!(request.join().unwrap(), Refetch::Answered);
    assert_eq!(issuer.kids(), ["new"]);
}

#[tokio::test]
async fn when_the_task_is_gone_requests_are_told_at_once() {
    let idp = FakeIdp::start(&["k"]).await;
    idp.keys(Answer::Hang);
    let issuer = Running::start(spec(&idp.issuer, idp.jwks_uri(), on_demand()));
    let (keys, waiting) = (Arc::clone(&issuer.keys), Arc::clone(&issuer.keys));
    let mut asker = JoinSet::new();
    asker.spawn(async move { waiting.refetch(UnknownKey, PATIENCE).await });
    eventually("the fetch is under way", || idp.key_requests() == 1).await;
    drop(issuer);
    assert_eq!(asker.join_all().await, [Refetch::Failed]);
    assert_eq!(keys.refetch(UnknownKey, PATIENCE).await, Refetch::NotDue);
    keys.tried().await;
}

#[tokio::test]
async fn an_issuer_borrows_until_its_own_first_success() {
    let (primary, alias) = (FakeIdp::start(&["p"]).await, FakeIdp::start(&["a"]).await);
    alias.keys(Answer::Status(500));
    let lender = Running::tried(spec(&primary.issuer, primary.jwks_uri(), on_demand())).await;
    let borrower = Running::start_with(
        spec(&alias.issuer, alias.jwks_uri(), on_demand()),
        Some(Arc::clone(&lender.keys) as _),
        None,
        Arc::new(doorward_core::clock::SystemClock),
    );
    borrower.keys.tried().await;
    assert_eq!(borrower.kids(), ["p"]);
    assert!(borrower.keys.status().borrowing);

    // A new key of the lender arrives through the borrower, even while that hangs.
    alias.keys(Answer::Hang);
    primary.keys(Answer::Json(200, jwks(&["p2"])));
    assert_eq!(borrower.refetch().await, Refetch::Answered);
    assert_eq!(borrower.kids(), ["p2"]);
    drop(borrower);

    // Its own keys, once there, are all it believes; the lender never gets them.
    alias.keys(Answer::Json(200, jwks(&["a"])));
    let borrower = Running::start_with(
        spec(&alias.issuer, alias.jwks_uri(), on_demand()),
        Some(Arc::clone(&lender.keys) as _),
        None,
        Arc::new(doorward_core::clock::SystemClock),
    );
    borrower.keys.tried().await;
    assert_eq!(borrower.kids(), ["a"]);
    alias.keys(Answer::Status(500));
    let lender_asked = primary.key_requests();
    assert_eq!(borrower.refetch().await, Refetch::Failed);
    assert_eq!(borrower.kids(), ["a"]);
    assert_eq!(lender.kids(), ["p2"]);
    assert_eq!(primary.key_requests(), lender_asked);
}

#[tokio::test]
async fn inline_keys_are_there_at_once_and_never_due() {
    let inline = |document: String| spec("i", KeyLocation::Inline(document), on_demand());
    let issuer = Running::start(inline(jwks(&["k"]).to_string()));
    assert_eq!(issuer.kids(), ["k"], "before the task ran");
    issuer.keys.tried().await;
    assert_eq!(issuer.refetch().await, Refetch::NotDue);
    let broken = Running::start(inline("{}".into()));
    assert!(broken.keys.status().last_error.is_some());
    assert!(broken.keys.snapshot().is_none());
}

#[tokio::test]
async fn bad_signatures_have_a_fetch_of_their_own() {
    let idp = FakeIdp::start(&["old"]).await;
    let policy = FetchPolicy { cool_down: PATIENCE, ..on_demand() };
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), policy)).await;
    for (cause, outcome, requests) in [
        (BadSignature, Refetch::Answered, 2),
        (BadSignature, Refetch::NotDue, 2),
        (UnknownKey, Refetch::Answered, 3),
        (UnknownKey, Refetch::NotDue, 3),
        (BadSignature, Refetch::NotDue, 3),
    ] {
        assert_eq!(issuer.keys.may_refetch(cause), outcome == Refetch::Answered);
        assert_eq!(issuer.keys.refetch(cause, PATIENCE).await, outcome, "{cause:?}");
        assert_eq!(idp.key_requests(), requests, "{cause:?}");
    }
}

#[tokio::test]
async fn so_many_wait_and_whoever_leaves_makes_room() {
    let idp = FakeIdp::start(&["old"]).await;
    let issuer = Running::tried(spec(&idp.issuer, idp.jwks_uri(), on_demand())).await;
    idp.keys(Answer::Hang);
    let mut waiting = JoinSet::new();
    let mut calls = Vec::new();
    for _ in 0..MAX_WAITING + 20 {
        let keys = Arc::clone(&issuer.keys);
        calls.push(waiting.spawn(async move { keys.refetch(UnknownKey, PATIENCE).await }));
    }
    for _ in 0..20 {
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), Refetch::Crowded);
    }
    let next = async || issuer.keys.refetch(UnknownKey, Duration::ZERO).await;
    assert_eq!(next().await, Refetch::Crowded);
    // Envoy resets a call.
    calls.iter().find(|call| !call.is_finished()).unwrap().abort();
    assert!(waiting.join_next().await.unwrap().unwrap_err().is_cancelled());
    assert_eq!(next().await, Refetch::StillUnderWay);
    assert_eq!(idp.key_requests(), 2);
}

/// The document that names the key set's place is not fetched anew while requests wait.
#[tokio::test]
async fn what_a_request_asks_for_is_one_fetch_however_old_the_discovery() {
    let idp = FakeIdp::start(&["old"]).await;
    let policy = FetchPolicy { refresh_min: Duration::ZERO, ..on_demand() };
    let issuer = Running::tried(spec(&idp.issuer, idp.discovery(), policy)).await;
    idp.keys(Answer::Json(200, jwks(&["new"])));
    assert_eq!(issuer.refetch().await, Refetch::Answered);
    assert_eq!((issuer.kids(), idp.metadata_requests()), (vec!["new".to_owned()], 1));
    // Unless it is no longer there: the next one looks where it has gone.
    idp.keys(Answer::Status(404));
    assert_eq!(issuer.refetch().await, Refetch::Failed);
    let moved =
        serde_json::json!({"issuer": idp.issuer, "jwks_uri": idp.url("/moved")}).to_string();
    idp.metadata(Answer::Text(moved));
    idp.keys(Answer::Json(200, jwks(&["there"])));
    assert_eq!(issuer.refetch().await, Refetch::Answered);
    assert_eq!((issuer.kids(), idp.metadata_requests()), (vec!["there".to_owned()], 2));
}

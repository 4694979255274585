//! Keys that survive a restart.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use doorward_core::clock::{Clock, SystemClock, UnixTime};
use doorward_core::keys::KeySource as _;

use super::fake_idp::{Answer, FakeIdp, jwks};
use super::{AN_HOUR, Running, eventually, on_demand, spec};
use crate::discovery::{
    Access, FetchPolicy, IssuerMetadata, KeysSpec, MetadataSpec, well_known_url,
};

struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }
}

fn kept_in(directory: &Path, idp: &FakeIdp) -> KeysSpec {
    let policy = FetchPolicy { cache_dir: Some(directory.to_owned()), ..on_demand() };
    spec(&idp.issuer, idp.discovery(), policy)
}

/// Runs once, until the keys are on disk, at this time.
async fn run_once(spec: KeysSpec, at: u64) {
    let directory = spec.policy.cache_dir.clone().unwrap();
    let clock = Arc::new(SetClock(at.into()));
    let issuer = Running::start_with(spec, None, None, clock);
    issuer.keys.tried().await;
    eventually("the keys are on disk", || file_in(&directory).is_some()).await;
}

fn file_in(directory: &Path) -> Option<std::path::PathBuf> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "json"))
}

#[tokio::test]
async fn keys_survive_a_restart_while_the_issuer_is_down() {
    let directory = tempfile::tempdir().unwrap();
    let mut idp = FakeIdp::start(&["a", "b"]).await;
    run_once(kept_in(directory.path(), &idp), 1000).await;
    idp.stop().await;
    let clock = Arc::new(SetClock(5000.into()));
    let issuer = Running::start_with(kept_in(directory.path(), &idp), None, None, clock);
    issuer.keys.tried().await;
    assert_eq!(issuer.kids(), ["a", "b"]);
    let status = issuer.keys.status();
    assert_eq!(status.obtained_at, Some(UnixTime(1000)), "as old as they are");
    assert_eq!(status.usable_until, Some(UnixTime(1000).plus(24 * AN_HOUR)));
    assert!(status.last_error.is_some());
}

#[tokio::test]
async fn what_is_kept_is_believed_only_until_the_issuer_answers() {
    let directory = tempfile::tempdir().unwrap();
    let idp = FakeIdp::start(&["withdrawn"]).await;
    run_once(kept_in(directory.path(), &idp), 1000).await;
    idp.keys(Answer::Json(200, jwks(&["new"])));
    let issuer = Running::tried(kept_in(directory.path(), &idp)).await;
    assert_eq!(issuer.kids(), ["new"]);
}

#[tokio::test]
async fn too_old_from_the_future_or_broken_is_as_if_nothing_were_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut idp = FakeIdp::start(&["a"]).await;
    let spec = kept_in(directory.path(), &idp);
    run_once(spec.clone(), 1000).await;
    idp.stop().await;
    let none_at = async |now: u64| {
        let clock = Arc::new(SetClock(now.into()));
        let issuer = Running::start_with(spec.clone(), None, None, clock);
        issuer.keys.tried().await;
        issuer.keys.snapshot().is_none()
    };
    assert!(!none_at(1000 + 24 * 3600 - 1).await);
    assert!(none_at(1000 + 24 * 3600).await);
    assert!(none_at(999).await);
    std::fs::write(file_in(directory.path()).unwrap(), "{").unwrap();
    assert!(none_at(1000).await);
}

#[tokio::test]
async fn metadata_survives_a_restart_too() {
    let directory = tempfile::tempdir().unwrap();
    let mut idp = FakeIdp::start(&[]).await;
    let spec = MetadataSpec {
        issuer: idp.issuer.clone(),
        url: well_known_url(&idp.issuer).unwrap(),
        access: Access::default(),
        timeout: super::PATIENCE,
        ttl: AN_HOUR,
        cache_dir: Some(directory.path().to_owned()),
    };
    for _ in 0..2 {
        let (metadata, work) = IssuerMetadata::new(spec.clone(), None, Arc::new(SystemClock));
        let mut task = tokio::task::JoinSet::new();
        task.spawn(work);
        metadata.tried().await;
        assert_eq!(metadata.current().unwrap().jwks_uri, idp.url("/keys"));
        eventually("it is on disk", || file_in(directory.path()).is_some()).await;
        idp.stop().await;
    }
}

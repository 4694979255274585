//! A bundle at a URL: fetched again and again, put in force when it is good, and kept on disk.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use doorward_core::clock::{Clock, UnixTime};
use http::HeaderValue;
use http::header::ETAG;
use tracing::{debug, info, warn};

use super::engine::{LoadFaults, Loaded};
use super::live::{InForce, LivePolicy, LoadCounts};
use super::spec::{BundleSpec, PolicySpec};
use crate::discovery::{
    Bounds, CacheFile, FetchError, Freshness, HttpFetcher, Schedule, SetupError, bare, shown,
};

/// Largest bundle that is fetched, in bytes.
const MAX_BUNDLE_BYTES: usize = 32 * 1024 * 1024;
/// The same on disk, where it is text.
const MAX_KEPT_BYTES: usize = MAX_BUNDLE_BYTES / 3 * 4 + 64 * 1024;

/// Keeps the newest good bundle in force.
pub(super) struct Keeper {
    live: Arc<LivePolicy>,
    spec: BundleSpec,
    counts: Arc<LoadCounts>,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    http: Option<HttpFetcher>,
    cache: Option<CacheFile>,
    seen: Option<Seen>,
}

/// The last bundle that came, and what became of it.
struct Seen {
    etag: Option<HeaderValue>,
    digest: digest::Digest,
    refused: Option<LoadFaults>,
}

/// Why no bundle was put in force.
#[derive(Debug, thiserror::Error)]
enum BundleError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the bundle is refused: {0}")]
    Refused(#[from] LoadFaults),
    #[error("the runtime is stopping")]
    Stopping,
}

impl Keeper {
    /// `None`: there is no bundle to fetch.
    pub(super) fn new(
        live: &Arc<LivePolicy>,
        counts: Arc<LoadCounts>,
        clock: Arc<dyn Clock>,
    ) -> Option<Self> {
        let PolicySpec::Bundle(spec) = live.spec() else { return None };
        let BundleSpec { poll, url, cache_dir, .. } = spec;
        let cache = cache_dir.as_deref().map(|directory| {
            CacheFile::new(directory, "bundle", "policy", &bare(url)).up_to(MAX_KEPT_BYTES)
        });
        Some(Self {
            schedule: Schedule::new(Bounds { min: *poll, max: *poll, default: *poll }),
            live: Arc::clone(live),
            spec: spec.clone(),
            counts,
            clock,
            http: None,
            cache,
            seen: None,
        })
    }

    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        if !self.live.has_any() {
            self.recall().await;
        }
        loop {
            let pause = match self.attempt().await {
                Ok(()) => self.succeed(),
                Err(error) => self.fail(&error),
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn succeed(&mut self) -> Duration {
        if self.live.finish(None) {
            info!(source = self.source(), "the policy bundle is as it should be again");
        }
        self.schedule.after_success(Freshness::Unstated)
    }

    /// A failure is said aloud when it is new.
    fn fail(&mut self, error: &BundleError) -> Duration {
        let pause = match error {
            // It came. What is wrong with it does not mend itself in a second.
            BundleError::Refused(_) => {
                self.counts.refused();
                self.schedule.after_success(Freshness::Unstated)
            }
            BundleError::Fetch(fetch) => {
                self.counts.error();
                self.schedule.after_failure(fetch.retry_after())
            }
            BundleError::Setup(_) | BundleError::Stopping => {
                self.counts.error();
                self.schedule.after_failure(None)
            }
        };
        let (source, text) = (self.source(), error.to_string());
        let is_new = self.live.finish(Some(text.clone()));
        let goes_on = if self.live.has_any() {
            "the last good one stays in use"
        } else {
            "there is none: requests are answered with 503 policy_unavailable"
        };
        if is_new {
            warn!(source, error = text, next = ?pause, "no new policy bundle: {goes_on}");
        } else {
            debug!(source, error = text, next = ?pause, "still no new policy bundle: {goes_on}");
        }
        pause
    }

    async fn attempt(&mut self) -> Result<(), BundleError> {
        let etag = self.seen.as_ref().and_then(|seen| seen.etag.clone());
        let http = match self.http.take() {
            Some(http) => http,
            None => {
                let made = HttpFetcher::new(&self.spec.access, self.spec.timeout).await?;
                made.up_to(MAX_BUNDLE_BYTES)
            }
        };
        let newer = http.get_newer(&self.spec.url, etag.as_ref()).await?;
        // Made anew after each failure: the CA file may have been renewed.
        self.http = Some(http);
        let Some(document) = newer else { return self.again() };
        let sum = digest::digest(&digest::SHA256, &document.body);
        let etag = document.header.get(ETAG).cloned();
        if let Some(seen) = &mut self.seen
            && seen.digest.as_ref() == sum.as_ref()
        {
            seen.etag = etag;
            return self.again();
        }
        let loaded = self.load(document.body.clone()).await;
        let refused = loaded.as_ref().err().cloned();
        self.seen = Some(Seen { etag, digest: sum, refused });
        self.put_in_force(loaded?, false, self.clock.now());
        self.counts.loaded();
        self.keep(&document.body).await;
        Ok(())
    }

    /// The last bundle came again.
    fn again(&self) -> Result<(), BundleError> {
        match self.seen.as_ref().and_then(|seen| seen.refused.clone()) {
            Some(refused) => Err(refused.into()),
            None => {
                self.live.confirm(self.clock.now());
                self.counts.unchanged();
                Ok(())
            }
        }
    }

    /// Reads and compiles a bundle, away from the runtime's thread: that takes seconds for a large
    /// one.
    async fn load(&self, archive: Bytes) -> Result<Loaded, LoadFaults> {
        let BundleSpec { engine, key, .. } = self.spec.clone();
        let source = self.source();
        let load = move || engine.load_bundle(&source, &archive, key.as_deref());
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.unwrap_or_else(|_| Err(LoadFaults(vec![BundleError::Stopping.to_string()])))
    }

    fn put_in_force(&self, loaded: Loaded, from_disk: bool, at: UnixTime) {
        let (source, revision) = (self.source(), loaded.revision.clone());
        for remark in &loaded.remarks {
            warn!(source, "{remark}");
        }
        self.live.put_in_force(InForce::new(loaded, at));
        info!(source, revision, from_disk, "policy bundle loaded");
    }

    async fn keep(&self, archive: &[u8]) {
        if let Some(cache) = &self.cache
            && let Err(error) =
                cache.store(BASE64.encode(archive).as_bytes(), self.clock.now()).await
        {
            warn!(source = self.source(), %error, "the policy bundle is not kept on disk");
        }
    }

    /// Takes the bundle that was kept on disk, if it is as good as one that is fetched.
    async fn recall(&mut self) {
        let Some(cache) = &self.cache else { return };
        let kept = match cache.load().await {
            Ok(None) => return,
            Ok(Some(kept)) => kept,
            Err(error) => return self.ignore_kept(&error),
        };
        let archive = match BASE64.decode(&kept.document) {
            Ok(archive) => Bytes::from(archive),
            Err(error) => return self.ignore_kept(&error),
        };
        match self.load(archive).await {
            Ok(loaded) => {
                self.put_in_force(loaded, true, kept.obtained_at.min(self.clock.now()));
            }
            Err(error) => self.ignore_kept(&error),
        }
    }

    fn ignore_kept(&self, error: &dyn std::error::Error) {
        warn!(source = self.source(), %error, "the policy bundle kept on disk is ignored");
    }

    fn source(&self) -> String {
        shown(&self.spec.url)
    }
}

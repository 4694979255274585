//! The discovery document of one issuer, kept at hand for whoever logs people in: the last good one,
//! stale rather than none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use doorward_core::clock::{Clock, UnixTime};
use tracing::info;
use url::Url;

use super::cache_file::CacheFile;
use super::freshness::Freshness;
use super::http::{RenewedFetcher, bare, shown};
use super::location::Access;
use super::metadata::Metadata;
use super::obtain_error::ObtainError;
use super::refetch_limiter::RoundEnd;
use super::refresher::{Attempt, Progress, Published, Refresher};
use super::schedule::Bounds;

/// All that decides how the metadata of one issuer is obtained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataSpec {
    /// The issuer, as configured.
    pub issuer: String,
    /// Where its document is; see [`well_known_url`](super::well_known_url).
    pub url: Url,
    /// How to get there.
    pub access: Access,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How long a document is believed before it is fetched again.
    pub ttl: Duration,
    /// A directory where it survives a restart.
    pub cache_dir: Option<PathBuf>,
}

/// The metadata of one issuer, kept fresh by a task of its own.
#[derive(Debug)]
pub struct IssuerMetadata {
    spec: MetadataSpec,
    current: ArcSwapOption<Metadata>,
    progress: Progress,
}

impl IssuerMetadata {
    /// The metadata of one issuer, and the task that obtains it and keeps it fresh; the task never
    /// completes and may be dropped at any point.
    ///
    /// `predecessor` hands over what it has if it is about the same issuer and URL.
    pub fn new(
        spec: MetadataSpec,
        predecessor: Option<&Self>,
        clock: Arc<dyn Clock>,
    ) -> (Arc<Self>, impl Future<Output = ()> + Send + 'static + use<>) {
        let heritage = predecessor
            .filter(|one| (&one.spec.issuer, &one.spec.url) == (&spec.issuer, &spec.url))
            .and_then(Self::current);
        let bounds = Bounds { min: spec.ttl, max: spec.ttl, default: spec.ttl };
        let cache = spec
            .cache_dir
            .as_deref()
            .map(|directory| CacheFile::new(directory, "metadata", &spec.issuer, &bare(&spec.url)));
        let http = RenewedFetcher::new(spec.access.clone(), spec.timeout);
        let this = Arc::new(Self {
            // Nobody asks for a document: a request has no use for a newer one.
            progress: Progress::new(&spec.issuer, spec.ttl),
            current: ArcSwapOption::new(heritage),
            spec,
        });
        let fetcher = MetadataFetcher { metadata: Arc::clone(&this), http };
        // Made here and not inside the future: it tells those who wait even when it is never polled.
        let refresher = Refresher::new(fetcher, bounds, cache, clock);
        (this, refresher.run())
    }

    /// What this was built from.
    #[must_use]
    pub fn spec(&self) -> &MetadataSpec {
        &self.spec
    }

    /// The last good document, however old; `None` when there never was one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Metadata>> {
        self.current.load_full()
    }

    /// Why the last attempt failed; `None` when it did not.
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<ObtainError>> {
        self.progress.last_error.load_full()
    }

    /// Waits until the first attempt is over, whatever came of it.
    pub async fn tried(&self) {
        self.progress.limiter.over(1).await;
    }
}

struct MetadataFetcher {
    metadata: Arc<IssuerMetadata>,
    http: RenewedFetcher,
}

impl Published for MetadataFetcher {
    const NAME: &'static str = "discovery document";
    type Document = Metadata;

    fn progress(&self) -> &Progress {
        &self.metadata.progress
    }

    fn in_force(&self) -> Option<usize> {
        self.metadata.current.load().as_ref().map(|_| 1)
    }

    async fn fetch(&mut self, _: Attempt) -> Result<(Bytes, Freshness), ObtainError> {
        // How long it is believed is configured, whatever the issuer says.
        Ok((self.http.get(&self.metadata.spec.url).await?.body, Freshness::Unstated))
    }

    fn parse(&self, document: &[u8]) -> Result<Metadata, ObtainError> {
        let MetadataSpec { issuer, url, .. } = &self.metadata.spec;
        Ok(Metadata::parse(document, issuer, url)?)
    }

    fn accept(
        &mut self,
        document: Metadata,
        why: Attempt,
        _: UnixTime,
    ) -> Result<RoundEnd, ObtainError> {
        let IssuerMetadata { spec, current, .. } = &*self.metadata;
        if current.load().as_ref().is_some_and(|before| **before == document) {
            return Ok(RoundEnd::Unchanged);
        }
        let from_disk = why == Attempt::Recalled;
        info!(
            issuer = spec.issuer,
            url = shown(&spec.url),
            from_disk,
            "discovery document obtained"
        );
        current.store(Some(Arc::new(document)));
        Ok(RoundEnd::New)
    }
}

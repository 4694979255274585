//! The discovery document of one issuer, kept at hand for whoever logs people in: the
//! last good one, stale rather than none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use doorward_core::clock::{Clock, UnixTime};
use tokio::sync::watch;
use tracing::{debug, info, warn};
use url::Url;

use super::cache_file::CacheFile;
use super::freshness::Freshness;
use super::http::{HttpFetcher, bare, shown};
use super::location::Access;
use super::metadata::Metadata;
use super::origin::ObtainError;
use super::schedule::{Bounds, Schedule};

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
    current: ArcSwapOption<Published>,
    last_error: ArcSwapOption<ObtainError>,
    tried: watch::Sender<bool>,
}

/// Metadata and its age.
#[derive(Clone, Debug)]
pub struct Published {
    /// What the issuer said.
    pub metadata: Metadata,
    /// When.
    pub obtained_at: UnixTime,
}

impl IssuerMetadata {
    /// The metadata of one issuer, and the task that obtains it and keeps it fresh; the
    /// task never completes and may be dropped at any point.
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
        let this = Arc::new(Self {
            spec,
            current: ArcSwapOption::new(heritage),
            last_error: ArcSwapOption::empty(),
            tried: watch::Sender::new(false),
        });
        // Made here and not inside the future, as those who wait need its end even when
        // it is never polled.
        let refresher = Refresher::new(Arc::clone(&this), clock);
        (this, refresher.run())
    }

    /// What this was built from.
    #[must_use]
    pub fn spec(&self) -> &MetadataSpec {
        &self.spec
    }

    /// The last good document, however old; `None` when there never was one.
    #[must_use]
    pub fn current(&self) -> Option<Arc<Published>> {
        self.current.load_full()
    }

    /// Why the last attempt failed; `None` when it did not.
    #[must_use]
    pub fn last_error(&self) -> Option<Arc<ObtainError>> {
        self.last_error.load_full()
    }

    /// Waits until the first attempt is over, whatever came of it.
    pub async fn tried(&self) {
        // Cannot fail while we borrow the sender.
        let _ = self.tried.subscribe().wait_for(|tried| *tried).await;
    }
}

struct Refresher {
    metadata: Arc<IssuerMetadata>,
    clock: Arc<dyn Clock>,
    schedule: Schedule,
    http: Option<HttpFetcher>,
    cache: Option<CacheFile>,
}

impl Refresher {
    fn new(metadata: Arc<IssuerMetadata>, clock: Arc<dyn Clock>) -> Self {
        let spec = &metadata.spec;
        let cache = spec
            .cache_dir
            .as_deref()
            .map(|directory| CacheFile::new(directory, "metadata", &spec.issuer, &bare(&spec.url)));
        let schedule = Schedule::new(Bounds { min: spec.ttl, max: spec.ttl, default: spec.ttl });
        Self { metadata, clock, schedule, http: None, cache }
    }

    async fn run(mut self) {
        self.recall().await;
        loop {
            let pause = match self.fetch().await {
                Ok(()) => self.schedule.after_success(Freshness::Unstated),
                Err(error) => self.fail(error),
            };
            self.metadata.tried.send_replace(true);
            tokio::time::sleep(pause).await;
        }
    }

    async fn fetch(&mut self) -> Result<(), ObtainError> {
        let spec = &self.metadata.spec;
        let http = match self.http.take() {
            Some(http) => http,
            None => HttpFetcher::new(&spec.access, spec.timeout).await?,
        };
        let answer = http.get(&spec.url).await?;
        let metadata = Metadata::parse(&answer.body, &spec.issuer, &spec.url)?;
        // Only kept after a success: a failure may be due to an outdated CA file.
        self.http = Some(http);
        let obtained_at = self.clock.now();
        let news = self.metadata.current().is_none_or(|before| before.metadata != metadata);
        if news {
            info!(issuer = spec.issuer, url = shown(&spec.url), "discovery document obtained");
        }
        self.metadata.current.store(Some(Arc::new(Published { metadata, obtained_at })));
        self.metadata.last_error.store(None);
        self.metadata.tried.send_replace(true);
        if let Some(cache) = &self.cache
            && news
            && let Err(error) = cache.store(&answer.body, obtained_at).await
        {
            warn!(issuer = spec.issuer, %error, "the discovery document was not kept on disk");
        }
        Ok(())
    }

    fn fail(&mut self, error: ObtainError) -> Duration {
        let pause = self.schedule.after_failure(error.retry_after());
        let (issuer, text) = (&self.metadata.spec.issuer, error.to_string());
        let known = self.metadata.last_error().is_some_and(|last| last.to_string() == text);
        if known {
            debug!(issuer, error = text, next = ?pause, "discovery document still not obtained");
        } else {
            warn!(issuer, error = text, next = ?pause, "discovery document not obtained");
        }
        self.metadata.last_error.store(Some(Arc::new(error)));
        pause
    }

    /// Takes the document kept on disk, of whatever age: endpoints hardly ever move, and
    /// nothing is trusted because of them.
    async fn recall(&mut self) {
        let (Some(cache), None) = (&self.cache, self.metadata.current()) else {
            return;
        };
        let spec = &self.metadata.spec;
        let read = match cache.load().await {
            Ok(None) => return,
            Ok(Some(kept)) => Metadata::parse(kept.document.as_bytes(), &spec.issuer, &spec.url)
                .map(|metadata| Published { metadata, obtained_at: kept.obtained_at })
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(published) => self.metadata.current.store(Some(Arc::new(published))),
            Err(error) => {
                let issuer = &spec.issuer;
                warn!(issuer, error, "the discovery document kept on disk is ignored");
            }
        }
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.metadata.tried.send_replace(true);
    }
}

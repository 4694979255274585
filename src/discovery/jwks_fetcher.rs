//! How the key set of one issuer is obtained and put in force, time after time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward_core::clock::{Clock, UnixTime};
use doorward_core::keys::{KeySet, KeySource};
use tracing::{error, info};
use url::Url;

use super::cache_file::CacheFile;
use super::emptied::{EmptyReads, EmptySet};
use super::freshness::Freshness;
use super::http::{MAX_DOCUMENT_BYTES, RenewedFetcher, bare};
use super::issuer_keys::IssuerKeys;
use super::left_out::LeftOutKeys;
use super::location::{KeyLocation, KeysSpec};
use super::metadata::Metadata;
use super::obtain_error::ObtainError;
use super::refetch_limiter::RoundEnd;
use super::refresher::{Attempt, Progress, Published, Refresher};
use super::schedule::Bounds;
use crate::regular_file::read_file_apart;

/// How often a key file is read. Reading a few kilobytes is cheaper than being sure that nothing
/// changed: times of files are coarse, and a mounted ConfigMap changes by a link.
const FILE_POLL: Duration = Duration::from_secs(5);

/// The keys of one issuer, and the task that obtains them and keeps them fresh.
///
/// Nothing is obtained before the task runs. It must run on a runtime with I/O and time, never
/// completes, and may be dropped at any point: whoever waits is then told. Requests may wait on any
/// other runtime that has time enabled.
///
/// `lender` serves until the issuer's own keys were obtained once. `predecessor` hands over what it
/// has if it is about the same issuer and location, so that a changed setting does not cost the keys.
pub fn keys_of(
    spec: KeysSpec,
    lender: Option<Arc<dyn KeySource>>,
    predecessor: Option<&IssuerKeys>,
    clock: Arc<dyn Clock>,
) -> (Arc<IssuerKeys>, impl Future<Output = ()> + Send + 'static + use<>) {
    let keys = Arc::new(IssuerKeys::new(spec, lender, predecessor, clock.now()));
    // Made here and not inside the future: it tells those who wait even when it is never polled.
    let refresher = JwksFetcher::refresher(&keys, clock);
    let work = async move {
        match refresher {
            Some(refresher) => refresher.run().await,
            None => std::future::pending().await,
        }
    };
    (keys, work)
}

/// Obtains the key set of one issuer, from wherever it is.
struct JwksFetcher {
    keys: Arc<IssuerKeys>,
    http: RenewedFetcher,
    discovered: Option<Discovered>,
    empty_reads: EmptyReads,
    left_out: LeftOutKeys,
}

/// What discovery said, so that what a request asks for costs one request and not two.
struct Discovered {
    jwks_uri: Url,
    at: Instant,
}

impl JwksFetcher {
    /// The task; `None` where there is nothing to obtain.
    fn refresher(keys: &Arc<IssuerKeys>, clock: Arc<dyn Clock>) -> Option<Refresher<Self>> {
        let spec = keys.spec();
        let policy = &spec.policy;
        let published = Bounds {
            min: policy.refresh_min,
            max: policy.refresh_max,
            default: policy.refresh_default,
        };
        let poll = FILE_POLL.min(policy.refresh_min);
        let (bounds, place) = match &spec.location {
            KeyLocation::Inline(_) | KeyLocation::Borrowed => return None,
            KeyLocation::File(_) => (Bounds { min: poll, max: poll, default: poll }, None),
            KeyLocation::Discovery(url) => (published, Some(("discovery", url))),
            KeyLocation::JwksUri(url) => (published, Some(("jwks_uri", url))),
        };
        let cache = policy.cache_dir.as_deref().zip(place).map(|(directory, (how, url))| {
            CacheFile::new(directory, "keys", &spec.issuer, &format!("{how} {}", bare(url)))
        });
        let fetcher = Self {
            keys: Arc::clone(keys),
            http: RenewedFetcher::new(spec.access.clone(), policy.timeout),
            discovered: None,
            empty_reads: EmptyReads::default(),
            left_out: LeftOutKeys::default(),
        };
        Some(Refresher::new(fetcher, bounds, cache, clock))
    }

    /// Requests wait for no more than the key set. A move is noticed at the next scheduled attempt,
    /// or when nothing is found at the old place.
    async fn jwks_uri(&mut self, discovery: &Url, why: Attempt) -> Result<Url, ObtainError> {
        let KeysSpec { issuer, policy, .. } = self.keys.spec();
        if let Some(known) = &self.discovered
            && (why == Attempt::AskedFor || known.at.elapsed() < policy.refresh_min)
        {
            return Ok(known.jwks_uri.clone());
        }
        self.discovered = None;
        let answer = self.http.get(discovery).await?;
        let jwks_uri = Metadata::parse(&answer.body, issuer, discovery)?.jwks_uri;
        self.discovered = Some(Discovered { jwks_uri: jwks_uri.clone(), at: Instant::now() });
        Ok(jwks_uri)
    }

    /// Whether a key set without usable keys is what the issuer wants.
    fn believes_empty(&mut self, why: Attempt) -> bool {
        if self.in_force() == Some(0) {
            return true;
        }
        let policy = self.keys.spec().policy.empty_set;
        match why {
            // It was believed once.
            Attempt::Recalled => policy != EmptySet::Keep,
            Attempt::AskedFor => false,
            // Until its own discovery has worked, an issuer borrows.
            Attempt::Scheduled => {
                self.empty_reads.another(policy, Instant::now()) && !self.keys.borrows()
            }
        }
    }
}

impl Published for JwksFetcher {
    const NAME: &'static str = "keys";
    type Document = KeySet;

    fn progress(&self) -> &Progress {
        self.keys.progress()
    }

    fn in_force(&self) -> Option<usize> {
        self.keys.own().map(|own| own.set().keys().len())
    }

    fn max_age(&self) -> Duration {
        self.keys.spec().policy.max_stale
    }

    async fn fetch(&mut self, why: Attempt) -> Result<(Bytes, Freshness), ObtainError> {
        let keys = Arc::clone(&self.keys);
        let KeysSpec { location, policy, .. } = keys.spec();
        let jwks_uri = match location {
            KeyLocation::File(path) => {
                let read = file(path.clone(), policy.timeout).await?;
                return Ok((read, Freshness::Unstated));
            }
            KeyLocation::Discovery(url) => self.jwks_uri(url, why).await?,
            KeyLocation::JwksUri(url) => url.clone(),
            KeyLocation::Inline(_) | KeyLocation::Borrowed => {
                return Err(ObtainError::NotPublished);
            }
        };
        // Remembered again after a success only: the key set may have moved.
        let discovered = self.discovered.take();
        let answer = self.http.get(&jwks_uri).await?;
        self.discovered = discovered;
        Ok((answer.body, Freshness::of(&answer.header)))
    }

    fn parse(&self, document: &[u8]) -> Result<KeySet, ObtainError> {
        Ok(KeySet::parse(document)?)
    }

    fn accept(
        &mut self,
        set: KeySet,
        why: Attempt,
        obtained_at: UnixTime,
    ) -> Result<RoundEnd, ObtainError> {
        if !set.keys().is_empty() {
            self.empty_reads.forget();
        } else if !self.believes_empty(why) {
            return Err(ObtainError::no_usable_key(&set));
        }
        let issuer = &self.keys.spec().issuer;
        self.left_out.warn(issuer, &set);
        let before = self.keys.own();
        let after = self.keys.accept(set, obtained_at);
        let keys = after.set().keys().len();
        Ok(match &before {
            Some(before) if before.id() == after.id() => RoundEnd::Unchanged,
            Some(_) | None if keys == 0 => {
                error!(
                    issuer,
                    "the issuer has withdrawn all its keys: every scheduled read found a key set \
                     without usable keys. Its tokens are refused (unknown_key) until it publishes \
                     one again; keys.empty_set: keep would go on using the last ones"
                );
                RoundEnd::Withdrawn
            }
            Some(before) => {
                let added = kids_only_in(after.set(), before.set());
                let removed = kids_only_in(before.set(), after.set());
                info!(issuer, keys, ?added, ?removed, "keys changed");
                RoundEnd::New
            }
            None => {
                let from_disk = why == Attempt::Recalled;
                info!(issuer, keys, from_disk, "keys obtained");
                RoundEnd::New
            }
        })
    }

    /// An emptied set is looked at again when its time is over, not long after.
    fn longest_pause(&self, error: &ObtainError) -> Duration {
        let policy = self.keys.spec().policy.empty_set;
        let rest = self.empty_reads.rest(policy, Instant::now());
        rest.filter(|_| error.is_of_empty_set()).unwrap_or(Duration::MAX)
    }
}

/// Reads a key file, in bounds of size and time: it might be a pipe or on a dead mount.
async fn file(path: PathBuf, timeout: Duration) -> Result<Bytes, ObtainError> {
    let read = read_file_apart(path.clone(), MAX_DOCUMENT_BYTES);
    match tokio::time::timeout(timeout, read).await {
        Err(_) => Err(ObtainError::FileTimedOut { path, within: timeout }),
        Ok(Err(cause)) => Err(ObtainError::File { path, cause }),
        Ok(Ok(document)) => Ok(document.into()),
    }
}

fn kids_only_in<'s>(set: &'s KeySet, other: &KeySet) -> Vec<&'s str> {
    let others: BTreeSet<_> = other.keys().iter().filter_map(|key| key.kid()).collect();
    set.keys().iter().filter_map(|key| key.kid()).filter(|kid| !others.contains(kid)).collect()
}

//! Documents that somebody else fetches: the program that Doorward runs inside of, with its own
//! connections, TLS and limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use tokio::sync::oneshot;
use url::Url;

/// Has requests sent, by a program that knows clusters.
pub trait Carrier: Send + Sync {
    /// Takes a request, and returns at once. A call that is dropped without an answer has failed.
    fn carry(&self, call: Call);
}

/// A cluster, and who sends requests to it. Two with one name are equal: there is one carrier.
#[derive(Clone)]
pub struct Cluster {
    name: String,
    carrier: Arc<dyn Carrier>,
}

/// A `GET` on its way.
#[derive(Debug)]
pub struct Call {
    /// Where to send it.
    pub cluster: String,
    /// What to ask for: host, path and query count.
    pub url: Url,
    /// Headers besides those.
    pub headers: HeaderMap,
    /// How long it may take.
    pub timeout: Duration,
    answer: oneshot::Sender<Result<Answer, CarrierFault>>,
}

/// What was answered.
pub type Answer = ::http::Response<Bytes>;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarrierFault {
    /// It has no cluster of that name.
    #[error("there is no such cluster")]
    NoCluster,
    /// No request could be made: no healthy host.
    #[error("the cluster has no host that takes requests")]
    NoHost,
    /// The request was sent, and the connection lost.
    #[error("the connection was lost, or there was no answer in time")]
    Reset,
    /// The answer is larger than the program reads.
    #[error("the answer is larger than Envoy reads")]
    TooLarge,
    /// Nobody is there any more who could say.
    #[error("the listener with the filter was removed")]
    Gone,
}

impl Cluster {
    /// The cluster of this name, reached by `carrier`.
    #[must_use]
    pub fn new(name: impl Into<String>, carrier: Arc<dyn Carrier>) -> Self {
        Self { name: name.into(), carrier }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) async fn get(
        &self,
        url: &Url,
        headers: HeaderMap,
        timeout: Duration,
    ) -> Result<Answer, CarrierFault> {
        let (answer, answered) = oneshot::channel();
        let (cluster, url) = (self.name.clone(), url.clone());
        self.carrier.carry(Call { cluster, url, headers, timeout, answer });
        answered.await.unwrap_or(Err(CarrierFault::Gone))
    }
}

impl Call {
    /// Hands over what came of it.
    pub fn answer(self, answer: Result<Answer, CarrierFault>) {
        // Whoever asked may have given up.
        let _ = self.answer.send(answer);
    }
}

impl PartialEq for Cluster {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Cluster {}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cluster").field(&self.name).finish()
    }
}

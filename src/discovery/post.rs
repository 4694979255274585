//! The HTTP client sending a body: what logging in needs besides fetching documents.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use url::Url;

use super::fetch_error::{FetchError, FetchErrorKind};
use super::http::{HttpFetcher, read, retry_after, shown};

/// An answer of any status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status, redirects included: what was sent may hold a password, and is not sent
    /// again to wherever an answer points.
    pub status: StatusCode,
    /// The headers of the answer.
    pub header: HeaderMap,
    /// At most 1 MiB, or what the fetcher takes.
    pub body: Bytes,
}

impl Reply {
    /// How long the other side asks to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        retry_after(&self.header)
    }
}

impl HttpFetcher {
    /// Sends `body` to `url` by POST, once.
    ///
    /// # Errors
    /// There was no complete answer. One with any status is an answer.
    pub async fn post(
        &self,
        url: &Url,
        header: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Reply, FetchError> {
        let exchange = async {
            let request = self.client_for(url)?.post(url.clone()).headers(header).body(body);
            let response = request.send().await?;
            let (status, header) = (response.status(), response.headers().clone());
            Ok(Reply { status, header, body: read(response, self.most_bytes).await? })
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .unwrap_or(Err(FetchErrorKind::TimedOut(self.timeout)))
            .map_err(|kind| FetchError { url: shown(url), kind })
    }
}

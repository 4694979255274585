//! Questions to an OPA: so many at once, each with its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use doorward_core::clock::{Clock, UnixTime};
use doorward_core::policy::{
    Consulted, Inquiry, Policy, PolicyAnswer, PolicyFault, PolicyQuestion, Verdict,
};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::warn;

use super::spec::OpaSpec;
use crate::discovery::{
    BearerError, FetchError, HttpFetcher, Obstacle, Reply, SetupError, answer_all, shown,
};

/// So many requests wait for an answer at once.
const PLACES: usize = 256;
/// Between two lines in the log.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// Puts requests to an OPA. The questions are sent by a task of its own, since those who wait for the
/// answers live on other runtimes; it ends when this is dropped.
pub(super) struct Opa {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    questions: mpsc::UnboundedSender<Question>,
}

struct Shared {
    spec: OpaSpec,
    clock: Arc<dyn Clock>,
    http: ArcSwapOption<HttpFetcher>,
    last_error: Arc<ArcSwapOption<String>>,
    warned_at: AtomicU64,
}

/// A question on its way: one body for each way that the path is read.
struct Question {
    bodies: Vec<Vec<u8>>,
    answer: oneshot::Sender<PolicyAnswer>,
    _place: OwnedSemaphorePermit,
}

/// Why there is no verdict. What an answer holds is not in the text: it may be of the token.
#[derive(Debug, thiserror::Error)]
enum OpaError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Bearer(#[from] BearerError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{url}: it answered with status {status}{}", code.as_ref().map_or(String::new(), |code| format!(" ({code})")))]
    Status { url: String, status: StatusCode, code: Option<String> },
    #[error("{url}: it answered, and not with a JSON object")]
    NotJson { url: String },
    #[error("{url}: {fault}")]
    Result { url: String, fault: PolicyFault },
    #[error("{url}: no answer within {within:?}")]
    TookTooLong { url: String, within: Duration },
}

impl OpaError {
    fn fault(&self) -> PolicyFault {
        match self {
            Self::Setup(_) | Self::Bearer(_) | Self::Fetch(_) => PolicyFault::NoAnswer,
            Self::Status { .. } => PolicyFault::Failed,
            Self::NotJson { .. } => PolicyFault::NotAVerdict,
            Self::Result { fault, .. } => *fault,
            Self::TookTooLong { .. } => PolicyFault::TookTooLong,
        }
    }
}

impl Opa {
    /// One that asks as `spec` has it, and the task that sends its questions.
    pub(super) fn new(
        spec: OpaSpec,
        clock: Arc<dyn Clock>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (questions, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            spec,
            clock,
            http: ArcSwapOption::empty(),
            last_error: Arc::default(),
            warned_at: AtomicU64::new(0),
        });
        let task = send_all(Arc::clone(&shared), queue);
        (Self { shared, places: Arc::new(Semaphore::new(PLACES)), questions }, task)
    }

    pub(super) fn last_error(&self) -> &Arc<ArcSwapOption<String>> {
        &self.shared.last_error
    }
}

impl Policy for Opa {
    fn consult(&self, question: &PolicyQuestion<'_>) -> Consulted {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Consulted::Answered(Err(PolicyFault::Crowded));
        };
        let body = |path: &str| json!({"input": question.input(path)}).to_string().into_bytes();
        let bodies = question.paths().map(|path| body(&path)).collect();
        let (shared, questions) = (Arc::clone(&self.shared), self.questions.clone());
        Consulted::Later(Inquiry::new(move |wait| async move {
            let (answer, answered) = oneshot::channel();
            let question = Question { bodies, answer, _place: place };
            questions.send(question).map_err(|_| PolicyFault::NoAnswer)?;
            let within = wait.min(shared.spec.timeout);
            match tokio::time::timeout(within, answered).await {
                Ok(answer) => answer.unwrap_or(Err(PolicyFault::NoAnswer)),
                Err(_) => {
                    let url = shown(&shared.spec.url);
                    Err(shared.failed(&OpaError::TookTooLong { url, within }))
                }
            }
        }))
    }

    fn reasons(&self, _: &PolicyQuestion<'_>) -> Vec<String> {
        vec![format!(
            "the OPA at {} decides; its decision log says why",
            shown(&self.shared.spec.url)
        )]
    }
}

async fn send_all(shared: Arc<Shared>, queue: mpsc::UnboundedReceiver<Question>) {
    // The first request does not wait for certificates to be read.
    if let Err(error) = shared.http().await {
        shared.failed(&error);
    }
    answer_all(queue, |question| Arc::clone(&shared).answer(question)).await;
}

impl Shared {
    async fn answer(self: Arc<Self>, question: Question) {
        let Question { bodies, mut answer, _place } = question;
        let given = tokio::select! {
            given = self.ask_all(bodies) => given,
            // Nobody waits any more.
            () = answer.closed() => return,
        };
        let given = match given {
            Ok(verdict) => {
                if self.last_error.load().is_some() {
                    self.last_error.store(None);
                }
                Ok(verdict)
            }
            Err(error) => Err(self.failed(&error)),
        };
        let _ = answer.send(given);
    }

    /// The first refusal, or what is said of the path as it stands.
    async fn ask_all(&self, bodies: Vec<Vec<u8>>) -> Result<Verdict, OpaError> {
        let mut first = None;
        for body in bodies {
            let verdict = self.ask(body).await?;
            if !verdict.is_allowed() {
                return Ok(verdict);
            }
            first.get_or_insert(verdict);
        }
        first.ok_or_else(|| self.result(PolicyFault::NoAnswer))
    }

    async fn ask(&self, body: Vec<u8>) -> Result<Verdict, OpaError> {
        let reply = match self.post(body.clone()).await {
            // An idle connection that OPA closed as we took it. To ask again changes nothing there.
            Err(OpaError::Fetch(error)) if error.obstacle() == Some(Obstacle::Broken) => {
                self.post(body).await?
            }
            reply => reply?,
        };
        let url = || shown(&self.spec.url);
        if reply.status != StatusCode::OK {
            let (status, code) = (reply.status, error_code(&reply.body));
            return Err(OpaError::Status { url: url(), status, code });
        }
        let answer: Map<String, Value> =
            serde_json::from_slice(&reply.body).map_err(|_| OpaError::NotJson { url: url() })?;
        let result = answer.get("result").ok_or_else(|| self.result(PolicyFault::Undefined))?;
        Verdict::from_json(result).map_err(|fault| self.result(fault))
    }

    async fn post(&self, body: Vec<u8>) -> Result<Reply, OpaError> {
        let OpaSpec { url, access, .. } = &self.spec;
        let http = self.http().await?;
        let mut header = HeaderMap::new();
        header.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(bearer) = &access.key_bearer
            && let Some(value) = bearer.for_request(url).await?
        {
            header.insert(AUTHORIZATION, value);
        }
        let reply = http.post(url, header, body).await;
        if let Err(error) = &reply
            && error.obstacle().is_some_and(Obstacle::is_of_tls)
        {
            // The files that it read may be others by now.
            self.http.store(None);
        }
        Ok(reply?)
    }

    async fn http(&self) -> Result<Arc<HttpFetcher>, OpaError> {
        if let Some(http) = self.http.load_full() {
            return Ok(http);
        }
        let http = HttpFetcher::new(&self.spec.access, self.spec.timeout).await?;
        http.prepare(&self.spec.url)?;
        let http = Arc::new(http);
        self.http.store(Some(Arc::clone(&http)));
        Ok(http)
    }

    fn result(&self, fault: PolicyFault) -> OpaError {
        OpaError::Result { url: shown(&self.spec.url), fault }
    }

    /// Takes note of a question without a verdict.
    fn failed(&self, error: &OpaError) -> PolicyFault {
        let now = self.clock.now();
        let warned_at = UnixTime(self.warned_at.load(Ordering::Relaxed));
        if now.since(warned_at) >= BETWEEN_WARNINGS {
            self.warned_at.store(now.0, Ordering::Relaxed);
            warn!(%error, "OPA does not decide");
        }
        self.last_error.store(Some(Arc::new(error.to_string())));
        error.fault()
    }
}

/// The code of an error in OPA's words: `internal_error`.
fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let code = body.get("code")?.as_str()?;
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (code.len() < 64 && code.bytes().all(is_word)).then(|| code.to_owned())
}

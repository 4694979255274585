//! One request on its way through the filter, on the thread that began it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use crate::abi::ModulePointer;
use crate::config::{ConfigPeer, Route};
use crate::headers::{HeaderMap, Loans};
use crate::hooks::{self, Iteration};
use crate::registry::{Peer, enter, leave, violation};

/// A request as Envoy's HTTP connection manager hands it to filters.
#[derive(Clone, Debug, Default)]
pub struct Request {
    headers: HeaderMap,
    has_body: bool,
    route: Option<Route>,
}

impl Request {
    /// One without headers but those that all requests have.
    #[must_use]
    pub fn new(method: &[u8], authority: &[u8], path: &[u8]) -> Self {
        let pseudo = [(&b":method"[..], method), (b":authority", authority), (b":path", path)];
        let request = Self::default();
        pseudo.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// With one header more.
    #[must_use]
    pub fn header(mut self, name: &[u8], value: &[u8]) -> Self {
        self.headers.add(name, value);
        self
    }

    /// With a body.
    #[must_use]
    pub fn with_body(mut self) -> Self {
        self.has_body = true;
        self
    }

    /// On a route that is configured like this.
    #[must_use]
    pub fn on(mut self, route: &Route) -> Self {
        self.route = Some(route.clone());
        self
    }
}

/// An answer of the module's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// The details of the response code, for Envoy's access log.
    pub details: String,
}

/// A value of dynamic metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(f64),
    /// A truth value.
    Bool(bool),
    /// Several.
    List(Vec<Self>),
    /// `google.protobuf.Struct`, as it came.
    Struct(Vec<u8>),
}

/// Dynamic metadata, by namespace and key.
pub type Metadata = BTreeMap<String, BTreeMap<String, Value>>;

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The module's answer; `None`: the request went on.
    pub response: Option<Response>,
    /// The headers as the next filter sees them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Names of headers that were set, each with its last value.
    pub set: BTreeMap<String, Vec<u8>>,
    /// Names of headers that were there and were removed.
    pub removed: Vec<String>,
    /// What access logs and other filters are told.
    pub metadata: Metadata,
    /// Whether the filter had it wait.
    pub waited: bool,
}

/// What the handle of a stream stands for.
pub(crate) struct StreamPeer {
    handle: usize,
    /// What the module has for it; nothing when it failed to.
    module: OnceLock<ModulePointer>,
    config: Weak<ConfigPeer>,
    worker: ThreadId,
    route: Option<Route>,
    events: Sender<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    headers: HeaderMap,
    /// The names that the client sent.
    sent: BTreeSet<String>,
    loans: Loans,
    set: BTreeMap<String, Vec<u8>>,
    removed: Vec<String>,
    metadata: Metadata,
    response: Option<Response>,
    stopped: bool,
    went_on: bool,
}

/// A request under way.
pub struct Stream {
    config: Arc<ConfigPeer>,
    peer: Arc<StreamPeer>,
    events: Receiver<u64>,
    has_body: bool,
    waited: bool,
}

impl Stream {
    pub(crate) fn begin(config: Arc<ConfigPeer>, request: Request) -> Self {
        let (sender, events) = channel();
        let sent = request.headers.iter().map(|(name, _)| text(name)).collect();
        let peer = Arc::new_cyclic(|weak| StreamPeer {
            handle: enter(Peer::Stream(weak.clone())),
            module: OnceLock::new(),
            config: Arc::downgrade(&config),
            worker: std::thread::current().id(),
            route: request.route,
            events: sender,
            state: Mutex::new(State { headers: request.headers, sent, ..State::default() }),
        });
        let made = config.module().and_then(|config| hooks::filter_new(config, peer.handle));
        match made {
            Some(module) => drop(peer.module.set(module)),
            None => drop(violation::<()>("no filter was made for a stream".to_owned())),
        }
        let has_body = request.has_body;
        let mut stream = Self { config, peer, events, has_body, waited: false };
        stream.decode_headers();
        stream
    }

    fn decode_headers(&mut self) {
        let Some(module) = self.peer.module() else { return };
        let iteration = hooks::request_headers(self.peer.handle, module, !self.has_body);
        let answered = {
            let mut state = self.peer.state();
            state.loans.recall();
            state.response.is_some()
        };
        match iteration {
            // Where it has answered, Envoy looks at the answer alone.
            _ if answered => {}
            Iteration::Continue => self.goes_on(),
            Iteration::Stop | Iteration::StopAllAndBuffer | Iteration::StopAllAndWatermark => {
                self.waited = true;
                self.peer.state().stopped = true;
            }
            Iteration::ContinueWithoutEnd | Iteration::Unknown => {
                violation::<()>(format!("request_headers returned {iteration:?}"));
            }
        }
    }

    fn goes_on(&self) {
        self.peer.state().went_on = true;
        if let Some(module) = self.peer.module().filter(|_| self.has_body)
            && !hooks::request_body(self.peer.handle, module, true)
        {
            violation::<()>("a request that may pass has its body held up".to_owned());
        }
    }

    /// Whether it is decided what becomes of it.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        let state = self.peer.state();
        state.went_on || state.response.is_some() || self.peer.module().is_none()
    }

    /// Has the worker do what is scheduled on it until the request is let on or answered, or for so
    /// long. Whether it is decided then.
    pub fn wait(&mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while let Some(module) = self.peer.module().filter(|_| !self.is_decided()) {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else { return false };
            hooks::scheduled(self.peer.handle, module, event);
            let mut state = self.peer.state();
            state.loans.recall();
            let resumed = state.went_on;
            drop(state);
            if resumed {
                self.goes_on();
            }
        }
        true
    }

    /// The client goes away, or all is said: the stream ends.
    #[must_use]
    pub fn end(self) -> Reply {
        let mut state = self.peer.state();
        let headers = state.headers.iter();
        let headers = headers.map(|(name, value)| (text(name), value.clone())).collect();
        Reply {
            response: state.response.take(),
            headers,
            set: std::mem::take(&mut state.set),
            removed: std::mem::take(&mut state.removed),
            metadata: std::mem::take(&mut state.metadata),
            waited: self.waited,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(module) = self.peer.module() {
            hooks::stream_complete(self.peer.handle, module);
            hooks::filter_destroy(module);
        }
        leave(self.peer.handle);
        let _keeps_its_configuration = &self.config;
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.peer.state();
        f.debug_struct("Stream")
            .field("headers", &state.headers)
            .field("response", &state.response)
            .field("went_on", &state.went_on)
            .field("waited", &self.waited)
            .finish()
    }
}

impl StreamPeer {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a callback comes from the thread that the stream belongs to.
    pub(crate) fn is_on_its_worker(&self, callback: &str) -> bool {
        let here = std::thread::current().id() == self.worker;
        if !here {
            violation::<()>(format!("{callback}: not on the worker of the stream"));
        }
        here
    }

    pub(crate) fn route(&self) -> Option<ModulePointer> {
        self.route.as_ref().map(Route::module)
    }

    /// A scheduler of the module's wants its hook called, on the worker.
    pub(crate) fn schedule(&self, event: u64) {
        let _ = self.events.send(event);
    }

    pub(crate) fn lend(&self, bytes: &[u8]) -> (*const u8, usize) {
        self.state().loans.lend(bytes)
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.state().headers.clone()
    }

    /// Sets or, without a value, removes a header.
    pub(crate) fn set_header(&self, name: &[u8], value: Option<&[u8]>, keep_others: bool) {
        let mut state = self.state();
        state.loans.recall();
        if state.went_on {
            violation::<()>(format!("{} is changed, but the request went on", text(name)));
        }
        match value {
            Some(value) if value.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) => {
                violation::<()>(format!("{} is set to what no header can be", text(name)));
            }
            Some(value) => {
                if keep_others {
                    state.headers.add(name, value);
                } else {
                    state.headers.set(name, value);
                }
                state.set.insert(text(&name.to_ascii_lowercase()), value.to_vec());
            }
            None => {
                if state.headers.remove(name) {
                    state.removed.push(text(&name.to_ascii_lowercase()));
                } else if !state.sent.contains(&text(&name.to_ascii_lowercase())) {
                    // Every crossing costs, and Envoy shows all there is.
                    violation::<()>(format!("{} is removed and never was there", text(name)));
                }
            }
        }
    }

    pub(crate) fn set_metadata(&self, namespace: String, key: String, value: Value) {
        self.state().metadata.entry(namespace).or_default().insert(key, value);
    }

    /// Whether there is a list to add to.
    pub(crate) fn add_to_list(&self, namespace: String, key: String, value: Value) -> bool {
        let mut state = self.state();
        let members = state.metadata.entry(namespace).or_default();
        match members.entry(key).or_insert_with(|| Value::List(Vec::new())) {
            Value::List(list) => {
                list.push(value);
                true
            }
            Value::Text(_) | Value::Number(_) | Value::Bool(_) | Value::Struct(_) => false,
        }
    }

    /// Takes the module's answer. Envoy then asks its response hooks, before this returns.
    pub(crate) fn respond(&self, response: Response) {
        let mut state = self.state();
        if state.went_on || state.response.is_some() {
            violation::<()>("an answer to what is decided".to_owned());
        }
        state.response = Some(response);
    }

    pub(crate) fn handle(&self) -> usize {
        self.handle
    }

    pub(crate) fn module(&self) -> Option<ModulePointer> {
        self.module.get().copied()
    }

    pub(crate) fn config(&self) -> Option<Arc<ConfigPeer>> {
        self.config.upgrade()
    }

    pub(crate) fn resume(&self) {
        let mut state = self.state();
        // Other filters are next, and may change headers.
        state.loans.recall();
        if !state.stopped || state.went_on || state.response.is_some() {
            violation::<()>("continue_decoding of what does not wait".to_owned());
        }
        state.went_on = true;
    }
}

/// Header names of ours are ASCII; those of clients may be anything.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

//! What the tests share: keys that really sign, where they come from, an authorizer, and requests.

pub mod registry;
/// That of the development issuer, and of its crate this file alone: the rest needs a runtime.
#[path = "../../../dev/src/signer.rs"]
#[allow(dead_code)]
mod signer;
mod source;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use doorward_core::authorizer::{Authorizer, Outcome};
use doorward_core::clock::UnixTime;
use doorward_core::decision::{Basis, Decision, Denial, Fault};
use doorward_core::header_changes::HeaderChanges;
use doorward_core::identity::{HeaderRules, IdentityRules};
use doorward_core::issuers::Issuers;
use doorward_core::keys::KeySource;
use doorward_core::request::{HeaderView, RequestView, RouteView};
use doorward_core::rules::Rules;
use doorward_core::token::TokenRules;
use serde_json::{Value, json};

pub use self::signer::{Curve, Signer};
pub use self::source::{Source, key_set, snapshot};

pub const NOW: UnixTime = UnixTime(1_700_000_000);
pub const ISSUER: &str = "https://idp.example";

/// The result of a future that never waits.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

/// So many seconds from now.
pub fn from_now(seconds: i64) -> u64 {
    NOW.0.checked_add_signed(seconds).unwrap()
}

/// The claims of a token that is good for an hour, with `more` put over them; `null` takes a claim
/// out.
pub fn claims(more: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": "my-api", "sub": "alice", "exp": from_now(3600)});
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// The same key whenever the seed is the same.
pub fn ed(kid: &str, seed: u8) -> Signer {
    Signer::ed_from_seed(kid, &[seed; 32])
}

/// The key that most tokens here are signed with.
pub fn signer() -> Signer {
    ed("ed-1", 1)
}

/// A token of that key.
pub fn token(more: Value) -> String {
    signer().token("EdDSA", &claims(more))
}

/// What an authorizer of one issuer is made of.
pub struct Setup {
    pub tokens: TokenRules,
    pub identity: IdentityRules,
    pub headers: HeaderRules,
    pub paths: Rules,
}

impl Setup {
    pub fn new() -> Self {
        Self {
            tokens: TokenRules::new(ISSUER, ["my-api"]),
            identity: IdentityRules::default(),
            headers: HeaderRules::default(),
            paths: Rules::default(),
        }
    }

    /// With the key of [`signer`].
    pub fn authorizer(self) -> Authorizer {
        self.with_keys(Source::of([&signer()]))
    }

    pub fn with_keys(self, keys: Arc<dyn KeySource>) -> Authorizer {
        let mut issuers = Issuers::default();
        issuers.add(self.tokens, self.identity, keys);
        Authorizer::new(issuers, self.headers).with_rules(self.paths)
    }
}

/// A request, at [`NOW`].
#[derive(Clone, Debug)]
pub struct Ask {
    method: String,
    path: Vec<u8>,
    authority: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
    route: Vec<(String, Vec<u8>)>,
    at: UnixTime,
}

pub fn get(path: impl AsRef<[u8]>) -> Ask {
    let path = path.as_ref().to_vec();
    Ask {
        method: "GET".into(),
        path,
        authority: Vec::new(),
        headers: Vec::new(),
        route: Vec::new(),
        at: NOW,
    }
}

/// What an allowed request goes on with.
#[derive(Debug)]
pub struct Allowed {
    pub code: &'static str,
    /// Whether nobody looked at the credentials.
    pub unseen: bool,
    /// Whether the token was verified just now.
    pub fresh: bool,
    pub set: BTreeMap<String, String>,
    pub removed: Vec<String>,
    pub sent: Vec<String>,
}

impl Ask {
    pub fn method(self, method: &str) -> Self {
        Self { method: method.into(), ..self }
    }

    pub fn host(self, authority: impl AsRef<[u8]>) -> Self {
        Self { authority: authority.as_ref().to_vec(), ..self }
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub fn bearer(self, token: impl AsRef<str>) -> Self {
        self.header("authorization", format!("Bearer {}", token.as_ref()))
    }

    /// A token of [`signer`].
    pub fn with_token(self, more: Value) -> Self {
        self.bearer(token(more))
    }

    /// One of the route's `context_extensions`.
    pub fn route(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.route.push((key.into(), value.as_ref().to_vec()));
        self
    }

    pub fn at(self, seconds_from_now: i64) -> Self {
        Self { at: UnixTime(from_now(seconds_from_now)), ..self }
    }

    /// Calls `f` with this request and its time.
    pub fn view<T>(&self, f: impl FnOnce(&RequestView<'_>, UnixTime) -> T) -> T {
        let headers: Vec<HeaderView<'_>> = self
            .headers
            .iter()
            .map(|(name, value)| HeaderView { name: name.as_bytes(), value })
            .collect();
        let mut route = RouteView::default();
        self.route.iter().for_each(|(key, value)| route.note(key.as_bytes(), value));
        let method = self.method.as_bytes();
        let (path, authority) = (&self.path, &self.authority);
        f(&RequestView { method, path, authority, headers: &headers, route }, self.at)
    }

    /// The decision with the keys at hand.
    pub fn decision(&self, authorizer: &Authorizer) -> Decision {
        self.view(|request, now| authorizer.decide(request, now).or_deny())
    }

    /// The fault, or the principal, of a request that may wait so long.
    pub fn authorized(&self, authorizer: &Authorizer, wait: Duration) -> Result<String, Fault> {
        self.view(|request, now| match ready(authorizer.authorize(request, now, wait)) {
            Decision::Allow(approval) => {
                Ok(approval.identity().unwrap().identity().principal().into())
            }
            Decision::Deny(denial) => Err(denial.fault),
        })
    }

    pub fn denial(&self, authorizer: &Authorizer) -> Denial {
        match self.decision(authorizer) {
            Decision::Deny(denial) => denial,
            Decision::Allow(approval) => panic!("{self:?} is allowed: {}", approval.code()),
        }
    }

    pub fn fault(&self, authorizer: &Authorizer) -> Fault {
        self.denial(authorizer).fault
    }

    pub fn allowed(&self, authorizer: &Authorizer) -> Allowed {
        self.view(|request, now| match authorizer.decide(request, now) {
            Outcome::Decided(Decision::Allow(approval)) => {
                let changes = authorizer.header_changes(&approval, request.headers);
                assert_one_outcome(&changes, request.headers);
                let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
                let fresh = matches!(approval.basis(), Basis::Identified { fresh: true, .. });
                let set = changes.set().map(|(name, value)| (name.into(), value.into()));
                Allowed {
                    code: approval.code(),
                    unseen: approval.is_unseen(),
                    fresh,
                    set: set.collect(),
                    removed: changes.remove().map(text).collect(),
                    sent: changes.sent().iter().map(|name| text(name)).collect(),
                }
            }
            Outcome::Decided(Decision::Deny(denial)) => panic!("{self:?}: {}", denial.fault),
            Outcome::Needs(_) => panic!("{self:?} needs somebody to be asked"),
        })
    }
}

/// Whoever sees every header takes away those that are there and adds ours; whoever does not overwrites
/// and removes by name. Both leave the same to the upstream.
fn assert_one_outcome(changes: &HeaderChanges<'_>, client: &[HeaderView<'_>]) {
    let named = |name: &[u8], other: &[u8]| name.eq_ignore_ascii_case(other);
    let ours: Vec<_> =
        changes.set().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let of_client = client.iter().map(|header| (header.name, header.value));
    let left = |gone: &dyn Fn(&[u8]) -> bool| {
        let kept = of_client.clone().filter(|(name, _)| !gone(name));
        kept.chain(ours.iter().copied()).collect::<Vec<_>>()
    };
    let unseen = left(&|name| {
        changes.remove().any(|other| named(name, other))
            || ours.iter().any(|(other, _)| named(name, other))
    });
    let seen = left(&|name| changes.present().any(|other| named(name, other)));
    assert_eq!(unseen, seen);
}

impl Allowed {
    pub fn header(&self, name: &str) -> &str {
        self.set.get(name).map_or("", String::as_str)
    }

    pub fn principal(&self) -> &str {
        self.header("x-nmp-principal-id")
    }
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    signer::encode(bytes.as_ref())
}

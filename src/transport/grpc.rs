//! The gRPC front: `envoy.service.auth.v3.Authorization/Check`, health and reflection.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Context;
use std::time::{Duration, Instant};

use ::http::{Request, Response};
use arc_swap::ArcSwap;
use bytes::Bytes;
use doorward_core::authorizer::Outcome;
use doorward_core::decision::{Decision, Denial, Fault};
use doorward_core::needs::Needs;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::service::Routes;
use tower::Service;

use super::budget::Account;
use super::call::Call;
use super::check_call::CheckCall;
use super::check_message::CheckMessage;
use super::check_service::CheckService;
use super::denial::Resource;
use super::h2_connection::{self, Arrived};
use super::intake::Intake;
use super::other_call::{MAX_OTHER_MESSAGE_BYTES, OtherCall};
use super::server::Front;
use super::session::{ConnectionError, Session};

/// Where Envoy calls.
const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Envoy's own definition, for reflection.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.service.auth.v3.bin"));

/// Answers gRPC calls.
#[derive(Clone)]
pub struct GrpcFront {
    service: Arc<ArcSwap<CheckService>>,
    others: Arc<Routes>,
}

impl GrpcFront {
    /// A front that decides with whatever `service` holds at the time, and reports `health`.
    ///
    /// # Errors
    /// The descriptors that were compiled in cannot be read: a broken build.
    pub fn new(
        service: Arc<ArcSwap<CheckService>>,
        health: impl Service<
            Request<tonic::body::Body>,
            Response = Response<tonic::body::Body>,
            Error = Infallible,
            Future: Send + 'static,
        > + tonic::server::NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let (most, v1, v1alpha) =
            (MAX_OTHER_MESSAGE_BYTES, reflection().build_v1()?, reflection().build_v1alpha()?);
        let others = Routes::new(health)
            .add_service(v1.max_decoding_message_size(most))
            .add_service(v1alpha.max_decoding_message_size(most))
            .prepare();
        Ok(Self { service, others: Arc::new(others) })
    }
}

impl Front for GrpcFront {
    const PROTOCOLS: &'static [&'static [u8]] = h2_connection::PROTOCOLS;

    async fn serve(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        session: Session,
    ) -> Result<(), ConnectionError> {
        let begin = |arrived, account: &Account, context: &mut Context<'_>| {
            self.begin(arrived, account, context)
        };
        h2_connection::serve(Intake::http2(io), session, begin).await
    }
}

impl GrpcFront {
    fn begin<'f>(
        &'f self,
        arrived: Arrived,
        account: &Account,
        context: &mut Context<'_>,
    ) -> Option<Box<dyn Call + 'f>> {
        if arrived.0.uri().path() == CHECK {
            let call = CheckCall::begin(&self.service, arrived, account, context)?;
            return Some(Box::new(call));
        }
        Some(Box::new(OtherCall::new(Routes::clone(&self.others), arrived)))
    }
}

impl CheckService {
    /// The reply to one `CheckRequest`: a `CheckResponse`, the five bytes that gRPC puts
    /// in front of a message included. A message that cannot be read is an empty one, and
    /// so denied as a malformed request. `patience` is the time that the caller has: others are
    /// waited for no longer than three quarters of it.
    pub async fn check_message(&self, message: Bytes, patience: Option<Duration>) -> Bytes {
        let started = Instant::now();
        match self.try_to_reply(&message, started) {
            Ok(reply) => reply,
            Err(needs) => self.reply_later(&message, *needs, started, patience).await,
        }
    }

    /// The reply, if what is at hand is enough for it. No future holds the parts of the
    /// request: they are larger than all else that a check needs.
    pub(super) fn try_to_reply(
        &self,
        message: &[u8],
        started: Instant,
    ) -> Result<Bytes, Box<Needs<'_>>> {
        let mut check = CheckMessage::default();
        let _ = check.read(message);
        match self.authorizer().decide(&check.view(), self.now()) {
            Outcome::Decided(decision) => Ok(self.reply(&check, &decision, started)),
            Outcome::Needs(needs) => Err(Box::new(needs)),
        }
    }

    async fn reply_later(
        &self,
        message: &[u8],
        mut needs: Needs<'_>,
        started: Instant,
        patience: Option<Duration>,
    ) -> Bytes {
        let wait = self.wait(patience);
        loop {
            let left = wait.saturating_sub(started.elapsed());
            let obtained = Box::pin(needs.obtain(left)).await;
            let mut check = CheckMessage::default();
            let _ = check.read(message);
            let outcome = match obtained {
                Ok(attempt) => self.authorizer().decide_again(&check.view(), self.now(), attempt),
                Err(denial) => Outcome::Decided(Decision::Deny(denial)),
            };
            match outcome {
                Outcome::Decided(decision) => return self.reply(&check, &decision, started),
                Outcome::Needs(more) => needs = more,
            }
        }
    }

    /// The reply to a call whose request nobody looked at.
    pub(super) fn deny_unread(&self, fault: Fault) -> Bytes {
        let decision = Decision::Deny(Denial::from(fault));
        self.reply(&CheckMessage::default(), &decision, Instant::now())
    }

    /// Takes note of a decision and encodes it. Should that panic, this call is denied and
    /// the others on its connection, which is one task with them, do not notice.
    fn reply(&self, check: &CheckMessage<'_>, decision: &Decision, started: Instant) -> Bytes {
        let reply = catch_unwind(AssertUnwindSafe(|| {
            self.take_note(&check.view(), decision, started);
            self.encode(decision, &check.headers, |pages| pages.resource(check.host, check.path))
        }));
        let internal_error = || Decision::Deny(Denial::from(Fault::Internal));
        reply.unwrap_or_else(|_| self.encode(&internal_error(), &[], |_| Resource::FIRST))
    }
}

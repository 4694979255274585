//! Doorward: an Envoy external-authorization server.
//!
//! Envoy asks, for every request, "may this pass, and who is it from?". Doorward
//! validates the bearer token against one or several OpenID Connect issuers and answers
//! with trusted identity headers, or with a denial that says why.
//!
//! # The house
//!
//! The path of one request, top to bottom:
//!
//! | room | does | knows nothing of |
//! |---|---|---|
//! | [`transport`] | gRPC, HTTP and admin fronts; Envoy's wire ↔ ours | how a decision is made |
//! | [`authorizer`] | the story: one function that asks the rooms below in turn | Envoy, sockets, runtimes |
//! | [`request`], [`bearer`] | the request as borrowed bytes, and its one token | |
//! | [`rules`] | what path and route ask for → a `Permit` | how an identity is proven |
//! | [`token`] | taken apart → parsed → verified; each step a proof type | I/O, clocks, configuration |
//! | [`issuers`], [`keys`] | whom to believe, and what can verify a signature | HTTP, claims |
//! | [`identity`] | verified token → identity → headers; what must be stripped | unverified tokens |
//! | [`token_cache`] | tokens verified before, by keyed hash | tokens |
//! | [`scope_prefix`], [`json_object`] | what stands in front of scopes; JSON that has to be an object | |
//! | [`decision`] | allow or deny, and every reason | status codes |
//!
//! Side rooms, whose handles the path uses and which never import the path:
//! [`discovery`] (what issuers publish; the only HTTP client), [`config`] (layers →
//! checked settings, all faults at once), [`telemetry`], [`clock`]. [`app`] puts all of
//! it together, [`cli`] is the command line, [`doctor`] examines providers and gateways,
//! [`explain`] tells how a decision came about, [`login`] logs people in, [`init`] makes a
//! first set-up, [`dev`] holds what `doorward demo` embeds; [`product`] knows whose IdP it is,
//! [`printable`] what may come onto a terminal, [`tls_files`] the certificates that listeners show, [`redact`]
//! what of a configured value may be printed, [`loopback`] what can only be this machine.
//!
//! Data flows one way, and a test holds the `use` lines against that
//! (`tests/rooms.rs`). `docs/architecture.md` tells where to change what.

pub mod app;
pub mod cli;
pub mod config;
pub mod dev;
pub mod discovery;
pub mod doctor;
pub mod explain;
pub mod init;
pub mod login;
pub mod loopback;
pub mod pkce;
pub mod printable;
pub mod product;
pub mod redact;
pub mod telemetry;
pub mod tls_files;
pub mod transport;

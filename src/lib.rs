//! Doorward: an Envoy external-authorization server.
//!
//! Envoy asks, for every request, "may this pass, and who is it from?". Doorward
//! validates the bearer token against one or several OpenID Connect issuers and answers
//! with trusted identity headers, or with a denial that says why.
//!
//! What decides is a crate of its own, [`doorward_core`]. Here is what stands around it:
//!
//! | module | does |
//! |---|---|
//! | [`transport`] | gRPC, HTTP and admin fronts; Envoy's wire to the core's types and back |
//! | [`discovery`] | what issuers publish, fetched and kept fresh; the only HTTP client |
//! | [`policy`] | the policy in force: from files, a bundle, or at an OPA |
//! | [`config`] | layers → checked settings, all faults at once |
//! | [`telemetry`] | metrics, log, decision lines |
//! | [`app`] | puts them together: threads, tasks, reloads |
//! | [`cli`] | the command line; one file a verb |
//! | [`doctor`] | examines providers, tokens, Envoy's configurations and gateways |
//! | [`explain`] | tells how a decision came about |
//! | [`login`] | logs people in and keeps them so |
//! | [`init`] | a first set-up for a provider and a gateway |
//!
//! Small ones that several of them use: [`advice`] (what to do at a provider, by the menus of its
//! console), [`finding`] (what one check found), [`product`] (whose IdP it is), [`loopback`] (what can only be
//! this machine), [`printable`] (what may come onto a terminal), [`redact`] (what of a configured value
//! may be printed), [`tls_files`] (the certificates that listeners show), `whole_file` (files that
//! are replaced in one step), [`pkce`], [`secret`] (texts that are shown to nobody), [`regular_file`]
//! (files that may be anything), [`turns`] (so many in a second), `token_parts` (what can be read of a
//! token that nobody has verified).
//!
//! Data flows one way, and `tests/modules.rs` holds the code to that. `docs/architecture.md` tells
//! where to change what.

pub mod advice;
pub mod app;
pub mod cli;
pub mod config;
pub mod discovery;
pub mod doctor;
pub mod explain;
pub mod finding;
pub mod init;
pub mod login;
pub mod loopback;
pub mod pkce;
pub mod policy;
pub mod printable;
pub mod product;
pub mod redact;
pub mod regular_file;
pub mod secret;
pub mod telemetry;
pub mod tls_files;
mod token_parts;
pub mod transport;
pub mod turns;
mod whole_file;

//! Decides requests by their bearer tokens: JWTs of one or several OpenID Connect issuers, verified
//! and mapped to headers that an upstream can trust.
//!
//! [`Authorizer::decide`](authorizer::Authorizer::decide) is one synchronous function on borrowed
//! bytes. It knows no socket, runtime or clock: key sets are handed to it, the time is an argument,
//! and where it lacks a key it says whose. So the same decisions are made by a server, by a command
//! line and inside a gateway.
//!
//! ```
//! use std::sync::Arc;
//!
//! use doorward_core::authorizer::Authorizer;
//! use doorward_core::clock::UnixTime;
//! use doorward_core::decision::Decision;
//! use doorward_core::identity::{HeaderRules, IdentityRules};
//! use doorward_core::issuers::Issuers;
//! use doorward_core::keys::{KeySet, StaticKeys};
//! use doorward_core::request::{HeaderView, RequestView, RouteView};
//! use doorward_core::token::TokenRules;
//!
//! # let jwks = br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA",
//! #     "x": "XuLuNekcUieOi8UlXLHxZE0PlDUm08v4qD-7PkXikBw"}]}"#;
//! # let authorization = concat!("Bearer ",
//! #     "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIiwiYXVkIjoibXktYXBpIiwic3ViIjo",
//! #     "iYWxpY2UiLCJleHAiOjE3MDAwMDM2MDB9.RiYlwm2ZiQG7Yf9T9c7XhX1oX_PBJ_aDNBI490ecLHt2kV9qzieqFB",
//! #     "739V3OrLdXjXsS--h50w-GTxOOh7EhAA",
//! # );
//! let keys = StaticKeys::new(KeySet::parse(jwks)?);
//! let rules = TokenRules::new("https://idp.example", ["my-api"]);
//! let mut issuers = Issuers::default();
//! issuers.add(rules, IdentityRules::default(), Arc::new(keys));
//! let authorizer = Authorizer::new(issuers, HeaderRules::default());
//!
//! let client = [HeaderView { name: b"authorization", value: authorization.as_bytes() }];
//! let request =
//!     RequestView { method: b"GET", path: b"/v1", authority: b"", headers: &client, route: RouteView::default() };
//! match authorizer.decide(&request, UnixTime(1_700_000_000)).or_deny() {
//!     Decision::Allow(approval) => {
//!         let changes = authorizer.header_changes(&approval, &client);
//!         assert_eq!(changes.set().next(), Some(("x-nmp-principal-id", "alice")));
//!         assert!(changes.remove().any(|name| name == b"x-nmp-principal-groups"));
//!     }
//!     Decision::Deny(denial) => panic!("{}: {}", denial.reason(), denial.fault),
//! }
//! # Ok::<(), doorward_core::keys::KeySetError>(())
//! ```
//!
//! # Modules
//!
//! A request takes them in this order:
//!
//! | module | does |
//! |---|---|
//! | [`authorizer`] | asks the modules below in turn; one function a step |
//! | [`request`], [`bearer`] | the request as borrowed bytes, and its one token |
//! | [`needs`] | what a decision lacks, and how to decide again when it is there |
//! | [`rules`] | what path and route ask for → a [`Permit`](rules::Permit) |
//! | [`token_cache`] | tokens verified before, by keyed hash |
//! | [`token`] | taken apart → parsed → verified; each step a type that only the one before makes |
//! | [`issuers`], [`keys`] | whom to believe, and what can verify a signature |
//! | [`status`] | what is asked about a token where only others know whether it still counts |
//! | [`policy`] | what is asked of a policy, where there is one, and what it says |
//! | [`identity`] | verified token → identity; the names that clients must not send |
//! | [`verified_identity`] | the identity with its proof: what is kept and handed on |
//! | [`decision`] | allow or deny, and every reason |
//! | [`header_changes`] | what an allowed request's headers become |
//!
//! Proof travels as types. A [`VerifiedToken`](token::VerifiedToken) comes out of a verification, a
//! [`VerifiedIdentity`] out of a verified token, a [`Approval`](decision::Approval) out of a satisfied rule:
//! none has a public field or another way to be made.
//!
//! [`clock`] holds the unit of time; [`json_object`] and [`scope_prefix`] what the configuration
//! and the login of the server share with this crate.

pub mod authorizer;
pub mod bearer;
pub mod clock;
pub mod decision;
pub mod header_changes;
pub mod identity;
pub mod issuers;
pub mod json_object;
pub mod keys;
pub mod needs;
pub mod policy;
pub mod request;
pub mod rules;
pub mod scope_prefix;
pub mod status;
pub mod token;
pub mod token_cache;
pub mod verified_identity;

pub use self::authorizer::Authorizer;
pub use self::verified_identity::VerifiedIdentity;

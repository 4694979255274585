//! Logging in at an identity provider, and staying logged in: what `doorward auth` does,
//! without its words.
//!
//! | file | holds |
//! |---|---|
//! | `provider` | [`Provider`]: whom to ask and where, from a platform or an issuer |
//! | `scopes` | which scopes to ask for, and which were not granted |
//! | `exchange` | [`Exchange`]: password, refresh and revocation requests |
//! | `device` | the device flow (RFC 8628) |
//! | `lenient` | answers as providers send them |
//! | `tokens`, `who` | what was obtained, and for whom |
//! | `session` | the token one is logged in with, refreshed when it is near its end |
//! | `store` | where logins are kept, by name: [`Logins`] |
//! | `error` | what went wrong, and what to do about it in whose product |
//!
//! Another part of the program that needs "the token one is logged in with" asks
//! [`signed_in`].

mod device;
mod error;
mod exchange;
mod lenient;
mod provider;
mod scopes;
mod session;
mod store;
mod tokens;
mod who;

pub use self::device::{DeviceEvent, DevicePrompt};
pub use self::error::{Grant, LoginError};
pub use self::exchange::{Exchange, Revocation};
pub use self::provider::{ClientOptions, Provider};
pub use self::scopes::{NotGranted, not_granted, requested};
pub use self::session::{Freshness, SignedIn, signed_in};
pub(crate) use self::session::{TIMEOUT, client_secret, http_for};
pub use self::store::{
    Contexts, Kept, KeyRing, KeyRingError, Login, Logins, Notice, Over, Place, SecretStore,
    StoreError,
};
pub use self::tokens::{Secrets, Tokens};
pub use self::who::Who;

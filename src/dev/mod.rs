//! Stand-ins for what surrounds Doorward, for development, demonstrations and tests: a
//! token issuer, an upstream, and a real Envoy.
//!
//! Nothing here is on the path of a request, and nothing here listens anywhere but on
//! loopback: the issuer hands out tokens to whoever asks.

pub mod echo;
pub mod envoy;
pub mod issuer;
mod loopback;

pub use self::echo::Echo;
pub use self::issuer::{DevIssuer, DevIssuerError, DevIssuerOptions};
pub use self::loopback::ListenError;

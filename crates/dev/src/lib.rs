//! What surrounds Doorward in demonstrations and tests: a token issuer, an upstream, and a real
//! Envoy.
//!
//! | module | holds |
//! |---|---|
//! | [`issuer`] | [`DevIssuer`], an OpenID Connect issuer with every grant that Doorward's users meet |
//! | [`faults`] | what a test has the issuer answer instead, and what it was asked |
//! | [`signer`] | [`Signer`], the keys that it and the tests sign with |
//! | [`echo`] | [`Echo`], an upstream that answers with what it was sent |
//! | [`envoy`] | a real Envoy: found, fetched, started, stopped |
//!
//! Nothing here listens anywhere but on loopback: the issuer hands out tokens to whoever asks. And
//! nothing here is Doorward's own code, so that no test has it agree with itself.

pub mod echo;
pub mod envoy;
pub mod faults;
pub mod issuer;
mod server;
pub mod signer;
#[cfg(test)]
mod tests;

pub use self::echo::Echo;
pub use self::faults::Answer;
pub use self::issuer::{DevIssuer, DevIssuerError, DevIssuerOptions};
pub use self::server::ListenError;
pub use self::signer::Signer;

//! What a first set-up consists of: Doorward's configuration for a provider, and the gateway's
//! side of it. Values in, texts out; nothing is asked and nothing is written here.
//!
//! | file | holds |
//! |---|---|
//! | `configuration` | `doorward.yaml`: [`Choices::configuration`] |
//! | `gateway` | the files of `envoy/`, filled in: [`Gateway::files`] |

mod configuration;
mod gateway;

pub use self::configuration::{Choices, every_tenant, published_issuer};
pub use self::gateway::{BadUpstream, Gateway, Upstream};

//! What a first set-up consists of: Doorward's configuration for a provider, and the gateway's
//! side of it. Values in, texts out; nothing is asked and nothing is written here.
//!
//! | file | holds |
//! |---|---|
//! | `configuration` | `doorward.yaml`: [`Choices::configuration`] |
//! | `envoy_ports` | `envoy/envoy.yaml` and `envoy/module.yaml` with other addresses: [`EnvoyPorts`] |
//! | `gateway` | the files of `envoy/`, filled in: [`Gateway::files`] |

mod configuration;
mod envoy_ports;
mod gateway;

pub use self::configuration::{Choices, Runs, every_tenant, published_issuer};
pub use self::envoy_ports::EnvoyPorts;
pub use self::gateway::{BadUpstream, Gateway, Upstream};

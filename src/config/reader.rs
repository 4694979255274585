//! Who reads a configuration, and what of it they cannot act on: the server has listeners and asks
//! about tokens, the module inside Envoy has Envoy for the one and, for now, nothing for the other.

use std::sync::OnceLock;

use super::key_path::KeyPath;
use super::raw;
use super::shape::{Key, Shape, keys_of};

/// Who reads a configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reader {
    /// `doorward serve`, and whatever looks at its configuration.
    #[default]
    Server,
    /// The module inside Envoy, of its `filter_config`.
    Module,
    /// The same, of what one of Envoy's routes says.
    Route,
    /// Whoever only looks at a configuration, be it the server's or the module's.
    Onlooker,
}

/// Why a key that there is has no place in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unserved {
    /// The module alone reads it.
    #[error(
        "is a setting of the module inside Envoy (docs/module.md); the server has no use for it"
    )]
    OfModule,
    /// Envoy has the listeners.
    #[error(
        "is a setting of the server: inside Envoy there are no listeners or threads of Doorward's"
    )]
    Listeners,
    /// Envoy writes the log.
    #[error("is a setting of the server: inside Envoy, Envoy's log level and format count")]
    Logging,
    /// Envoy's listeners are not for one machine alone.
    #[error("is a setting of the server: the module never accepts tokens without a signature")]
    Unsigned,
    /// Another server would have to be asked about each token.
    #[error("is a setting of the server: the module cannot ask whether a token is active")]
    Asking,
    /// Nobody else is asked about requests.
    #[error("is a setting of the server: the module does not ask a policy")]
    Policy,
}

impl Reader {
    /// Everything that may stand in what it reads.
    pub(super) fn shape(self) -> &'static Shape {
        static ROUTE: OnceLock<Shape> = OnceLock::new();
        match self {
            Self::Server | Self::Module | Self::Onlooker => Shape::of_config(),
            Self::Route => ROUTE.get_or_init(Shape::of::<raw::EnvoyRoute>),
        }
    }

    /// Every key that it acts on, but those in lists and tables.
    pub(super) fn keys(self) -> impl Iterator<Item = (KeyPath, &'static Key)> {
        keys_of(self.shape()).into_iter().filter(move |(key, _)| self.serves(key))
    }

    /// Whether it acts on `key`.
    pub(super) fn serves(self, key: &KeyPath) -> bool {
        (1..=key.steps().len()).all(|depth| {
            let above = key.steps().iter().take(depth);
            let above = above.fold(KeyPath::default(), |path, step| path.join(step));
            self.unserved(&above).is_none()
        })
    }

    /// Why it does not act on `key` itself; of what stands below one that it does not act on,
    /// nothing is said.
    pub(super) fn unserved(self, key: &KeyPath) -> Option<Unserved> {
        let steps: Vec<_> = key.steps().iter().map(String::as_str).collect();
        let unserved = match self {
            Self::Server => match steps.as_slice() {
                ["module"] | ["keys", "envoy_cluster"] => Unserved::OfModule,
                _ => return None,
            },
            Self::Module => match steps.as_slice() {
                ["server"] => Unserved::Listeners,
                ["log", "level" | "format"] => Unserved::Logging,
                ["auth", "allow_unsigned_jwt"] => Unserved::Unsigned,
                ["policy"] => Unserved::Policy,
                ["auth", "access_keys"]
                | ["auth", "oidc", "introspection" | "opaque" | "opaque_prefix"]
                | ["auth", "issuers", _, "introspection" | "opaque" | "opaque_prefix"] => {
                    Unserved::Asking
                }
                _ => return None,
            },
            Self::Route | Self::Onlooker => return None,
        };
        Some(unserved)
    }
}

//! `--store`: where tokens are kept, for every verb.

use clap::{Args, ValueEnum};

use super::{Failure, set};
use crate::login::{KeyRing, Logins, Place};

#[derive(Clone, Debug, Args)]
pub(super) struct StoreArgs {
    /// Where tokens are kept: `file` leaves the desktop's key ring alone, `key-ring` keeps a new
    /// login there or not at all
    #[arg(
        long,
        value_enum,
        value_name = "auto|file|key-ring",
        default_value = "auto",
        hide_possible_values = true,
        env = "DOORWARD_CLI_STORE",
        global = true,
        help_heading = "Where to keep the tokens"
    )]
    pub(super) store: StoreChoice,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum StoreChoice {
    /// In the key ring if there is a working one, otherwise in the file
    #[default]
    Auto,
    /// In the file, mode 0600
    File,
    /// In the key ring only
    #[value(name = "key-ring", alias = "keyring")]
    KeyRing,
}

impl StoreChoice {
    /// For verbs of other groups, which look at a login and have no such switch.
    pub(super) fn of_the_environment() -> Result<Self, Failure> {
        let Some(text) = set("DOORWARD_CLI_STORE") else { return Ok(Self::default()) };
        Self::from_str(&text, false).map_err(|_| Failure::Usage {
            what: format!("DOORWARD_CLI_STORE is {text:?}"),
            next: "set it to auto, file or key-ring".into(),
        })
    }

    /// The logins of whoever runs this, with the key ring or without.
    pub(super) fn logins(self) -> Result<Logins, Failure> {
        let key_ring = match self {
            Self::Auto | Self::KeyRing => KeyRing::of_this_desktop(),
            Self::File => None,
        };
        Ok(Logins::of_this_user(key_ring)?)
    }

    /// Where a new login is to be kept.
    pub(super) const fn place(self) -> Place {
        match self {
            Self::Auto => Place::Auto,
            Self::File => Place::File,
            Self::KeyRing => Place::KeyRing,
        }
    }
}

//! `--store`: where tokens are kept, for every verb.

use clap::{Args, ValueEnum as _};

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
    pub(super) store: Place,
}

/// What the environment says, for verbs of other groups, which look at a login and have no such
/// switch.
pub(super) fn of_the_environment() -> Result<Place, Failure> {
    let Some(text) = set("DOORWARD_CLI_STORE") else { return Ok(Place::default()) };
    Place::from_str(&text, false).map_err(|_| Failure::Usage {
        what: format!("DOORWARD_CLI_STORE is {text:?}"),
        next: "set it to auto, file or key-ring".into(),
    })
}

/// The logins of whoever runs this, with the key ring or without.
pub(super) fn logins(place: Place) -> Result<Logins, Failure> {
    let key_ring = if place == Place::File { None } else { KeyRing::of_this_desktop() };
    Ok(Logins::of_this_user(key_ring)?)
}

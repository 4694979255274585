//! The password of `auth login --username`: a flag, standard input, the environment, or a
//! question on the terminal.

use std::io::{IsTerminal as _, Read as _};

use super::{Failure, words};
use crate::printable::printable;
use crate::secret::Secret;

/// More is no password; standard input may be anything.
const MAX_BYTES: u64 = 64 * 1024;

/// Where the command line says the password is.
pub(super) struct PasswordSource<'a> {
    pub(super) flag: Option<&'a str>,
    pub(super) stdin: bool,
}

/// The password of `username`.
pub(super) fn obtain(username: &str, source: &PasswordSource<'_>) -> Result<Secret, Failure> {
    words::warn(
        "logging in with a password bypasses multi-factor authentication, and reveals the \
         password to this program; the device flow (without --username) does neither",
    );
    if let Some(password) = source.flag {
        words::warn(
            "--password is visible in the process list; use --password-stdin or NMP_OIDC_PASSWORD \
             instead",
        );
        return Ok(Secret::new(password));
    }
    if source.stdin {
        return from_stdin();
    }
    if let Some(password) = std::env::var_os("NMP_OIDC_PASSWORD").filter(|text| !text.is_empty()) {
        let text = password.into_string();
        return text.map(Secret::new).map_err(|_| unusable("NMP_OIDC_PASSWORD is not UTF-8"));
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage {
            what: "a user name without a password, and no terminal to prompt on".into(),
            next: "pass it with --password-stdin or NMP_OIDC_PASSWORD".into(),
        });
    }
    let asked = rpassword::prompt_password(format!("Password of {}: ", printable(username)));
    asked.map(Secret::new).map_err(Failure::System)
}

/// The first line, without its end.
fn from_stdin() -> Result<Secret, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin().take(MAX_BYTES).read_to_end(&mut bytes).map_err(Failure::System)?;
    let text = String::from_utf8(bytes).map_err(|_| unusable("the password is not UTF-8"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        Some(_) | None => Err(unusable("there is no password on standard input")),
    }
}

fn unusable(what: &str) -> Failure {
    Failure::Usage { what: what.into(), next: "put the password on a single line".into() }
}

//! What the device flow shows while it waits.

use std::cell::{Cell, OnceCell};
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::{browser, words};
use crate::cli::output::say;
use crate::cli::style::{DIM, HEAD};
use crate::login::{DeviceEvent, DevicePrompt};
use crate::printable::printable;

/// Shows a code, then that and how long one waits: a spinner on a terminal, one line
/// elsewhere.
pub(super) struct Progress<'a> {
    at: &'a str,
    may_open: bool,
    bar: OnceCell<ProgressBar>,
    trouble: Cell<bool>,
}

impl<'a> Progress<'a> {
    /// For a login at `at`; `may_open` a browser.
    pub(super) fn new(at: &'a str, may_open: bool) -> Self {
        Self { at, may_open, bar: OnceCell::new(), trouble: Cell::new(false) }
    }

    pub(super) fn show(&self, event: &DeviceEvent<'_>) {
        match event {
            DeviceEvent::Code(prompt) => self.code(prompt),
            DeviceEvent::Waiting { left } => {
                if let Some(bar) = self.bar.get() {
                    bar.set_message(clock(*left));
                }
            }
            DeviceEvent::NoAnswer(error) => {
                // Once: it is tried again every few seconds, maybe for minutes.
                if !self.trouble.replace(true) {
                    let say = || words::warn(&format!("no answer, retrying: {error}"));
                    match self.bar.get() {
                        Some(bar) => bar.suspend(say),
                        None => say(),
                    }
                }
            }
        }
    }

    /// Clears the spinner away.
    pub(super) fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    fn code(&self, prompt: &DevicePrompt) {
        let code = printable(&prompt.user_code);
        say!("To log in at {}, open", printable(self.at));
        say!("\n    {HEAD}{}{HEAD:#}\n", prompt.verification_uri);
        say!("in any browser and enter the code {HEAD}{code}{HEAD:#}");
        if let Some(complete) = &prompt.verification_uri_complete {
            say!("{DIM}or open {complete} which has the code in it{DIM:#}");
        }
        let on_terminal = std::io::stderr().is_terminal();
        let page = prompt.verification_uri_complete.as_ref().unwrap_or(&prompt.verification_uri);
        if on_terminal && self.may_open && browser::open(page) {
            say!("{DIM}A browser should be opening.{DIM:#}");
        }
        if !on_terminal {
            say!("waiting for the login, at most {}", clock(prompt.expires_in));
            return;
        }
        let bar = ProgressBar::new_spinner().with_message(clock(prompt.expires_in));
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} waiting for you to log in, {msg} left")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        // Comes once.
        let _ = self.bar.set(bar);
    }
}

/// `9:05`.
fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

//! Opening a browser, where there is one and somebody who sees it.

use std::ffi::OsString;

use url::Url;

/// Opens the page without waiting for the browser, and says whether there was a chance of
/// that.
pub(super) fn open(page: &Url) -> bool {
    if !matches!(page.scheme(), "http" | "https") || !has_desktop(|name| std::env::var_os(name)) {
        return false;
    }
    let page = page.to_string();
    // A browser of the terminal kind does not return until it is closed.
    let opening = std::thread::Builder::new().name("browser".into()).spawn(move || {
        // The URL is on the terminal already: there is nothing to say.
        let _ = webbrowser::open(&page);
    });
    opening.is_ok()
}

/// Whether a window would appear before whoever runs this.
fn has_desktop(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let remote = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].into_iter().any(is_set);
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set);
    !remote && (cfg!(target_os = "macos") || display)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_browser_needs_a_display_of_this_machine() {
        let verdict = |set: &[&str]| has_desktop(|name| set.contains(&name).then(|| "x".into()));
        assert!(verdict(&["DISPLAY"]) && verdict(&["WAYLAND_DISPLAY"]));
        assert!(!verdict(&[]) && !verdict(&["DISPLAY", "SSH_CONNECTION"]));
    }
}

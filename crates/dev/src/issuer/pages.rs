//! The pages people see: one button to say yes, one to say no.

use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use super::directory::{OAuthFault, USERS, User, user};

/// No scripts, nothing from elsewhere, in nobody's frame. `form-action` is left open:
/// browsers apply it to where a form's answer redirects, too.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// What a person said on a page.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    user: String,
    answer: Said,
    pub(super) user_code: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Approve,
    Deny,
}

impl Answer {
    /// Who said yes.
    pub(super) fn user(&self) -> Result<&'static User, OAuthFault> {
        if self.answer == Said::Deny {
            return Err(OAuthFault("access_denied", "the user declined"));
        }
        user(&self.user).ok_or(OAuthFault("invalid_request", "no such user"))
    }
}

/// Asks who it is and whether `client` may have `scope`. The form goes back to the page's own
/// address, with the code that a device shows.
pub(super) fn consent(
    likely: Option<&str>,
    client: &str,
    scope: &str,
    user_code: Option<&str>,
) -> Response {
    let mut form = format!("<p><b>{}</b> asks to act for you", escaped(client));
    if !scope.is_empty() {
        let _ = write!(form, " (<code>{}</code>)", escaped(scope));
    }
    form.push_str(".</p><form method=post>");
    if let Some(code) = user_code {
        let _ = write!(form, "<input type=hidden name=user_code value=\"{}\">", escaped(code));
    }
    form.push_str("<label>You are <select name=user>");
    for user in &USERS {
        let selected = if likely == Some(user.name) { " selected" } else { "" };
        let _ = write!(form, "<option{selected}>{}</option>", escaped(user.name));
    }
    form.push_str(
        "</select></label> <button name=answer value=approve autofocus>Log in</button> \
         <button name=answer value=deny>Refuse</button></form>",
    );
    page(StatusCode::OK, "Log in", &form)
}

/// Asks for the code that the device shows.
pub(super) fn ask_for_code(problem: Option<&str>) -> Response {
    let problem = problem.map(|text| format!("<p>{}</p>", escaped(text))).unwrap_or_default();
    let form = format!(
        "{problem}<form method=get><label>The code on your device <input name=user_code \
         autocomplete=off autofocus></label> <button>Continue</button></form>"
    );
    page(StatusCode::OK, "Connect a device", &form)
}

/// Says one thing.
pub(super) fn message(status: StatusCode, title: &str, text: &str) -> Response {
    page(status, title, &format!("<p>{}</p>", escaped(text)))
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width\"><title>{title} - development issuer</title>\
         <style>body{{font:1.1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:15vh auto;padding:0 1rem;\
         color:#222;background:#fafafa}}select,input,button{{font:inherit;padding:.2em .6em}}\
         small{{color:#777}}</style>\
         <h1>{title}</h1>{body}<p><small>Doorward development issuer: for this machine only, no \
         password asked.</small></p></html>"
    );
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-store")];
    (status, headers, Html(html)).into_response()
}

fn escaped(text: &str) -> String {
    let unsafe_in_markup =
        [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#39;")];
    unsafe_in_markup
        .iter()
        .fold(text.to_owned(), |text, (character, entity)| text.replace(character, entity))
}

#[cfg(test)]
mod tests {
    #[test]
    fn nothing_from_a_request_becomes_markup() {
        assert_eq!(super::escaped("<a href='\"&"), "&lt;a href=&#39;&quot;&amp;");
    }
}

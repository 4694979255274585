//! A live gateway: do spoofed headers, odd paths and odd credentials get through?
//!
//! Needs a path whose upstream answers with the headers that it got (an echo). Requests
//! are written by hand, byte by byte, since a client library would mend what is odd about
//! them; they are sent one after the other, some fifty in all, and change nothing that a
//! `GET` does not change.
//!
//! | file | holds |
//! |---|---|
//! | `wire` | HTTP/1.1 by hand, bounded in time and size |
//! | `echo` | the headers that an upstream says it got |
//! | `first_look` | what ordinary requests come to |
//! | `probes` | what is tried, and what each answer means |
//! | `paths` | spellings of a path |

mod echo;
mod first_look;
mod paths;
mod probes;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use doorward_core::identity::ProtectedHeaders;
use url::Url;

use self::wire::Peer;
use super::report::{Finding, Section};
use crate::discovery::SetupError;
use crate::printable::printable;

/// What to probe, and what is known of it.
pub struct GatewayProbe {
    /// Where clients come in: `http://` or `https://`, host and port.
    pub gateway: Url,
    /// The path whose upstream answers with the headers it got.
    pub echo: String,
    /// A valid access token; without one, only what happens without a token is seen.
    pub token: Option<String>,
    /// Paths that need no token (`rules.bypass`): what starts with one, and leads out.
    pub open: Vec<String>,
    /// The headers that a client must not decide.
    pub protected: ProtectedHeaders,
    /// The header that names the principal, in lower case.
    pub principal: String,
    /// A PEM file of certificate authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for GatewayProbe {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gateway, echo, .. } = self;
        f.debug_struct("GatewayProbe")
            .field("gateway", &gateway.as_str())
            .field("echo", echo)
            .finish_non_exhaustive()
    }
}

/// Probes a gateway. Takes at most a minute and a half.
///
/// # Errors
/// It cannot be tried at all: the URL or the authorities are no good.
pub async fn examine(probe: &GatewayProbe) -> Result<Section, GatewayError> {
    // What ends a request line would begin another request.
    if !probe.echo.starts_with('/') || probe.echo.contains([' ', '\r', '\n']) {
        return Err(GatewayError::NoPath);
    }
    let peer = Peer::new(&probe.gateway, probe.ca_file.as_deref())?;
    let findings = probes::run(probe, &peer).await;
    Ok(Section { title: format!("gateway {}", peer.shown()), findings })
}

/// How to see what arrives.
const NAME_AN_ECHO: &str = "pass with --echo a path whose upstream echoes the \
     request's headers, such as httpbin's /headers or the echo of `doorward demo`";

/// One examination of a gateway: whom it asks, and what it has found.
struct Run<'a> {
    probe: &'a GatewayProbe,
    peer: &'a Peer,
    started: Instant,
    findings: Vec<Finding>,
}

/// What ordinary requests come to.
#[derive(Default)]
struct Seen {
    /// Without a token they are refused.
    guarded: bool,
    /// The refusal is Doorward's own.
    by_doorward: bool,
    /// Without a token they are answered.
    open: bool,
    /// With the token they go past the gateway, whatever is behind.
    token_taken: bool,
    /// The answer without a token holds the headers that arrived.
    tells_without: bool,
    /// The answer with the token does.
    tells_with: bool,
    /// Whom the upstream takes the token's bearer for.
    principal: Option<String>,
}

/// A text from outside, harmless to a terminal and short.
fn shown(text: &str) -> String {
    printable(text).chars().take(120).collect()
}

/// Why a gateway cannot be probed.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Neither `http` nor `https`, or no host.
    #[error("the gateway has to be http:// or https:// with a host: https://gateway.example")]
    NotHttp,
    /// No `/` in front.
    #[error("the echo path begins with `/`: a path whose upstream echoes the request's headers")]
    NoPath,
    /// A file of authorities cannot be used.
    #[error(transparent)]
    Authorities(#[from] SetupError),
    /// The TLS library refuses to be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] tokio_rustls::rustls::Error),
}

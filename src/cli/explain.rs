//! `doorward explain`: the decision for one token, step by step.

use std::io::{self, IsTerminal as _, Read as _, Write};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::style::{BAD, DIM, GOOD, HEAD, WARN};
use super::{ConfigArgs, Exit, print_error};
use crate::app;
use crate::clock::{Clock as _, SystemClock, UnixTime};
use crate::config;
use crate::doctor::printable;
use crate::explain::{Answer, Explanation, Step, StepOutcome};
use crate::request::{HeaderView, RequestView, RouteView};

/// No more than this is read from standard input, in bytes; longer tokens are refused by
/// the engine anyway.
const MOST_READ: u64 = 1024 * 1024;

/// Say what the server would decide for a token, and why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  doorward auth token | doorward explain
  pbpaste | doorward explain --config doorward.yaml --method POST --path /v1/models
  doorward explain --at -10m < token.txt
  doorward explain --context doorward.scopes=models:write --json < token.txt
  doorward explain --anonymous --path /health

Nothing is asked of a running server: its configuration is read, the issuer's keys are
fetched, and the same engine decides. Claims are shown, the token itself never is.

Exit codes: 0 allowed, 1 denied, 2 wrong usage or configuration.")]
pub(super) struct ExplainArgs {
    /// The token; `-` or nothing: from standard input
    token: Option<String>,
    /// Explain a request without a token
    #[arg(long, conflicts_with_all = ["token", "raw_header"])]
    anonymous: bool,
    /// The input is the whole value of the `Authorization` header, taken as it is
    #[arg(long)]
    raw_header: bool,
    /// The request's method
    #[arg(long, default_value = "GET")]
    method: String,
    /// The request's path, as the client sends it
    #[arg(long, default_value = "/")]
    path: String,
    /// A further header of the request (repeatable)
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<Header>,
    /// An entry of the Envoy route's `context_extensions` (repeatable)
    #[arg(long = "context", value_name = "KEY=VALUE", value_parser = pair)]
    context: Vec<(String, String)>,
    /// Decide as of this moment: RFC 3339, Unix seconds, or from now (`-10m`, `+1h`)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<Moment>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &ExplainArgs) -> Exit {
    let loaded = match config::load(&args.config.sources()) {
        Ok(loaded) => loaded,
        Err(faults) => {
            anstream::eprintln!("{faults}");
            return Exit::Usage;
        }
    };
    let authorization = match authorization(args) {
        Ok(authorization) => authorization,
        Err(error) => {
            print_error(&error);
            return Exit::Usage;
        }
    };
    let now = SystemClock.now();
    let at = args.at.map_or(Some(now), |moment| moment.from(now));
    let Some(at) = at else {
        print_error(&InputError::NoSuchMoment);
        return Exit::Usage;
    };
    let mut headers: Vec<HeaderView<'_>> = args.headers.iter().map(Header::view).collect();
    if let Some(value) = &authorization {
        headers.push(HeaderView { name: b"authorization", value });
    }
    let mut route = RouteView::default();
    for (key, value) in &args.context {
        route.note(key.as_bytes(), value.as_bytes());
    }
    let request = RequestView {
        method: args.method.as_bytes(),
        path: args.path.as_bytes(),
        headers: &headers,
        route,
    };
    let spinner = super::doctor::spinner("deciding".to_owned());
    let explained = app::explain_request(loaded.settings, &request, at);
    spinner.finish_and_clear();
    match explained {
        Ok(explanation) => show(args, &explanation),
        Err(error) => {
            print_error(&error);
            Exit::Usage
        }
    }
}

fn show(args: &ExplainArgs, explanation: &Explanation) -> Exit {
    let mut out = anstream::stdout();
    let shown = if args.json { json(&mut out, explanation) } else { tell(&mut out, explanation) };
    match shown.and_then(|()| out.flush()) {
        // A reader that went away (`| head`) has seen what it wanted.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Usage,
        Ok(()) | Err(_) => match explanation.decision {
            Answer::Allow => Exit::Done,
            Answer::Deny => Exit::Failed,
        },
    }
}

fn json(out: &mut dyn Write, explanation: &Explanation) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, explanation)?;
    writeln!(out)
}

fn tell(out: &mut dyn Write, explanation: &Explanation) -> io::Result<()> {
    let Explanation { decision, reason, status, at, steps, headers, notes, .. } = explanation;
    let (word, colour) = match decision {
        Answer::Allow => ("allowed", GOOD),
        Answer::Deny => ("denied", BAD),
    };
    writeln!(
        out,
        "{colour}{word}{colour:#} {HEAD}{status} {reason}{HEAD:#} {DIM}at {at}{DIM:#}\n"
    )?;
    for step in steps.iter().filter(|step| step.outcome != StepOutcome::NotReached) {
        tell_step(out, step)?;
    }
    let left: Vec<_> = steps
        .iter()
        .filter(|step| step.outcome == StepOutcome::NotReached)
        .map(|step| step.check.title())
        .collect();
    if !left.is_empty() {
        writeln!(out, "  {DIM}----  not looked at: {}{DIM:#}", left.join(", "))?;
    }
    if let Some(headers) = headers {
        writeln!(out, "\n{HEAD}The upstream gets{HEAD:#}")?;
        for (name, value) in &headers.set {
            writeln!(out, "  {name}: {value}")?;
        }
        if headers.set.is_empty() {
            writeln!(out, "  {DIM}no identity{DIM:#}")?;
        }
        let count = headers.remove.len();
        writeln!(
            out,
            "  {DIM}without {count} names that a client may have forged (--json){DIM:#}"
        )?;
    }
    for (index, note) in notes.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        writeln!(out, "{gap}{WARN}note:{WARN:#} {note}")?;
    }
    Ok(())
}

fn tell_step(out: &mut dyn Write, step: &Step) -> io::Result<()> {
    let Step { check, outcome, expected, found, remedy } = step;
    match outcome {
        StepOutcome::Pass => writeln!(out, "  {GOOD}pass{GOOD:#}  {check:<17}{}", folded(found)),
        StepOutcome::Fail => {
            writeln!(out, "  {BAD}FAIL{BAD:#}  {HEAD}{check:<17}{HEAD:#}{}", folded(found))?;
            writeln!(out, "        {DIM}{:<17}{DIM:#}{}", "expected", folded(expected))?;
            match remedy {
                Some(remedy) => {
                    writeln!(out, "        {DIM}{:<17}{DIM:#}{}", "what to do", folded(remedy))
                }
                None => Ok(()),
            }
        }
        StepOutcome::NotReached => Ok(()),
    }
}

/// Words in lines of at most 100 columns, below each other.
fn folded(text: &str) -> String {
    const INDENT: usize = 25;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if INDENT + line.chars().count() + 1 + word.chars().count() <= 100 => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{:INDENT$}", ""))
}

/// The value of the `Authorization` header; `None` without one.
fn authorization(args: &ExplainArgs) -> Result<Option<Vec<u8>>, InputError> {
    if args.anonymous {
        return Ok(None);
    }
    let given = match args.token.as_deref() {
        None | Some("-") => from_standard_input()?,
        Some(token) => {
            note("a token among the arguments shows in the list of processes: pipe it in instead");
            token.as_bytes().to_vec()
        }
    };
    if args.raw_header {
        // The line end is the terminal's or the shell's, not the header's.
        let end =
            given.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        return Ok(given.get(..end).map(<[u8]>::to_vec));
    }
    let token = given.trim_ascii();
    let token = match token.get(..7) {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"bearer ") => {
            note("`Bearer ` in front is not part of the token and is left out");
            token.get(7..).unwrap_or_default().trim_ascii()
        }
        Some(_) | None => token,
    };
    if token.is_empty() {
        return Err(InputError::Empty);
    }
    Ok(Some([b"Bearer ", token].concat()))
}

fn from_standard_input() -> Result<Vec<u8>, InputError> {
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        note("paste the token, then press Enter and Ctrl-D");
    }
    let mut token = Vec::new();
    input.by_ref().take(MOST_READ).read_to_end(&mut token).map_err(InputError::Unreadable)?;
    Ok(token)
}

fn note(text: &str) {
    anstream::eprintln!("{DIM}note:{DIM:#} {text}");
}

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
enum InputError {
    #[error(
        "there is no token: pipe one in (`doorward auth token | doorward explain`), or ask for \
             `--anonymous`"
    )]
    Empty,
    #[error("standard input cannot be read")]
    Unreadable(#[source] io::Error),
    #[error("`--at` lies before 1970 or beyond what can be counted")]
    NoSuchMoment,
}

/// A header as people write it: `Name: value`.
#[derive(Clone, Debug)]
struct Header {
    name: String,
    value: String,
}

impl Header {
    fn view(&self) -> HeaderView<'_> {
        HeaderView { name: self.name.as_bytes(), value: self.value.as_bytes() }
    }
}

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            Some(_) | None => Err(format!("expected `Name: value`, found `{}`", printable(text))),
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("expected KEY=VALUE, found `{}`", printable(text)))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// A moment, or a distance from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    At(UnixTime),
    Ago(Duration),
    Ahead(Duration),
}

impl Moment {
    fn from(self, now: UnixTime) -> Option<UnixTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Ago(span) => now.0.checked_sub(span.as_secs()).map(UnixTime),
            Self::Ahead(span) => now.0.checked_add(span.as_secs()).map(UnixTime),
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(seconds) = text.parse::<u64>()
            && !text.starts_with('+')
        {
            return Ok(Self::At(UnixTime(seconds)));
        }
        let span = |text: &str| humantime::parse_duration(text).map_err(|error| error.to_string());
        if let Some(ago) = text.strip_prefix('-') {
            return span(ago).map(Self::Ago);
        }
        if let Some(ahead) = text.strip_prefix('+') {
            return span(ahead).map(Self::Ahead);
        }
        humantime::parse_rfc3339_weak(text)
            .ok()
            .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
            .map(|since| Self::At(UnixTime(since.as_secs())))
            .ok_or_else(|| {
                "expected RFC 3339 (`2026-11-23T20:00:00Z`), Unix seconds, or `-10m`, `+1h`"
                    .to_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_in_every_form() {
        let now = UnixTime(10_000);
        let at = |text: &str| text.parse::<Moment>().ok().and_then(|moment| moment.from(now));
        assert_eq!(at("1970-01-01T00:10:00Z"), Some(UnixTime(600)));
        assert_eq!(at("1970-01-01 00:10:00"), Some(UnixTime(600)));
        assert_eq!(at("600"), Some(UnixTime(600)));
        assert_eq!(at("-10m"), Some(UnixTime(9400)));
        assert_eq!(at("+1h 5s"), Some(UnixTime(13_605)));
        for odd in ["", "soon", "-1day", "+", "-", "1969-01-01T00:00:00Z", "+600"] {
            assert_eq!(at(odd), None, "{odd}");
        }
    }

    #[test]
    fn headers_are_written_as_in_http() {
        let header: Header = "X-A:  b: c ".parse().unwrap();
        assert_eq!((header.name.as_str(), header.value.as_str()), ("X-A", "b: c"));
        assert!("X-A".parse::<Header>().is_err() && ": b".parse::<Header>().is_err());
    }
}

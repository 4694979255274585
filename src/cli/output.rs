//! What the command line writes and reads: results go to standard output, everything else to
//! standard error. The one place that knows what becomes of a reader that went away.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Exit;
use super::style::{BAD, HEAD};
use crate::config::ConfigFaults;

/// Writes a result to standard output; how the command ends is what `write` returns. A reader that
/// went away (`| head`) has seen what it wanted: then the command ends as `unread`.
pub(super) fn print(unread: Exit, write: impl FnOnce(&mut dyn Write) -> io::Result<Exit>) -> Exit {
    let mut out = anstream::stdout();
    let written = write(&mut out).and_then(|exit| out.flush().map(|()| exit));
    written.unwrap_or_else(|error| unwritten(error, unread))
}

/// Writes data to standard output as it is.
pub(super) fn print_plain(data: &[u8]) -> Exit {
    let mut out = io::stdout();
    let written = out.write_all(data).and_then(|()| out.flush());
    written.map_or_else(|error| unwritten(error, Exit::Done), |()| Exit::Done)
}

fn unwritten(error: io::Error, unread: Exit) -> Exit {
    if error.kind() == io::ErrorKind::BrokenPipe { unread } else { refuse(Exit::Failed)(error) }
}

/// Writes a line to standard error, in colours where a terminal shows them. Whoever closed it does
/// not want to read it.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::output::say_line(format_args!($($text)*)) };
}
pub(super) use say;

pub(super) fn say_line(line: fmt::Arguments<'_>) {
    let _ = writeln!(Stderr, "{line}");
}

/// Standard error, to which writing never fails.
pub(super) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = anstream::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = anstream::stderr().flush();
        Ok(())
    }
}

/// Whether `--verbose` was given. One process has one command line; every place that shows
/// an error would have to be handed this otherwise.
pub(super) static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Whether more is to be said than usual.
pub(crate) fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Says what is wrong with a configuration, one line for each fault, the same for every verb, and ends
/// the command.
pub(crate) fn refuse_config(faults: &ConfigFaults) -> Exit {
    let _ = write_config_faults(faults, &mut Stderr);
    Exit::Usage
}

pub(super) fn write_config_faults(faults: &ConfigFaults, out: &mut dyn Write) -> io::Result<()> {
    for fault in faults.faults() {
        writeln!(out, "{BAD}error:{BAD:#} {fault}")?;
    }
    Ok(())
}

/// Says what went wrong and ends the command with `exit`.
pub(super) fn refuse<E: Error>(exit: Exit) -> impl Fn(E) -> Exit {
    move |error| {
        print_error(&error);
        exit
    }
}

/// Says what is wrong, in words that are no error's, and ends the command with `exit`.
pub(super) fn wrong(exit: Exit, what: impl fmt::Display) -> Exit {
    say!("{BAD}error:{BAD:#} {what}");
    exit
}

/// Says what went wrong and what caused that.
pub(crate) fn print_error(error: &dyn Error) {
    print_failure(error, None);
}

/// Says what went wrong, what caused that in the end (with `--verbose`: each cause on the
/// way), and what to do next.
pub(crate) fn print_failure(error: &dyn Error, next: Option<&str>) {
    say!("{}", failure(error, next, is_verbose()));
}

fn failure(error: &dyn Error, next: Option<&str>, verbose: bool) -> String {
    let mut text = format!("{BAD}error:{BAD:#} {error}");
    let causes: Vec<_> = std::iter::successors(error.source(), |&error| error.source()).collect();
    let skipped = if verbose { 0 } else { causes.len().saturating_sub(1) };
    for cause in causes.into_iter().skip(skipped) {
        text.push_str(&format!("\n  caused by: {cause}"));
    }
    if let Some(next) = next {
        text.push_str(&format!("\n  {HEAD}fix:{HEAD:#} {next}"));
    }
    text
}

/// Reads a file, or standard input for `-`, and no more of it than `most` bytes: it might be a
/// pipe that never ends.
pub(super) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        io::stdin().take(most).read_to_string(&mut text)?;
    } else {
        File::open(path)?.take(most).read_to_string(&mut text)?;
    }
    Ok(text)
}

/// Waits for something, on this thread.
pub(super) fn block_on<F: Future>(work: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(work))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn an_error_shows_its_root_and_with_verbose_the_way_there() {
        let root = Layer("root", None);
        let error = Layer("top", Some(Box::new(Layer("middle", Some(Box::new(root))))));
        let plain = |text: String| anstream::adapter::strip_str(&text).to_string();
        assert_eq!(
            plain(failure(&error, Some("do this"), false)),
            "error: top\n  caused by: root\n  fix: do this"
        );
        assert_eq!(
            plain(failure(&error, None, true)),
            "error: top\n  caused by: middle\n  caused by: root"
        );
        assert_eq!(plain(failure(&Layer("top", None), None, false)), "error: top");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = |_: &mut dyn Write| Err(io::ErrorKind::BrokenPipe.into());
        assert_eq!(print(Exit::Done, gone), Exit::Done);
        assert_eq!(print(Exit::Usage, gone), Exit::Usage);
        let full = |_: &mut dyn Write| Err(io::ErrorKind::StorageFull.into());
        assert_eq!(print(Exit::Done, full), Exit::Failed);
    }
}

//! Log lines through Envoy's log, in the component `dynamic_modules`.

use std::io;
use std::sync::Once;

use tracing::{Level, Metadata};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::abi;

/// Envoy's levels: 0 is trace.
const ERROR: u32 = 4;

/// Sends all log lines of this process's Doorward to Envoy: those that its log takes, at the time.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let lines = tracing_subscriber::fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_level(false)
            .with_writer(EnvoyLog)
            .with_filter(filter_fn(is_wanted));
        // In a test it may be that of the test.
        let _ = tracing_subscriber::registry().with(lines).try_init();
    });
}

/// Tells something that has to be seen, line by line.
pub fn error(lines: &str) {
    lines.lines().for_each(|line| abi::log(ERROR, line.as_bytes()));
}

/// Our own lines. What libraries say in warning, a client can have them say as often as it likes.
fn is_wanted(line: &Metadata<'_>) -> bool {
    line.target().starts_with("doorward") && abi::log_enabled(envoys(line.level()))
}

fn envoys(level: &Level) -> u32 {
    match *level {
        Level::TRACE => 0,
        Level::DEBUG => 1,
        Level::INFO => 2,
        Level::WARN => 3,
        Level::ERROR => ERROR,
    }
}

struct EnvoyLog;

/// One line.
struct Line(u32);

impl<'a> MakeWriter<'a> for EnvoyLog {
    type Writer = Line;

    fn make_writer(&'a self) -> Self::Writer {
        Line(envoys(&Level::INFO))
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Self::Writer {
        Line(envoys(line.level()))
    }
}

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        abi::log(self.0, line.trim_ascii_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

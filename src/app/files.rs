//! How many connections there are files for.

use rustix::process::{Resource, getrlimit};

/// Places of the admin port, which has some whatever happens at the other ports.
pub(super) const ADMIN_CONNECTIONS: usize = 64;
/// The same of the console's.
pub(super) const CONSOLE_CONNECTIONS: usize = 32;
/// Files for everything but connections of clients: those to issuers, listeners, runtimes,
/// what is read, and the admin port's.
const OTHER_FILES: usize = 128 + ADMIN_CONNECTIONS + CONSOLE_CONNECTIONS + 32;
/// So many, if nothing else is said: what they can hold at most stays below half a gigabyte.
const MANY: usize = 4096;

/// The connections to the gRPC and HTTP ports, as they were `wanted` or as many as is good; in
/// no case more than there are files for.
pub(super) fn most_connections(wanted: Option<usize>) -> usize {
    within(wanted, getrlimit(Resource::Nofile).current)
}

fn within(wanted: Option<usize>, files: Option<u64>) -> usize {
    let files = files.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    // With few files, half of them are better than none.
    let room = files.saturating_sub(OTHER_FILES).max(files / 2);
    wanted.unwrap_or(MANY).min(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_left_for_everything_else() {
        for (wanted, files, most) in [
            (None, Some(1024), 768),
            (None, Some(1_048_576), 4096),
            (None, None, 4096),
            (Some(10_000), Some(1024), 768),
            (Some(10_000), Some(65_536), 10_000),
            (Some(10), Some(1024), 10),
            (None, Some(200), 100),
        ] {
            assert_eq!(within(wanted, files), most, "{wanted:?} of {files:?} files");
        }
    }
}

//! The colours of the command line. What is printed through `anstream` shows them on a
//! terminal only, and `NO_COLOR` is heard.

use anstyle::{AnsiColor, Style};

/// As it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Marks what is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Marks what is worth knowing.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Marks a heading.
pub(crate) const HEAD: Style = Style::new().bold();
/// Beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();

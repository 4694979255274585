//! Texts from elsewhere, made fit for a terminal.

/// No finding needs more; what an IdP answers may have any length.
const MAX_CHARACTERS: usize = 2000;

/// A text from elsewhere as it may come onto a terminal: control characters, which could
/// move the cursor or rewrite what stands there, and invisible ones, which turn the
/// direction of writing, are shown by their numbers. Cut after 2000 characters: an answer
/// may have a megabyte.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MAX_CHARACTERS));
    for (index, char) in text.chars().enumerate() {
        if index == MAX_CHARACTERS {
            shown.push('…');
            break;
        }
        if is_unprintable(char) {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// Whether a character cannot be seen, or moves what stands around it.
#[must_use]
pub fn is_unprintable(char: char) -> bool {
    char.is_control() || is_invisible(char)
}

/// Zero-width characters, marks of direction, and separators of lines and paragraphs.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_shown_by_its_number() {
        let hostile = "a\u{1b}[2Jb\u{202e}c\u{9b}d\r\n";
        assert_eq!(printable(hostile), r"a\u{1b}[2Jb\u{202e}c\u{9b}d\u{d}\u{a}");
        assert_eq!(printable("é 漢 🙂"), "é 漢 🙂");
        assert_eq!(printable(&"é".repeat(1_000_000)).chars().count(), 2001);
    }
}

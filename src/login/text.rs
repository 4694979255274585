//! Words of others, made safe for a terminal.

/// More of what somebody else wrote is not shown: an error text is a sentence or two.
const MAX_CHARACTERS: usize = 500;

/// The text with everything escaped that a terminal would obey or that would reorder what
/// is shown: control characters (the escape character among them) and bidirectional
/// overrides. Cut after 500 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(MAX_CHARACTERS));
    for (index, character) in text.chars().enumerate() {
        if index == MAX_CHARACTERS {
            shown.push('…');
            break;
        }
        if is_plain(character) {
            shown.push(character);
        } else {
            // A line break would let the text pose as a line of ours.
            shown.extend(character.escape_default());
        }
    }
    shown
}

fn is_plain(character: char) -> bool {
    let reorders = matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    );
    !character.is_control() && !reorders
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        assert_eq!(printable("AADSTS65001: zażółć"), "AADSTS65001: zażółć");
        assert_eq!(printable("\x1b[2Jgone\r\n\u{9b}1m"), "\\u{1b}[2Jgone\\r\\n\\u{9b}1m");
        assert_eq!(printable("user\u{202e}nimda"), "user\\u{202e}nimda");
        let long = printable(&"x".repeat(10_000));
        assert_eq!(long.chars().count(), 501);
        assert!(long.ends_with('…'));
    }
}

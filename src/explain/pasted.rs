//! A token in what people copy.

/// A string without a part of it, if that is there.
type Without = fn(&[u8]) -> Option<&[u8]>;

/// A token in what people copy: a header, a line of curl's, a JSON string.
pub struct Pasted<'p> {
    /// The token itself.
    pub token: &'p [u8],
    /// What stood around it.
    pub left_out: Vec<&'static str>,
}

impl<'p> Pasted<'p> {
    /// Finds the token in what was copied.
    #[must_use]
    pub fn of(given: &'p [u8]) -> Self {
        let mut pasted = Self { token: given.trim_ascii(), left_out: Vec::new() };
        let parts: [(_, Without); 4] = [
            ("quotes", without_quote),
            ("`-H`", |text| without_word(text, b"-H")),
            ("`Authorization:`", |text| without_name(text, b"authorization:")),
            ("`Bearer`", |text| without_word(text, b"bearer")),
        ];
        while let Some((part, rest)) =
            parts.iter().find_map(|(part, without)| Some((*part, without(pasted.token)?)))
        {
            pasted.token = rest.trim_ascii();
            if !pasted.left_out.contains(&part) {
                pasted.left_out.push(part);
            }
        }
        pasted
    }
}

/// Without a quotation mark at one end or both, as shells and as word processors set them.
fn without_quote(text: &[u8]) -> Option<&[u8]> {
    const MARKS: [&str; 7] = ["\"", "'", "`", "“", "”", "‘", "’"];
    let bare = MARKS.iter().fold(text, |text, mark| {
        let text = text.strip_prefix(mark.as_bytes()).unwrap_or(text);
        text.strip_suffix(mark.as_bytes()).unwrap_or(text)
    });
    (bare.len() < text.len()).then_some(bare)
}

/// Without this in front, in any case.
fn without_name<'t>(text: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let (front, rest) = text.split_at_checked(name.len())?;
    front.eq_ignore_ascii_case(name).then_some(rest)
}

/// The same where a token could begin like this: only when a word ends there.
fn without_word<'t>(text: &'t [u8], word: &[u8]) -> Option<&'t [u8]> {
    let ends = |rest: &&[u8]| {
        rest.first().is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'".contains(byte))
    };
    without_name(text, word).filter(ends)
}

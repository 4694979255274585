//! Lists as headers have them: distinct items with a separator between them.

use std::collections::HashSet;

use smallvec::SmallVec;

/// Up to so many items, comparing with each is quicker than hashing.
const FEW: usize = 16;

/// Appends a list to a text.
pub(super) struct Joined<'t, 'n> {
    text: &'t mut String,
    start: usize,
    separator: &'static str,
    max_items: usize,
    few: SmallVec<[&'n str; FEW]>,
    many: HashSet<&'n str>,
}

/// An item was left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut;

impl<'t, 'n> Joined<'t, 'n> {
    /// A list of at most `max_items`, behind what `text` holds already.
    pub(super) fn new(text: &'t mut String, separator: &'static str, max_items: usize) -> Self {
        let start = text.len();
        let (few, many) = (SmallVec::new(), HashSet::new());
        Self { text, start, separator, max_items, few, many }
    }

    /// Appends `prefix` and `name` as one item, unless `name` is among them already.
    ///
    /// # Errors
    /// The item is not `fit`, or there are too many.
    pub(super) fn append(
        &mut self,
        prefix: &str,
        name: &'n str,
        fit: impl Fn(&str) -> bool,
    ) -> Result<(), LeftOut> {
        if self.has(name) {
            return Ok(());
        }
        if self.few.len().max(self.many.len()) >= self.max_items {
            return Err(LeftOut);
        }
        let before = self.text.len();
        if before > self.start {
            self.text.push_str(self.separator);
        }
        let from = self.text.len();
        self.text.push_str(prefix);
        self.text.push_str(name);
        if !self.text.get(from..).is_some_and(fit) {
            self.text.truncate(before);
            return Err(LeftOut);
        }
        self.note(name);
        Ok(())
    }

    fn has(&self, name: &str) -> bool {
        if self.many.is_empty() { self.few.contains(&name) } else { self.many.contains(name) }
    }

    fn note(&mut self, name: &'n str) {
        if self.few.len() < FEW {
            self.few.push(name);
            return;
        }
        if self.many.is_empty() {
            self.many.extend(&self.few);
        }
        self.many.insert(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_distinct_fit_and_not_too_many() {
        let mut text = "before".to_owned();
        let mut list = Joined::new(&mut text, ",", 3);
        let fit = |item: &str| !item.contains('!');
        assert_eq!(list.append("p:", "!", fit), Err(LeftOut));
        assert_eq!(list.append("p:", "a", fit), Ok(()));
        assert_eq!(list.append("p:", "a", fit), Ok(()), "said once already");
        assert_eq!(list.append("p:", "b", fit), Ok(()));
        assert_eq!(list.append("p:", "b!", fit), Err(LeftOut));
        assert_eq!(list.append("p:", "c", fit), Ok(()));
        assert_eq!(list.append("p:", "d", fit), Err(LeftOut));
        assert_eq!(text, "beforep:a,p:b,p:c");
    }

    #[test]
    fn many_items_are_distinct_too() {
        let names: Vec<String> = (0..100).map(|n| format!("g{}", n % 40)).collect();
        let mut text = String::new();
        let mut list = Joined::new(&mut text, " ", 30);
        let left_out = names.iter().filter(|name| list.append("", name, |_| true).is_err()).count();
        let expected: Vec<String> = (0..30).map(|n| format!("g{n}")).collect();
        assert_eq!(text, expected.join(" "));
        // g30 to g39 twice; what is there already is not missing, however often it is named.
        assert_eq!(left_out, 10 + 10);
    }
}

//! A header map as Envoy has it, whose bytes modules borrow.

/// Names in lower case and values, in their order; a name may come more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeaderMap(Vec<(Vec<u8>, Vec<u8>)>);

impl HeaderMap {
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        self.0.push((name.to_ascii_lowercase(), value.to_vec()));
    }

    /// Takes out all values of this name. Whether there were any.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let before = self.0.len();
        self.0.retain(|(have, _)| !have.eq_ignore_ascii_case(name));
        self.0.len() < before
    }

    /// One value of this name, in place of all others.
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        self.add(name, value);
    }

    pub(crate) fn values<'m>(&'m self, name: &'m [u8]) -> impl Iterator<Item = &'m [u8]> {
        let named = move |(have, _): &&(Vec<u8>, Vec<u8>)| have.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &(Vec<u8>, Vec<u8>)> {
        self.0.iter()
    }
}

/// Copies of bytes that a module was shown. Each stays where it is until all are taken back.
#[derive(Default)]
pub(crate) struct Loans(Vec<Vec<u8>>);

impl Loans {
    /// Where a copy of these bytes lies until [`recall`](Self::recall).
    pub(crate) fn lend(&mut self, bytes: &[u8]) -> (*const u8, usize) {
        self.0.push(bytes.to_vec());
        let lent = self.0.last().map(Vec::as_slice).unwrap_or_default();
        // Envoy's empty strings are not null either.
        (lent.as_ptr(), lent.len())
    }

    /// Takes all back. Who reads them still, reads nonsense; under a sanitizer, or Miri, it ends there.
    pub(crate) fn recall(&mut self) {
        for bytes in &mut self.0 {
            bytes.fill(0xdd);
            // Otherwise nobody would see the bytes written, and the compiler leaves them out.
            std::hint::black_box(bytes);
        }
        self.0.clear();
    }
}

impl Drop for Loans {
    fn drop(&mut self) {
        self.recall();
    }
}

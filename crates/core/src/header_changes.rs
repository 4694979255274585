//! What becomes of the headers of a request that may pass: composed here once, for every front.

use smallvec::SmallVec;

use crate::bearer::holds_opaque_bearer;
use crate::decision::Approval;
use crate::identity::{HeaderRules, IdentityHeaders, Profile, ProtectedHeaders};
use crate::request::HeaderView;

/// The headers to set, which replace what the client sent, and those to remove. No name is in both:
/// Envoy removes last.
///
/// A request goes on only with all of these changes: the upstream believes what it finds.
pub struct HeaderChanges<'a> {
    client: &'a [HeaderView<'a>],
    set: IdentityHeaders<'a>,
    protected: &'a ProtectedHeaders,
    sent: SmallVec<[&'a [u8]; 8]>,
}

impl<'a> HeaderChanges<'a> {
    pub(crate) fn new(
        approval: &'a Approval,
        client: &'a [HeaderView<'a>],
        rules: &'a HeaderRules,
        protected: &'a ProtectedHeaders,
    ) -> Self {
        let set = IdentityHeaders::new(approval.identity().map(|one| one.identity()), rules);
        let forged = |name: &&[u8]| protected.forged(name, set);
        let mut sent: SmallVec<[&[u8]; 8]> =
            client.iter().map(|header| header.name).filter(forged).collect();
        // NeMo's files API takes `Bearer service:jobs` for an identity. What is no JWT goes where
        // nobody has looked at it; it may be somebody's password elsewhere.
        if approval.is_unseen() && rules.profile == Profile::Nemo {
            let opaque = client.iter().find(|header| {
                header.name.eq_ignore_ascii_case(b"authorization")
                    && holds_opaque_bearer(header.value)
            });
            sent.extend(opaque.map(|header| header.name));
        }
        Self { client, set, protected, sent }
    }

    /// The headers to set: names, in lower case, and values.
    #[must_use]
    pub fn set(&self) -> IdentityHeaders<'a> {
        self.set
    }

    /// All names to remove: those that are [always](ProtectedHeaders::always) removed, seen or not,
    /// and those of [`sent`](Self::sent).
    pub fn remove(&self) -> impl Iterator<Item = &[u8]> {
        let always = self.protected.always(self.set).map(str::as_bytes);
        always.chain(self.sent.iter().copied())
    }

    /// The names to remove because this client sent them, as it spelled them.
    #[must_use]
    pub fn sent(&self) -> &[&'a [u8]] {
        &self.sent
    }

    /// The names that this client sent and that are ours, as it spelled them: those to set too. Where
    /// every header is seen, these are to be taken away first, and there is nothing else to remove.
    pub fn present(&self) -> impl Iterator<Item = &'a [u8]> {
        let names = self.client.iter().map(|header| header.name);
        names.filter(|name| self.protected.covers(name) || self.sent.contains(name))
    }

    /// How many bytes they take as headers of an answer, the names to remove as a list in one.
    pub(crate) fn answer_bytes(&self) -> usize {
        let set = self.set.iter().map(|(name, value)| answer_bytes_of_name(name) + value.len());
        set.sum::<usize>() + self.remove().map(answer_bytes_of_name).sum::<usize>()
    }
}

/// How many bytes a name takes in an answer, with what separates it from its value or from the
/// next name.
pub(crate) fn answer_bytes_of_name(name: impl AsRef<[u8]>) -> usize {
    name.as_ref().len() + 4
}

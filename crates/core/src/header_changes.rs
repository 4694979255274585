//! What becomes of the headers of a request that may pass: composed here once, for every front.

use smallvec::SmallVec;

use crate::bearer::holds_opaque_bearer;
use crate::decision::Approval;
use crate::identity::{HeaderRules, IdentityHeaders, Profile, ProtectedHeaders};
use crate::policy::Said;
use crate::request::HeaderView;

/// The headers to set, which replace what the client sent, and those to remove. No name is in both:
/// Envoy removes last.
///
/// A request goes on only with all of these changes: the upstream believes what it finds.
pub struct HeaderChanges<'a> {
    client: &'a [HeaderView<'a>],
    identity: IdentityHeaders<'a>,
    /// What a policy has to say besides.
    said: Option<&'a Said>,
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
        let identity = IdentityHeaders::new(approval.identity().map(|one| one.identity()), rules)
            .authorized(approval.is_authorized());
        let forged = |name: &&[u8]| protected.forged(name, identity);
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
        Self { client, identity, said: approval.said(), protected, sent }
    }

    /// The headers to set: names, in lower case, and values.
    pub fn set(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.identity.iter().chain(self.granted())
    }

    /// Those of them that say who the request is from, and that it may pass.
    #[must_use]
    pub fn identity(&self) -> IdentityHeaders<'a> {
        self.identity
    }

    /// Those of them that a policy adds. It has no say in ours; of several of one name the last
    /// counts.
    fn granted(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let headers = self.said.map_or(&[][..], |said| &said.headers);
        let protected = self.protected;
        headers.iter().enumerate().filter_map(move |(at, (name, value))| {
            let again = headers.iter().skip(at + 1).any(|(later, _)| later == name);
            let is_ours = protected.covers(name.as_bytes());
            (!again && !is_ours).then_some((&**name, &**value))
        })
    }

    /// The names that a policy takes away.
    pub fn taken_away(&self) -> impl Iterator<Item = &'a str> {
        let protected = self.protected;
        let granted = self.said.map_or(&[][..], |said| &said.headers);
        let names = self.said.map_or(&[][..], |said| &said.remove);
        names.iter().map(AsRef::as_ref).filter(move |name: &&str| {
            !protected.covers(name.as_bytes()) && !granted.iter().any(|(set, _)| **set == **name)
        })
    }

    /// All names to remove: those that are [always](ProtectedHeaders::always) removed, seen or not,
    /// those of [`sent`](Self::sent), and those that a policy [takes away](Self::taken_away).
    pub fn remove(&self) -> impl Iterator<Item = &'a [u8]> {
        let always = self.protected.always(self.identity).map(str::as_bytes);
        let taken_away = self.taken_away().map(str::as_bytes);
        always.chain(self.sent.iter().copied()).chain(taken_away)
    }

    /// The names to remove because this client sent them, as it spelled them.
    #[must_use]
    pub fn sent(&self) -> &[&'a [u8]] {
        &self.sent
    }

    /// The names that this client sent and that are not its to send, as it spelled them: those to set
    /// too. Where every header is seen, these are to be taken away first, and there is nothing else to
    /// remove.
    pub fn present(&self) -> impl Iterator<Item = &'a [u8]> {
        let names = self.client.iter().map(|header| header.name);
        let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        names.filter(move |name| {
            self.protected.covers(name)
                || self.sent.contains(name)
                || self.said.is_some_and(|said| {
                    said.headers.iter().any(|(set, _)| is(name, set))
                        || said.remove.iter().any(|gone| is(name, gone))
                })
        })
    }

    /// How many bytes they take as headers of an answer, the names to remove as a list in one.
    pub(crate) fn answer_bytes(&self) -> usize {
        let set = self.set().map(|(name, value)| answer_bytes_of_name(name) + value.len());
        set.sum::<usize>() + self.remove().map(answer_bytes_of_name).sum::<usize>()
    }
}

/// How many bytes a name takes in an answer, with what separates it from its value or from the
/// next name.
pub(crate) fn answer_bytes_of_name(name: impl AsRef<[u8]>) -> usize {
    name.as_ref().len() + 4
}

//! Who a verified token speaks of.

use std::borrow::Cow;

use super::address::{AddressFault, says_yes};
use super::claim_value::ClaimValue;
use super::rules::{HeaderRules, IdentityRules, TENANT};
use super::{address, lists, value};
use crate::token::{Claims, VerifiedToken};

/// The identity behind a token, fit for headers: every text in here but `jti` may be sent.
///
/// The cache holds tens of thousands: the texts stand one behind the other in one
/// allocation, groups and scopes joined as the headers have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    text: Box<str>,
    /// Where the principal, the email, the groups, the scopes and `jti` end in it.
    ends: [u32; 5],
    /// Where the further claims end, in the order of `headers.claims`.
    further_ends: Box<[u32]>,
    /// What was left out on the way.
    pub losses: Losses,
}

/// What a token said and the identity does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Groups dropped: reserved, unfit for a header, not wanted, or too many. That only
    /// takes rights away.
    pub groups: u32,
    /// Scopes dropped: unfit for a header, too many, or in a form that nobody can read. The token
    /// may have been limited by just these, so rules take it for one that is.
    pub scopes: u32,
    /// Why the email address is left out, when there is one.
    pub email: Option<AddressFault>,
    /// The token has more groups than fit in it and says where to ask for them (Azure's
    /// overage): the groups are unknown, not none.
    pub group_overage: bool,
}

impl Identity {
    /// Finds the identity in a verified token.
    ///
    /// # Errors
    /// The principal is missing or cannot be carried by a header, or it or the email
    /// address is a name that the platform reserves for itself.
    pub fn from_token(
        token: &VerifiedToken<'_>,
        rules: &IdentityRules,
        headers: &HeaderRules,
    ) -> Result<Self, IdentityFault> {
        let claims = token.claims();
        let tenant = token.tenant();
        let mut losses = Losses { group_overage: has_group_overage(claims), ..Losses::default() };
        let mut text = String::with_capacity(256);

        let subject = subject(claims, rules)?;
        text.push_str(&fill_in(rules.subject_prefix.as_deref(), tenant)?);
        text.push_str(&subject);
        if value::is_reserved(&text) {
            return Err(IdentityFault::SubjectReserved);
        }
        if subject.is_empty() || !value::is_name(&text, headers.profile) {
            return Err(IdentityFault::SubjectUnfit);
        }
        address::check_subject(&subject, claims, rules).map_err(IdentityFault::SubjectAddress)?;
        let subject_end = end_of(&text);

        losses.email = append_email(&mut text, claims, rules)?;
        let email_end = end_of(&text);

        let prefix = fill_in(rules.groups_prefix.as_deref(), tenant)?;
        losses.groups = lists::append_groups(&mut text, claims, &rules.groups, &prefix, headers);
        let groups_end = end_of(&text);
        losses.scopes = lists::append_scopes(&mut text, claims, rules);
        let scopes_end = end_of(&text);

        text.push_str(claims.string("jti").ok().flatten().as_deref().unwrap_or_default());
        let token_id_end = end_of(&text);
        let further_ends = headers.claims.values().map(|path| {
            let value = path.find(claims).and_then(|json| serde_json::from_str(json).ok());
            text.push_str(&value.and_then(|value| value::plain_text(&value)).unwrap_or_default());
            end_of(&text)
        });
        let further_ends = further_ends.collect();
        let ends = [subject_end, email_end, groups_end, scopes_end, token_id_end];
        Ok(Self { text: text.into_boxed_str(), ends, further_ends, losses })
    }

    /// The principal's id, never empty.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.part(0)
    }

    /// The email address, when there is one that can be believed.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        Some(self.part(1)).filter(|email| !email.is_empty())
    }

    /// The groups, in the token's order, each once.
    pub fn groups(&self) -> impl Iterator<Item = &str> + Clone {
        self.joined_groups().split(',').filter(|group| !group.is_empty())
    }

    /// The same, joined by `,`.
    #[must_use]
    pub fn joined_groups(&self) -> &str {
        self.part(2)
    }

    /// The scopes, in the token's order, each once.
    pub fn scopes(&self) -> impl Iterator<Item = &str> + Clone {
        self.joined_scopes().split(' ').filter(|scope| !scope.is_empty())
    }

    /// The same, joined by spaces.
    #[must_use]
    pub fn joined_scopes(&self) -> &str {
        self.part(3)
    }

    /// `jti`, when it is a string and says something. As the token has it.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        Some(self.part(4)).filter(|id| !id.is_empty())
    }

    /// Further claims, in the order of `headers.claims`; `None` where the token has none
    /// that can be sent.
    pub fn further(&self) -> impl Iterator<Item = Option<&str>> {
        let last = self.ends.last().copied().unwrap_or_default();
        let starts = std::iter::once(last).chain(self.further_ends.iter().copied());
        starts
            .zip(&self.further_ends)
            .map(|(start, end)| self.slice(start, *end))
            .map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    /// How much memory the texts take, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.further_ends)
    }

    /// Somebody of whom nothing else is known.
    #[cfg(test)]
    pub(super) fn named(subject: &str) -> Self {
        Self { text: subject.into(), ends: [end_of(subject); 5], ..Self::default() }
    }

    fn part(&self, index: usize) -> &str {
        let end = |index: usize| self.ends.get(index).copied().unwrap_or_default();
        self.slice(index.checked_sub(1).map_or(0, end), end(index))
    }

    fn slice(&self, start: u32, end: u32) -> &str {
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// Where a text ends. It is no longer than a token and the prefixes put before its groups.
fn end_of(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// Why a token gives no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// Neither the configured claim nor `sub` is there.
    #[error("the token has neither the configured `subject_claim` nor `sub`")]
    SubjectMissing,
    /// It is not a string, empty, too long, or has characters that headers must not.
    #[error("the token's subject is not a string that `headers.profile` allows")]
    SubjectUnfit,
    /// It maps to `*` or `service:…`.
    #[error("the token's subject maps to a name that the platform reserves")]
    SubjectReserved,
    /// It is an email address that is not believed.
    #[error("the token's subject is an email address that {0}")]
    SubjectAddress(AddressFault),
    /// It maps to `*` or `service:…`.
    #[error("the token's email maps to a name that the platform reserves")]
    EmailReserved,
    /// A prefix holds `{tid}` and the token has no `tid`.
    #[error("a configured prefix contains `{{tid}}` and the token has no `tid`")]
    TenantMissing,
}

fn subject<'j>(claims: &Claims<'j>, rules: &IdentityRules) -> Result<Cow<'j, str>, IdentityFault> {
    let json = rules.subject.find(claims).or_else(|| claims.json("sub"));
    match ClaimValue::parse(json.ok_or(IdentityFault::SubjectMissing)?) {
        ClaimValue::Text(subject) => Ok(subject),
        ClaimValue::List { .. } | ClaimValue::Names(_) | ClaimValue::Other => {
            Err(IdentityFault::SubjectUnfit)
        }
    }
}

/// Appends the email address to `text`, or says why it is left out.
fn append_email(
    text: &mut String,
    claims: &Claims<'_>,
    rules: &IdentityRules,
) -> Result<Option<AddressFault>, IdentityFault> {
    let Some(json) = rules.email.find(claims) else { return Ok(None) };
    let ClaimValue::Text(email) = ClaimValue::parse(json) else {
        return Ok(Some(AddressFault::Malformed));
    };
    if value::is_reserved(&email) {
        return Err(IdentityFault::EmailReserved);
    }
    let fault = address::check_email(&email, claims, rules).err();
    if fault.is_none() {
        text.push_str(&email);
    }
    Ok(fault)
}

/// Azure puts a reference in place of more than 200 groups (`_claim_names`), or in the
/// implicit flow just says that there are some (`hasgroups`).
fn has_group_overage(claims: &Claims<'_>) -> bool {
    let referred = claims.value("_claim_names").is_some_and(|names| names.get("groups").is_some());
    referred || claims.json("hasgroups").is_some_and(says_yes)
}

fn fill_in<'p>(
    prefix: Option<&'p str>,
    tenant: Option<&str>,
) -> Result<Cow<'p, str>, IdentityFault> {
    match (prefix, tenant) {
        (None, _) => Ok(Cow::Borrowed("")),
        (Some(prefix), _) if !prefix.contains(TENANT) => Ok(Cow::Borrowed(prefix)),
        (Some(prefix), Some(tenant)) => Ok(Cow::Owned(prefix.replace(TENANT, tenant))),
        (Some(_), None) => Err(IdentityFault::TenantMissing),
    }
}

//! Who a verified token speaks of.

use std::borrow::Cow;

use super::address::{AddressFault, says_yes};
use super::claim_value::ClaimValue;
use super::rules::{Delegation, HeaderRules, IdentityRules, TENANT};
use super::{address, lists, value};
use crate::token::{Claims, TokenUse, VerifiedToken};

/// The identity behind a token, fit for headers: every text in here but `jti` may be sent.
///
/// The cache holds tens of thousands: the texts stand one behind the other in one
/// allocation, groups and scopes joined as the headers have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    text: Box<str>,
    /// Where each [`Part`] ends in it.
    ends: [u32; PARTS],
    /// Where the further claims end, in the order of `headers.claims`.
    further_ends: Box<[u32]>,
    /// What was left out on the way.
    pub losses: Losses,
}

/// The texts of an identity, in their order.
#[derive(Clone, Copy)]
enum Part {
    Principal,
    Email,
    Groups,
    Scopes,
    TokenId,
    OnBehalfOf,
    OnBehalfOfEmail,
    OnBehalfOfGroups,
    ToldActor,
}

const PARTS: usize = Part::ToldActor as usize + 1;

/// For whom the principal acts (RFC 8693 §4.1): the subject of a token that delegates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnBehalfOf<'i> {
    /// The subject's id, never empty.
    pub subject: &'i str,
    /// The subject's email address, when there is one that can be believed.
    pub email: Option<&'i str>,
    /// The subject's groups, joined by `,`.
    pub joined_groups: &'i str,
}

impl<'i> OnBehalfOf<'i> {
    /// The subject's groups, in the token's order, each once.
    pub fn groups(&self) -> impl Iterator<Item = &'i str> + Clone + use<'i> {
        self.joined_groups.split(',').filter(|group| !group.is_empty())
    }
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
        let mut writer = Writer {
            text: String::with_capacity(256),
            ends: [0; PARTS],
            losses: Losses { group_overage: has_group_overage(claims), ..Losses::default() },
            groups_prefix: fill_in(rules.groups_prefix.as_deref(), token.tenant())?,
            subject_prefix: fill_in(rules.subject_prefix.as_deref(), token.tenant())?,
            claims,
            rules,
            headers,
        };
        let actor = claims.json("act");
        let delegates = actor.is_some()
            && rules.delegation == Delegation::Nemo
            && token.token_use() != TokenUse::AccessKey;
        if delegates {
            writer.actor()?;
        } else {
            writer.subject([Part::Principal, Part::Email, Part::Groups])?;
        }
        writer.losses.scopes = lists::append_scopes(&mut writer.text, claims, rules);
        writer.end(Part::Scopes);
        writer.text.push_str(claims.string("jti").ok().flatten().as_deref().unwrap_or_default());
        writer.end(Part::TokenId);
        let behalf = [Part::OnBehalfOf, Part::OnBehalfOfEmail, Part::OnBehalfOfGroups];
        if delegates {
            writer.subject(behalf)?;
        } else {
            behalf.into_iter().for_each(|part| writer.end(part));
            writer.plain(claims.json_at("act", "/sub"));
        }
        writer.end(Part::ToldActor);
        Ok(writer.finish())
    }

    /// The principal's id, never empty.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.part(Part::Principal)
    }

    /// The email address, when there is one that can be believed.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        Some(self.part(Part::Email)).filter(|email| !email.is_empty())
    }

    /// The groups, in the token's order, each once.
    pub fn groups(&self) -> impl Iterator<Item = &str> + Clone {
        self.joined_groups().split(',').filter(|group| !group.is_empty())
    }

    /// The same, joined by `,`.
    #[must_use]
    pub fn joined_groups(&self) -> &str {
        self.part(Part::Groups)
    }

    /// The scopes, in the token's order, each once.
    pub fn scopes(&self) -> impl Iterator<Item = &str> + Clone {
        self.joined_scopes().split(' ').filter(|scope| !scope.is_empty())
    }

    /// The same, joined by spaces.
    #[must_use]
    pub fn joined_scopes(&self) -> &str {
        self.part(Part::Scopes)
    }

    /// `jti`, when it is a string and says something. As the token has it.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        Some(self.part(Part::TokenId)).filter(|id| !id.is_empty())
    }

    /// For whom the principal acts, if for anybody.
    #[must_use]
    pub fn on_behalf_of(&self) -> Option<OnBehalfOf<'_>> {
        let subject = Some(self.part(Part::OnBehalfOf)).filter(|subject| !subject.is_empty())?;
        let email = Some(self.part(Part::OnBehalfOfEmail)).filter(|email| !email.is_empty());
        Some(OnBehalfOf { subject, email, joined_groups: self.part(Part::OnBehalfOfGroups) })
    }

    /// Who acts for the principal as the token tells (`act.sub`), where that changes nothing.
    #[must_use]
    pub fn told_actor(&self) -> Option<&str> {
        Some(self.part(Part::ToldActor)).filter(|actor| !actor.is_empty())
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
        Self { text: subject.into(), ends: [end_of(subject); PARTS], ..Self::default() }
    }

    fn part(&self, part: Part) -> &str {
        let end = |index: usize| self.ends.get(index).copied().unwrap_or_default();
        let index = part as usize;
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
    /// The token delegates, and `act` names nobody who could be sent.
    #[error("the token's `act.sub` is missing, or not a string that `headers.profile` allows")]
    ActorUnfit,
    /// It maps to `*` or `service:…`.
    #[error("the token's `act.sub` maps to a name that the platform reserves")]
    ActorReserved,
    /// A prefix holds `{tid}` and the token has no `tid`.
    #[error("a configured prefix contains `{{tid}}` and the token has no `tid`")]
    TenantMissing,
}

/// Writes the texts of an identity, one behind the other.
struct Writer<'w, 'j> {
    text: String,
    ends: [u32; PARTS],
    losses: Losses,
    subject_prefix: Cow<'w, str>,
    groups_prefix: Cow<'w, str>,
    claims: &'w Claims<'j>,
    rules: &'w IdentityRules,
    headers: &'w HeaderRules,
}

impl Writer<'_, '_> {
    /// What was written since the part before is this one.
    fn end(&mut self, part: Part) {
        if let Some(end) = self.ends.get_mut(part as usize) {
            *end = end_of(&self.text);
        }
    }

    /// The subject of the token: its id, email address and groups.
    fn subject(&mut self, [id, email, groups]: [Part; 3]) -> Result<(), IdentityFault> {
        let json = self.rules.subject.find(self.claims).or_else(|| self.claims.json("sub"));
        let json = json.ok_or(IdentityFault::SubjectMissing)?;
        let faults = [IdentityFault::SubjectReserved, IdentityFault::SubjectUnfit];
        self.id(json, faults)?;
        self.end(id);
        self.losses.email = append_email(&mut self.text, self.claims, self.rules)?;
        self.end(email);
        self.groups(lists::groups(self.claims, &self.rules.groups));
        self.end(groups);
        Ok(())
    }

    /// Who acts for the subject: id and groups, of which the same holds as of a subject's.
    fn actor(&mut self) -> Result<(), IdentityFault> {
        // No member of it twice: another parser might take the other one.
        let act = self.claims.json("act").map(|json| Claims::parse(json.as_bytes()));
        let Some(Ok(act)) = act else { return Err(IdentityFault::ActorUnfit) };
        let json = act.json("sub").ok_or(IdentityFault::ActorUnfit)?;
        self.id(json, [IdentityFault::ActorReserved, IdentityFault::ActorUnfit])?;
        self.end(Part::Principal);
        self.end(Part::Email);
        self.groups(act.json("groups"));
        self.end(Part::Groups);
        Ok(())
    }

    fn id(
        &mut self,
        json: &str,
        [reserved, unfit]: [IdentityFault; 2],
    ) -> Result<(), IdentityFault> {
        let ClaimValue::Text(id) = ClaimValue::parse(json) else { return Err(unfit) };
        let start = self.text.len();
        self.text.push_str(&self.subject_prefix);
        self.text.push_str(&id);
        let name = self.text.get(start..).unwrap_or_default();
        if value::is_reserved(name) {
            return Err(reserved);
        }
        if id.is_empty() || !value::is_name(name, self.headers.profile) {
            return Err(unfit);
        }
        address::check_subject(&id, self.claims, self.rules).map_err(IdentityFault::SubjectAddress)
    }

    fn groups(&mut self, json: Option<&str>) {
        let (prefix, headers) = (&*self.groups_prefix, self.headers);
        self.losses.groups += lists::append_groups(&mut self.text, json, prefix, headers);
    }

    /// Any claim, if it can be sent.
    fn plain(&mut self, json: Option<&str>) {
        let value = json.and_then(|json| serde_json::from_str(json).ok());
        let text = value.and_then(|value| value::plain_text(&value));
        self.text.push_str(&text.unwrap_or_default());
    }

    fn finish(mut self) -> Identity {
        let (headers, claims) = (self.headers, self.claims);
        let further = headers.claims.values().map(|path| {
            self.plain(path.find(claims));
            end_of(&self.text)
        });
        let further_ends = further.collect();
        let Self { text, ends, losses, .. } = self;
        Identity { text: text.into_boxed_str(), ends, further_ends, losses }
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

//! A decision → the bytes of Envoy's `CheckResponse`.
//!
//! What is the same for all requests with one token is encoded once (`Rendering`), what is
//! the same for all requests once a configuration; a reply joins the two, and adds the
//! headers to set and the names, of those that this client sent, to remove. The headers to set
//! are written from the identity itself: that costs little more than to copy them, and kept
//! encoded they would be a quarter of a cached token.

use bytes::{BufMut as _, Bytes, BytesMut};
use doorward_core::VerifiedIdentity;
use doorward_core::authorizer::Authorizer;
use doorward_core::decision::{Approval, Basis, Denial, Fault, Reason};
use doorward_core::header_changes::HeaderChanges;
use doorward_core::identity::{IdentityHeaders, ProtectedHeaders};
use doorward_core::issuers::IssuerId;
use smallvec::SmallVec;

use super::denial::{DenialAnswer, DenialPages, Resource};
use super::fields::{
    delimited, header, put_delimited, put_header, put_list_member, put_member, put_number,
    put_removal, put_text, removal,
};
use super::members::{self, Members};
use super::unary::{PREFIX_BYTES, put_prefix};

/// `CheckResponse.status`, code 0: what allows.
const STATUS_OK: &[u8] = &[0x0a, 0x00];
/// Field numbers of `CheckResponse`.
const STATUS: u32 = 1;
const DENIED_RESPONSE: u32 = 2;
const OK_RESPONSE: u32 = 3;
const DYNAMIC_METADATA: u32 = 4;

/// Encodes decisions under one configuration.
pub(super) struct Encoder {
    /// Grants without an identity, by [`Basis::code`] and whether a policy gave them.
    nameless: [(&'static str, bool, Rendering); 4],
    /// The members of dynamic metadata that every identified approval has.
    identified: Vec<u8>,
    /// The names that every allowing reply removes.
    never_ours: Vec<u8>,
    /// By [`Resource`] and [`Reason`].
    denials: Vec<Vec<EncodedDenial>>,
    /// The `issuer` member of dynamic metadata, by issuer.
    issuers: Vec<Vec<u8>>,
    protected: ProtectedHeaders,
    pages: DenialPages,
}

/// What of an allowing reply is the same for one identity.
struct Rendering {
    bytes: Box<[u8]>,
    /// Where the second of their two parts begins.
    splice: usize,
}

struct EncodedDenial {
    /// Status and HTTP answer.
    answer: Vec<u8>,
    /// Dynamic metadata but for the issuer.
    metadata: Vec<u8>,
}

impl EncodedDenial {
    fn new(reason: Reason, page: &DenialAnswer) -> Self {
        Self { answer: denied(reason, page), metadata: outcome("deny", reason.code()) }
    }
}

impl Encoder {
    pub(super) fn new(authorizer: &Authorizer, pages: DenialPages) -> Self {
        let protected = authorizer.protected().clone();
        let nobody = IdentityHeaders::new(None, authorizer.header_rules());
        let nameless = |basis: Basis, authorized| {
            let metadata = outcome("allow", basis.code());
            (basis.code(), authorized, render(metadata, nobody.authorized(authorized), &protected))
        };
        let mut never_ours = Vec::new();
        protected.never_ours().for_each(|name| put_removal(name.as_bytes(), &mut never_ours));
        let denials = pages
            .all_resources()
            .map(|resource| {
                let page = |reason| pages.answer(reason, None, resource);
                let encoded = |reason| EncodedDenial::new(reason, &page(reason));
                Reason::ALL.iter().copied().map(encoded).collect()
            })
            .collect();
        Self {
            nameless: [
                nameless(Basis::Anonymous, false),
                nameless(Basis::Anonymous, true),
                nameless(Basis::Bypassed, false),
                nameless(Basis::AuthDisabled, false),
            ],
            identified: outcome("allow", "authenticated"),
            never_ours,
            denials,
            issuers: authorizer.issuers().iter().map(|one| issuer_member(one.name())).collect(),
            protected,
            pages,
        }
    }

    /// The reply when Doorward itself failed: a denial like any other, because a gRPC
    /// error would let the request pass where `failure_mode_allow` is set.
    fn internal_error(&self) -> Bytes {
        self.deny(&Denial::from(Fault::Internal), Resource::FIRST)
    }

    /// The reply to a request that may pass, with these changes: a `CheckResponse`, the prefix of
    /// gRPC in front.
    pub(super) fn allow(&self, approval: &Approval, changes: &HeaderChanges<'_>) -> Bytes {
        let said = members::said(approval.said());
        let Some(identity) = approval.identity() else {
            let is_this = (approval.code(), approval.is_authorized());
            let mut nameless = self.nameless.iter();
            let rendering = nameless.find(|(code, authorized, _)| (*code, *authorized) == is_this);
            let Some((_, _, rendering)) = rendering else { return self.internal_error() };
            return self.assemble([&[], &[], &said], rendering, changes);
        };
        let Some(rendering) = identity.rendering(|| self.render(identity, changes.identity()))
        else {
            return self.internal_error();
        };
        let issuer = match identity.tenant_issuer() {
            // Its name is part of the rendering.
            Some(_) => &[],
            None => self.issuer(Some(identity.issuer())),
        };
        self.assemble([&self.identified, issuer, &said], rendering, changes)
    }

    /// Puts a reply together: dynamic metadata, of which the rendering has a further part, the headers
    /// to set, and the names to remove, at last those that this client sent and those that a policy
    /// takes away.
    fn assemble(
        &self,
        members: [&[u8]; 3],
        rendering: &Rendering,
        changes: &HeaderChanges<'_>,
    ) -> Bytes {
        let Some((known, unset)) = rendering.bytes.split_at_checked(rendering.splice) else {
            return self.internal_error();
        };
        let set: SmallVec<[_; 8]> = changes.set().collect();
        let taken_away: SmallVec<[_; 4]> = changes.taken_away().map(str::as_bytes).collect();
        let metadata = members.iter().map(|part| part.len()).sum::<usize>() + known.len();
        let headers: usize = set.iter().map(|(name, value)| header(name, value)).sum();
        let sent: usize = changes.sent().iter().chain(&taken_away).map(|name| removal(name)).sum();
        let ok = headers + unset.len() + self.never_ours.len() + sent;
        let length =
            STATUS_OK.len() + delimited(DYNAMIC_METADATA, metadata) + delimited(OK_RESPONSE, ok);
        let mut reply = BytesMut::with_capacity(PREFIX_BYTES + length);
        put_prefix(length, &mut reply);
        reply.put_slice(STATUS_OK);
        put_delimited(DYNAMIC_METADATA, metadata, &mut reply);
        members.iter().for_each(|part| reply.put_slice(part));
        reply.put_slice(known);
        put_delimited(OK_RESPONSE, ok, &mut reply);
        set.iter().for_each(|(name, value)| put_header(name, value, &mut reply));
        reply.put_slice(unset);
        reply.put_slice(&self.never_ours);
        for name in changes.sent().iter().chain(&taken_away) {
            put_removal(name, &mut reply);
        }
        reply.freeze()
    }

    fn render(&self, verified: &VerifiedIdentity, set: IdentityHeaders<'_>) -> Rendering {
        // Room for the values and for what is around them.
        let mut metadata = Struct(Vec::with_capacity(512 + verified.identity().text_bytes()));
        members::identity(verified, &mut metadata);
        render(metadata.0, set, &self.protected)
    }

    fn issuer(&self, id: Option<IssuerId>) -> &[u8] {
        id.and_then(|id| self.issuers.get(id.0)).map_or(&[], Vec::as_slice)
    }

    /// The reply to a request that is denied.
    pub(super) fn deny(&self, denial: &Denial, resource: Resource) -> Bytes {
        let reason = denial.reason();
        let ready = self.denials.get(resource.index()).and_then(|by| by.get(reason as usize));
        // Should the table lack a reason, the route ask for scopes or a policy have its say, it is
        // made now. It is never left empty: to Envoy an empty reply has status 0, and allows.
        let made;
        let encoded = match ready {
            Some(ready) if denial.scopes.is_none() && denial.said.is_none() => ready,
            Some(_) | None => {
                made = EncodedDenial::new(reason, &self.pages.told(denial, resource));
                &made
            }
        };
        let said = members::said(denial.said.as_deref());
        let EncodedDenial { answer, metadata } = encoded;
        let issuer = self.issuer(denial.issuer);
        let members = metadata.len() + issuer.len() + said.len();
        let length = answer.len() + delimited(DYNAMIC_METADATA, members);
        let mut reply = BytesMut::with_capacity(PREFIX_BYTES + length);
        put_prefix(length, &mut reply);
        reply.put_slice(answer);
        put_delimited(DYNAMIC_METADATA, members, &mut reply);
        reply.put_slice(metadata);
        reply.put_slice(issuer);
        reply.put_slice(&said);
        reply.freeze()
    }
}

/// The parts of an allowing answer that are the same for one token: its own members of
/// dynamic metadata, then, from the splice on, those of our headers that it does not set.
fn render(metadata: Vec<u8>, set: IdentityHeaders<'_>, protected: &ProtectedHeaders) -> Rendering {
    let splice = metadata.len();
    let mut bytes = metadata;
    protected.unset(set).for_each(|name| put_removal(name.as_bytes(), &mut bytes));
    Rendering { bytes: bytes.into_boxed_slice(), splice }
}

/// Members of dynamic metadata, encoded one behind the other: a `google.protobuf.Struct`.
#[derive(Default)]
struct Struct(Vec<u8>);

impl<'m> Members<'m> for Struct {
    fn text(&mut self, name: &'static str, text: &'m str) {
        put_member(name, text, &mut self.0);
    }

    fn list(&mut self, name: &'static str, items: impl Iterator<Item = &'m str> + Clone) {
        put_list_member(name, items, &mut self.0);
    }

    fn encoded(&mut self, members: &[u8]) {
        self.0.extend_from_slice(members);
    }
}

fn outcome(decision: &str, reason: &str) -> Vec<u8> {
    let mut encoded = Struct::default();
    members::outcome(decision, reason, &mut encoded);
    encoded.0
}

fn issuer_member(name: &str) -> Vec<u8> {
    let mut encoded = Struct::default();
    members::issuer(name, &mut encoded);
    encoded.0
}

/// Status and HTTP answer of a denial: `google.rpc.Status` and `DeniedHttpResponse`, whose headers
/// have the same field number as those of `OkHttpResponse`.
fn denied(reason: Reason, page: &DenialAnswer) -> Vec<u8> {
    // Any code but 0 denies; these are the ones that gRPC means by the status.
    let code = match page.status.as_u16() {
        400 => 3,
        401 => 16,
        500.. => 14,
        _ => 7,
    };
    let mut status = Vec::new();
    put_number(1, code, &mut status);
    put_text(2, reason.code().as_bytes(), &mut status);
    let mut http_status = Vec::new();
    put_number(1, page.status.as_u16().into(), &mut http_status);
    let mut response = Vec::new();
    put_text(1, &http_status, &mut response);
    page.headers.iter().for_each(|(name, value)| put_header(name, value, &mut response));
    put_text(3, page.body.as_bytes(), &mut response);
    let mut reply = Vec::new();
    put_text(STATUS, &status, &mut reply);
    put_text(DENIED_RESPONSE, &response, &mut reply);
    reply
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
    use envoy_types::pb::envoy::service::auth::v3::{CheckResponse, check_response::HttpResponse};
    use prost::Message as _;

    use super::*;

    /// A denial is what Envoy's own definitions say.
    #[test]
    fn a_denial_is_envoys() {
        for (number, code) in [(400_u16, 3), (401, 16), (403, 7), (503, 14)] {
            let page = DenialAnswer {
                status: http::StatusCode::from_u16(number).unwrap(),
                headers: vec![("x-one".into(), "1".to_owned()), ("x-two".into(), String::new())],
                body: "{}".to_owned(),
            };
            let reply = denied(Reason::Expired, &page);
            let reply = CheckResponse::decode(reply.as_slice()).unwrap();
            let status = reply.status.unwrap();
            assert_eq!((status.code, status.message.as_str()), (code, "expired"));
            let Some(HttpResponse::DeniedResponse(denied)) = reply.http_response else { panic!() };
            assert_eq!(denied.status.unwrap().code, i32::from(number));
            assert_eq!(denied.body, "{}");
            let overwrites = i32::from(HeaderAppendAction::OverwriteIfExistsOrAdd);
            assert!(denied.headers.iter().all(|option| option.append_action == overwrites));
            let headers = denied.headers.into_iter().filter_map(|option| option.header);
            let headers: Vec<_> = headers.map(|header| (header.key, header.value)).collect();
            assert_eq!(
                headers,
                [("x-one", "1"), ("x-two", "")]
                    .map(|(name, value)| { (name.to_owned(), value.to_owned()) })
            );
        }
    }
}

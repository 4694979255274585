//! A [`Decision`] → the bytes of Envoy's `CheckResponse`.
//!
//! What is the same for all requests with one token is encoded once (`Rendering`), what is
//! the same for all requests once a configuration; a reply joins the two, and adds the
//! names of forged headers that this client sent.

use bytes::{Bytes, BytesMut};
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::{
    CheckResponse, DeniedHttpResponse, OkHttpResponse, check_response::HttpResponse,
};
use envoy_types::pb::envoy::r#type::v3::HttpStatus;
use envoy_types::pb::google::protobuf::{BoolValue, ListValue, Struct, Value, value::Kind};
use envoy_types::pb::google::rpc::Status;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use smallvec::SmallVec;

use super::denial::{DenialAnswer, DenialPages};
use super::unary::{PREFIX_BYTES, put_prefix};
use crate::decision::{Admitted, Decision, Denial, Grant, Reason, Rendering};
use crate::identity::ProtectedHeaders;
use crate::issuers::Issuers;
use crate::request::HeaderView;

/// Field numbers of `CheckResponse` and `OkHttpResponse`.
const OK_RESPONSE: u32 = 3;
const DYNAMIC_METADATA: u32 = 4;
const HEADERS_TO_REMOVE: u32 = 5;

/// Encodes decisions under one configuration.
pub(super) struct Encoder {
    /// Grants without an identity, by [`Grant::code`].
    nameless: [(&'static str, Rendering); 3],
    /// The names that every allowing reply removes, encoded.
    never_ours: Vec<u8>,
    /// By [`Reason`].
    denials: Vec<EncodedDenial>,
    /// The `issuer` member of dynamic metadata, by issuer.
    issuers: Vec<Vec<u8>>,
    protected: ProtectedHeaders,
    pages: DenialPages,
}

struct EncodedDenial {
    /// Status and HTTP answer.
    answer: Vec<u8>,
    /// Dynamic metadata but for the issuer.
    metadata: Vec<u8>,
}

impl EncodedDenial {
    fn new(reason: Reason, page: &DenialAnswer) -> Self {
        Self { answer: denied(reason, page), metadata: metadata("deny", reason.code()) }
    }
}

impl Encoder {
    pub(super) fn new(protected: ProtectedHeaders, issuers: &Issuers, pages: DenialPages) -> Self {
        let nameless = |grant: Grant| {
            let metadata = metadata("allow", grant.code());
            (grant.code(), render(&[], &protected, &metadata))
        };
        let denials = Reason::ALL
            .into_iter()
            .map(|reason| EncodedDenial::new(reason, &pages.answer(reason, None)))
            .collect();
        Self {
            nameless: [
                nameless(Grant::Anonymous),
                nameless(Grant::Bypassed),
                nameless(Grant::AuthDisabled),
            ],
            denials,
            never_ours: removals(protected.never_ours()),
            issuers: issuers.iter().map(|issuer| member("issuer", text(issuer.name()))).collect(),
            protected,
            pages,
        }
    }

    /// The reply to a request that came with these `headers`: a `CheckResponse`, the
    /// prefix of gRPC in front.
    pub(super) fn encode(&self, decision: &Decision, headers: &[HeaderView<'_>]) -> Bytes {
        match decision {
            Decision::Allow(grant) => self.allow(grant, headers),
            Decision::Deny(denial) => self.deny(denial),
        }
    }

    /// The reply when Doorward itself failed: a denial like any other, because a gRPC
    /// error would let the request pass where `failure_mode_allow` is set.
    fn internal_error(&self) -> Bytes {
        self.deny(&Denial::from(crate::decision::Fault::Internal))
    }

    fn allow(&self, grant: &Grant, headers: &[HeaderView<'_>]) -> Bytes {
        let (rendering, set) = match grant.admitted() {
            Some(admitted) => {
                let rendering = admitted.rendering.get_or_init(|| self.render_admitted(admitted));
                (Some(rendering), admitted.headers.as_slice())
            }
            None => {
                let found = self.nameless.iter().find(|(code, _)| *code == grant.code());
                (found.map(|(_, rendering)| rendering), &[][..])
            }
        };
        let Some(rendering) = rendering else { return self.internal_error() };
        let names = headers.iter().map(|header| header.name);
        let forged: SmallVec<[&[u8]; 8]> =
            names.filter(|name| self.protected.forged(name, set)).collect();
        self.assemble(rendering, &forged)
    }

    /// Puts a reply together: what was rendered once, what is the same for all, and the
    /// forged headers of this request.
    fn assemble(&self, rendering: &Rendering, forged: &[&[u8]]) -> Bytes {
        let Some((head, own)) = rendering.bytes.split_at_checked(rendering.splice) else {
            return self.internal_error();
        };
        let more: usize =
            forged.iter().map(|name| length_delimited(HEADERS_TO_REMOVE, name.len())).sum();
        let ok = own.len() + self.never_ours.len() + more;
        let length = head.len() + length_delimited(OK_RESPONSE, ok);
        let mut reply = BytesMut::with_capacity(PREFIX_BYTES + length);
        put_prefix(length, &mut reply);
        reply.extend_from_slice(head);
        put_length_delimited(OK_RESPONSE, ok, &mut reply);
        reply.extend_from_slice(own);
        reply.extend_from_slice(&self.never_ours);
        for name in forged {
            put_length_delimited(HEADERS_TO_REMOVE, name.len(), &mut reply);
            reply.extend_from_slice(name);
        }
        reply.freeze()
    }

    fn render_admitted(&self, admitted: &Admitted) -> Rendering {
        let Admitted { identity, issuer_name, headers, .. } = admitted;
        let mut metadata = metadata("allow", "authenticated");
        metadata.extend(member("issuer", text(issuer_name)));
        metadata.extend(member("principal", text(&identity.subject)));
        if let Some(email) = &identity.email {
            metadata.extend(member("email", text(email)));
        }
        metadata.extend(member("groups", list(&identity.groups)));
        metadata.extend(member("scopes", list(&identity.scopes)));
        render(headers, &self.protected, &metadata)
    }

    fn deny(&self, denial: &Denial) -> Bytes {
        let reason = denial.reason();
        // Should the table lack a reason or the route ask for scopes, it is made now. It is
        // never left empty: to Envoy an empty reply has status 0, and allows.
        let made;
        let encoded = match (self.denials.get(reason as usize), denial.scopes.as_deref()) {
            (Some(ready), None) => ready,
            (_, scopes) => {
                made = EncodedDenial::new(reason, &self.pages.answer(reason, scopes));
                &made
            }
        };
        let EncodedDenial { answer, metadata } = encoded;
        let issuer = denial.issuer.and_then(|id| self.issuers.get(id.0)).map_or(&[][..], |i| i);
        let members = metadata.len() + issuer.len();
        let length = answer.len() + length_delimited(DYNAMIC_METADATA, members);
        let mut reply = BytesMut::with_capacity(PREFIX_BYTES + length);
        put_prefix(length, &mut reply);
        reply.extend_from_slice(answer);
        put_length_delimited(DYNAMIC_METADATA, members, &mut reply);
        reply.extend_from_slice(metadata);
        reply.extend_from_slice(issuer);
        reply.freeze()
    }
}

/// The parts of an allowing `CheckResponse` that are the same for one token: status and
/// metadata, then, from the splice on, its share of `ok_response`.
fn render(set: &[(String, String)], protected: &ProtectedHeaders, metadata: &[u8]) -> Rendering {
    let status = CheckResponse { status: Some(Status::default()), ..CheckResponse::default() };
    let mut bytes = BytesMut::from(status.encode_to_vec().as_slice());
    put_length_delimited(DYNAMIC_METADATA, metadata.len(), &mut bytes);
    bytes.extend_from_slice(metadata);
    let splice = bytes.len();
    let headers = set.iter().map(|(name, value)| overwrite(name, value)).collect();
    let ok = OkHttpResponse { headers, ..OkHttpResponse::default() };
    bytes.extend_from_slice(&ok.encode_to_vec());
    bytes.extend_from_slice(&removals(protected.unset(set)));
    Rendering { bytes: bytes.as_ref().into(), splice }
}

/// `headers_to_remove` of these names, encoded.
fn removals<'n>(names: impl Iterator<Item = &'n String>) -> Vec<u8> {
    let headers_to_remove = names.cloned().collect();
    OkHttpResponse { headers_to_remove, ..OkHttpResponse::default() }.encode_to_vec()
}

fn denied(reason: Reason, page: &DenialAnswer) -> Vec<u8> {
    // Any code but 0 denies; these are the ones that gRPC means by the status.
    let code = match page.status.as_u16() {
        400 => 3,
        401 => 16,
        403 => 7,
        _ => 14,
    };
    let headers = page.headers.iter().map(|(name, value)| overwrite(name, value)).collect();
    CheckResponse {
        status: Some(Status { code, message: reason.code().to_owned(), details: Vec::new() }),
        dynamic_metadata: None,
        http_response: Some(HttpResponse::DeniedResponse(DeniedHttpResponse {
            status: Some(HttpStatus { code: i32::from(page.status.as_u16()) }),
            headers,
            body: page.body.clone(),
        })),
    }
    .encode_to_vec()
}

/// Envoy up to 1.36 knows only the deprecated `append`, later ones `append_action`: both
/// say overwrite.
#[expect(deprecated, reason = "older Envoys read nothing else")]
fn overwrite(name: &str, value: &str) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            raw_value: Vec::new(),
        }),
        append: Some(BoolValue { value: false }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        keep_empty_value: false,
    }
}

/// The members that dynamic metadata always has.
fn metadata(decision: &str, reason: &str) -> Vec<u8> {
    let mut members = member("decision", text(decision));
    members.extend(member("reason", text(reason)));
    members
}

/// One member of a `Struct`, encoded. Members one after the other are a `Struct`.
fn member(name: &str, kind: Kind) -> Vec<u8> {
    let value = Value { kind: Some(kind) };
    Struct { fields: [(name.to_owned(), value)].into() }.encode_to_vec()
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.to_owned())
}

fn list(items: &[String]) -> Kind {
    let values = items.iter().map(|item| Value { kind: Some(text(item)) }).collect();
    Kind::ListValue(ListValue { values })
}

fn put_length_delimited(field: u32, length: usize, out: &mut BytesMut) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

/// What a field of this length takes, key and length included, in bytes.
fn length_delimited(field: u32, length: usize) -> usize {
    key_len(field) + encoded_len_varint(length as u64) + length
}

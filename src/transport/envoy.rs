//! Envoy's messages: the lean request → [`RequestView`], a [`Decision`] → the bytes of a
//! `CheckResponse`.
//!
//! What is the same for all requests with one token is encoded once (`Rendering`); only
//! the names of forged headers that this client sent are added to a reply.

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
use super::lean;
use super::unary::{PREFIX_BYTES, put_prefix, wrap_message};
use crate::decision::{Admitted, Decision, Denial, Grant, Reason, Rendering};
use crate::identity::ProtectedHeaders;
use crate::issuers::Issuers;
use crate::request::{HeaderView, RouteView};

/// Room for the headers of most requests without an allocation.
pub(super) type Headers<'a> = SmallVec<[HeaderView<'a>; 40]>;

/// Field numbers of `CheckResponse` and `OkHttpResponse`.
const OK_RESPONSE: u32 = 3;
const DYNAMIC_METADATA: u32 = 4;
const HEADERS_TO_REMOVE: u32 = 5;

/// The parts of a request, ready to make a
/// [`RequestView`](crate::request::RequestView) of.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) method: &'a [u8],
    pub(super) path: &'a [u8],
    pub(super) headers: Headers<'a>,
    pub(super) route: RouteView<'a>,
}

impl<'a> Parts<'a> {
    /// Finds the parts in a message; what is missing is empty. Envoy fills either
    /// `headers` or, with `encode_raw_headers`, `header_map`: both are read.
    pub(super) fn of(message: &'a lean::CheckRequest) -> Self {
        let Some(attributes) = &message.attributes else { return Self::default() };
        let mut route = RouteView::default();
        for lean::Entry { key, value, .. } in &attributes.context_extensions {
            route.note(key, value);
        }
        let http = attributes.request.as_ref().and_then(|request| request.http.as_ref());
        let Some(http) = http else { return Self { route, ..Self::default() } };
        let raw = http.header_map.as_ref().map_or(&[][..], |map| map.headers.as_slice());
        let view = |entry: &'a lean::Entry| HeaderView {
            name: &entry.key,
            value: if entry.value.is_empty() { &entry.raw_value } else { &entry.value },
        };
        let headers = http.headers.iter().chain(raw).map(view).collect();
        Self { method: &http.method, path: &http.path, headers, route }
    }
}

/// Encodes decisions under one configuration.
pub(super) struct Encoder {
    /// `OkHttpResponse`s of grants without an identity, by [`Grant::code`].
    nameless: [(&'static str, Rendering); 3],
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
        let forged = headers
            .iter()
            .map(|header| header.name)
            .filter(|name| self.protected.forged(name, set));
        spliced(rendering, forged)
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

/// An allowing `CheckResponse` whose `ok_response` comes last and is open for more names
/// to remove.
fn render(set: &[(String, String)], protected: &ProtectedHeaders, metadata: &[u8]) -> Rendering {
    let is_set = |name: &str| set.iter().any(|(ours, _)| ours == name);
    let ok = OkHttpResponse {
        headers: set.iter().map(|(name, value)| overwrite(name, value)).collect(),
        headers_to_remove: protected
            .always()
            .iter()
            .filter(|name| !is_set(name))
            .cloned()
            .collect(),
        ..OkHttpResponse::default()
    }
    .encode_to_vec();
    let status = CheckResponse { status: Some(Status::default()), ..CheckResponse::default() };
    let mut message = BytesMut::from(status.encode_to_vec().as_slice());
    put_length_delimited(DYNAMIC_METADATA, metadata.len(), &mut message);
    message.extend_from_slice(metadata);
    let splice = PREFIX_BYTES + message.len();
    put_length_delimited(OK_RESPONSE, ok.len(), &mut message);
    message.extend_from_slice(&ok);
    Rendering { bytes: wrap_message(&message), splice }
}

/// The rendering, with the names of forged headers added to those to remove.
fn spliced<'n>(rendering: &Rendering, forged: impl Iterator<Item = &'n [u8]>) -> Bytes {
    let mut more = BytesMut::new();
    for name in forged {
        put_length_delimited(HEADERS_TO_REMOVE, name.len(), &mut more);
        more.extend_from_slice(name);
    }
    if more.is_empty() {
        return rendering.bytes.clone();
    }
    let head = rendering.bytes.get(PREFIX_BYTES..rendering.splice).unwrap_or_default();
    let mut tail = rendering.bytes.get(rendering.splice..).unwrap_or_default();
    // The tail is `ok_response`: its key, its length, and as many bytes.
    let ok = prost::encoding::decode_key(&mut tail)
        .and_then(|_| prost::encoding::decode_varint(&mut tail))
        .map_or(&[][..], |_| tail);
    let grown = ok.len() + more.len();
    let length = head.len() + length_delimited(OK_RESPONSE, grown);
    let mut reply = BytesMut::with_capacity(PREFIX_BYTES + length);
    put_prefix(length, &mut reply);
    reply.extend_from_slice(head);
    put_length_delimited(OK_RESPONSE, grown, &mut reply);
    reply.extend_from_slice(ok);
    reply.extend_from_slice(&more);
    reply.freeze()
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

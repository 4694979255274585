//! What Envoy is told of a decision besides allow or deny: the members of dynamic metadata, the
//! same from every front that gives some.

use doorward_core::VerifiedIdentity;
use doorward_core::policy::Said;
use prost::Message as _;

/// Takes the members of dynamic metadata, which live as long as the decision.
pub trait Members<'m> {
    /// A text.
    fn text(&mut self, name: &'static str, text: &'m str);

    /// A list of texts, which may be empty.
    fn list(&mut self, name: &'static str, items: impl Iterator<Item = &'m str> + Clone);

    /// Further members, encoded as a `google.protobuf.Struct`.
    fn encoded(&mut self, members: &[u8]);
}

/// The names of all members of ours. What a policy has to say under one of them is not said.
const OURS: [&str; 12] = [
    "decision",
    "reason",
    "issuer",
    "principal",
    "email",
    "groups",
    "on_behalf_of",
    "on_behalf_of_email",
    "on_behalf_of_groups",
    "actor",
    "scopes",
    "ext_authz_duration",
];

/// What a policy has to say, encoded as a `google.protobuf.Struct`.
pub(super) fn said(said: Option<&Said>) -> Vec<u8> {
    let Some(said) = said.filter(|said| !said.metadata.is_empty()) else { return Vec::new() };
    let members = said.metadata.iter().filter(|(name, _)| !OURS.contains(&name.as_str()));
    let fields = members.map(|(name, value)| (name.clone(), protobuf(value))).collect();
    prost_types::Struct { fields }.encode_to_vec()
}

fn protobuf(value: &serde_json::Value) -> prost_types::Value {
    use prost_types::value::Kind;
    use serde_json::Value;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(truth) => Kind::BoolValue(*truth),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text.clone()),
        Value::Array(items) => {
            let values = items.iter().map(protobuf).collect();
            Kind::ListValue(prost_types::ListValue { values })
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (name.clone(), protobuf(value));
            Kind::StructValue(prost_types::Struct { fields: members.iter().map(member).collect() })
        }
    };
    prost_types::Value { kind: Some(kind) }
}

/// The members that are always there: `allow` or `deny`, and why.
pub(super) fn outcome<'m>(decision: &'m str, reason: &'m str, members: &mut impl Members<'m>) {
    members.text("decision", decision);
    members.text("reason", reason);
}

/// Whose token it was, as configured, or as the token says where an issuer stands for one a tenant.
pub(super) fn issuer<'m>(name: &'m str, members: &mut impl Members<'m>) {
    members.text("issuer", name);
}

/// Whom the token speaks of.
pub(super) fn identity<'m>(verified: &'m VerifiedIdentity, members: &mut impl Members<'m>) {
    let identity = verified.identity();
    if let Some(name) = verified.tenant_issuer() {
        issuer(name, members);
    }
    members.text("principal", identity.principal());
    if let Some(email) = identity.email() {
        members.text("email", email);
    }
    members.list("groups", identity.groups());
    if let Some(of) = identity.on_behalf_of() {
        members.text("on_behalf_of", of.subject);
        if let Some(email) = of.email {
            members.text("on_behalf_of_email", email);
        }
        members.list("on_behalf_of_groups", of.groups());
    }
    if let Some(actor) = identity.told_actor() {
        members.text("actor", actor);
    }
    members.list("scopes", identity.scopes());
}

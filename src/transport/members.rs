//! What Envoy is told of a decision besides allow or deny: the members of dynamic metadata, the
//! same from every front that gives some.

use doorward_core::VerifiedIdentity;

/// Takes the members of dynamic metadata, which live as long as the decision.
pub trait Members<'m> {
    /// A text.
    fn text(&mut self, name: &'static str, text: &'m str);

    /// A list of texts, which may be empty.
    fn list(&mut self, name: &'static str, items: impl Iterator<Item = &'m str> + Clone);
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

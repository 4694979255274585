//! The token is for us but does not say who it is about.

use doorward_core::identity::AddressFault;

use super::Advice;
use crate::product::Product;

/// No email address in the access token.
pub(crate) const EMAIL: Advice = Advice {
    entra_id: "App registrations > {client} > Token configuration > Add optional claim > Access: \
        email; or email_claim: upn or preferred_username",
    okta: "Security > API > Authorization Servers > server > Claims > Add Claim: email, Access \
        Token, Expression user.email",
    keycloak: "Clients > {client} > Client scopes: email as Default, with Add to access token on \
        in its mappers; the user needs an address too",
    auth0: "Actions > Triggers > post-login: if (event.user.email_verified) \
        api.accessToken.setCustomClaim(\"https://<you>/email\", event.user.email), and \
        email_claim: https://<you>/email",
    google: "ask for the scope email",
    zitadel: "Actions: for the function preaccesstoken, a target that answers append_claims with \
        email and email_verified, as the user has them",
    authentik: "Applications > Providers > provider > Advanced protocol settings > Scopes: add \
        email, and ask for the scope",
    cognito: "an access token gets it only from a Pre token generation Lambda trigger (version 2): \
        claimsToAddOrOverride with email and email_verified",
    other: "have the provider put it into {client}'s access tokens, or set email_claim",
};

/// The email address is there but nobody checked it.
pub(crate) const EMAIL_UNVERIFIED: Advice = Advice {
    keycloak: "Users > user > Details > Email verified, or Realm settings > Login > Verify email",
    auth0: "User Management > Users > user > Verified, or have them answer the mail",
    zitadel: "Users > user > Contact information: verify the address",
    authentik: "Customization > Property Mappers > the email scope: return email_verified true \
        only if your enrolment checks addresses",
    cognito: "User pools > pool > Users > user: mark email as verified",
    ..Advice::general("have the user confirm the address at the provider")
};

/// No groups in the access token.
pub(crate) const GROUPS: Advice = Advice {
    entra_id: "App registrations > {client} > Token configuration > Add groups claim (Access), \
        best with \"Groups assigned to the application\"; or groups_claim: roles for app roles",
    okta: "Security > API > Authorization Servers > server > Claims > Add Claim: {claim}, Access \
        Token, Value type Groups, Filter Matches regex .*",
    keycloak: "Clients > {client} > Client scopes > its -dedicated scope > Add mapper > By \
        configuration > Group Membership: Token Claim Name {claim}, Full group path off, Add to \
        access token on; or groups_claim: /realm_access/roles for realm roles",
    auth0: "Actions > Triggers > post-login: \
        api.accessToken.setCustomClaim(\"https://<you>/groups\", event.authorization.roles), and \
        groups_claim: https://<you>/groups",
    google: "Google puts no groups into tokens: decide by the email address's domain (hd), or put \
        an IdP in between",
    zitadel: "Projects > project > General > Assert Roles on Authentication (or the scope \
        urn:zitadel:iam:org:projects:roles), and the application's Token Settings > Add user roles \
        to the access token",
    authentik: "Applications > Providers > provider > Advanced protocol settings > Scopes: profile \
        (its mapping has groups), and ask for the scope",
    cognito: "User pools > pool > Groups: add the user to one; Cognito then sends cognito:groups, \
        which Doorward reads by itself",
    other: "have the provider put them into {client}'s access tokens as {claim}, or set \
        groups_claim to where they are",
};

/// How this provider puts scopes into access tokens, where they have none.
pub(crate) const SCOPES: Advice = Advice {
    entra_id: "App registrations > {client} > Expose an API > Add a scope, and have clients ask \
        for it; applications get roles instead of scp: set roles_claim: roles",
    okta: "Security > API > Authorization Servers > server > Scopes > Add Scope, and have clients \
        ask for it",
    keycloak: "Clients > {client} > Client scopes > Add client scope, each with Include in token \
        scope on",
    auth0: "Applications > APIs > api > Permissions, and have clients ask for them",
    ..Advice::general(
        "have clients ask for scopes, and the provider put them into the access \
        token as scope or scp",
    )
};

/// No subject at all.
pub(crate) const SUBJECT: Advice = Advice {
    keycloak: "Clients > {client} > Client scopes > Add client scope: basic (Default), which maps \
        sub since Keycloak 25; and Advanced > Always use lightweight access token: off",
    ..Advice::general(
        "set subject_claim to a claim that names the user and never changes, or have \
        the provider send sub (RFC 9068 §2.2)",
    )
};

/// Why an email address is not believed, and what makes it one that is.
pub(crate) fn address(provider: Product, fault: AddressFault) -> String {
    match fault {
        AddressFault::Unverified => EMAIL_UNVERIFIED.of(provider),
        AddressFault::Malformed => {
            "take it from a claim that has the address alone (`email_claim`)"
        }
        AddressFault::OutsideDomains => {
            "add the domain to this issuer's `email_domains`, if the issuer is authoritative for it"
        }
        AddressFault::AnyTenants => {
            "App registrations > the API > Token configuration > Add optional claim > Access: \
             xms_edov; or list the domains in `email_domains`"
        }
    }
    .to_owned()
}

/// More groups than a token holds.
pub(crate) fn group_overage(client: &str) -> String {
    format!(
        "App registrations > {client} > Token configuration > groups claim: \"Groups assigned to \
         the application\" (and assign them), or app roles with groups_claim: roles; a token holds \
         at most 200 groups"
    )
}

//! Who besides Doorward sets or removes an identity header, or the token it is asked about.

use super::OurHeaders;
use super::judge::at;
use super::names::may_take;
use super::place::Place;
use crate::doctor::report::Finding;

/// Fields of filters that hold the name of a request header to set.
const SETS: [&str; 7] = [
    "forward_payload_header",
    "forward_username_header",
    "verification_status_header",
    "forwarding.header",
    "ip_tag_header.header",
    "token_header.name",
    "forward_id_token.header",
];

/// Changes behind the decision: at routes, in filters, on the way to the upstream.
/// `namespaces` are those of Doorward's own metadata.
pub(super) fn behind(places: &[Place<'_>], namespaces: &[&str], ours: &OurHeaders) -> Finding {
    let changes = places.iter().flat_map(changes);
    let wrong: Vec<_> =
        changes.filter_map(|change| Some((change.hit(namespaces, ours)?, change))).collect();
    let Some((name, change)) = wrong.first() else {
        return Finding::pass("identity", "nobody but Doorward sets or removes it");
    };
    Finding::fail(
        "identity",
        format!(
            "{}: the upstream gets another identity than Doorward answered",
            change.said(name, wrong.len())
        ),
        format!(
            "leave {name} alone there; headers.claims of Doorward's configuration makes headers of \
             more claims"
        ),
    )
}

/// Changes in front of the decision: whoever has no token must not be given one.
pub(super) fn in_front(places: &[Place<'_>]) -> Option<Finding> {
    const TOKEN: &str = "authorization";
    let gives = |change: &Change<'_>| {
        matches!(&change.header, Header::Named(name) if name == TOKEN)
            && change.value.is_some_and(|value| !value.contains('%'))
    };
    let given: Vec<_> = places.iter().flat_map(changes).filter(gives).collect();
    let first = given.first()?;
    Some(Finding::fail(
        "identity",
        format!("{}: every request comes with the same token", first.said(TOKEN, given.len())),
        "leave authorization alone there: clients send their own",
    ))
}

/// A request header that a configuration changes.
struct Change<'v> {
    header: Header<'v>,
    /// What it is set to, where that is written.
    value: Option<&'v str>,
    place: Place<'v>,
}

enum Header<'v> {
    /// In lower case.
    Named(String),
    /// By a `StringMatcher`; it is removed.
    Matched(Place<'v>),
}

impl Change<'_> {
    /// The header that must not be changed so behind the decision, if it is one.
    fn hit(&self, namespaces: &[&str], ours: &OurHeaders) -> Option<String> {
        match (&self.header, self.value) {
            // Doorward's own answer, by another way.
            (_, Some(value)) if said_by_doorward(value, namespaces) => None,
            (Header::Named(name), _) => ours.trusted(name).then(|| name.clone()),
            (Header::Matched(matcher), _) => ours.known().find(|name| may_take(matcher, name)),
        }
    }

    fn said(&self, name: &str, of: usize) -> String {
        let more = if of > 1 { format!(" (and {} more)", of - 1) } else { String::new() };
        format!("{name} is changed{}{more}", at(&self.place))
    }
}

/// `%DYNAMIC_METADATA(envoy.filters.http.ext_authz:principal)%`, whole.
fn said_by_doorward(value: &str, namespaces: &[&str]) -> bool {
    let inside = value.strip_prefix("%DYNAMIC_METADATA(").and_then(|it| it.strip_suffix(")%"));
    let parts = inside.and_then(|inside| inside.split_once(':'));
    parts.is_some_and(|(namespace, key)| namespaces.contains(&namespace) && !key.contains('%'))
}

/// Every change to a request header that is written in a place, at any depth.
fn changes<'v>(place: &Place<'v>) -> Vec<Change<'v>> {
    let field = place.key();
    // Of answers and of trailers, which upstreams do not take for headers; what routes say of
    // single filters is a place of its own.
    if field.starts_with("response")
        || field.contains("railers")
        || matches!(field, "typed_per_filter_config" | "typedPerFilterConfig")
    {
        return Vec::new();
    }
    let change = |name: &str, value, place: &Place<'v>| Change {
        header: Header::Named(name.to_ascii_lowercase()),
        value,
        place: place.clone(),
    };
    let mut found = Vec::new();
    let added = place.text("header.key");
    found.extend(added.map(|name| change(name, place.text("header.value"), place)));
    // A list of names and values, without what to do where there is one.
    let given = place.items("headers_to_add");
    found.extend(given.iter().filter_map(|it| Some(change(it.text("key")?, it.text("value"), it))));
    let removed = place.text("remove").into_iter();
    let removed = removed.chain(place.texts("request_headers_to_remove"));
    found.extend(removed.map(|name| change(name, None, place)));
    if let Some(matcher) = place.at("remove_on_match.key_matcher") {
        found.push(Change {
            place: matcher.clone(),
            header: Header::Matched(matcher),
            value: None,
        });
    }
    found.extend(named_by_filters(place).iter().filter_map(|set| {
        let name = set.value.as_str()?;
        Some(change(name, None, set))
    }));
    found.extend(place.children().iter().flat_map(changes));
    found
}

/// Names of request headers in the fields of single filters.
fn named_by_filters<'v>(place: &Place<'v>) -> Vec<Place<'v>> {
    let mut names: Vec<_> = SETS.iter().filter_map(|field| place.at(field)).collect();
    let claims = place.items("claim_to_headers");
    names.extend(claims.iter().filter_map(|claim| claim.get("header_name")));
    names.extend(place.items("geo_headers_to_add"));
    names.extend(place.items("geo_field_keys"));
    // `header_to_metadata` may take the header away, `credential_injector` puts one in.
    if place.flag("remove") == Some(true) || place.is_a(".injected_credentials.generic.v3.Generic")
    {
        names.extend(place.get("header"));
    }
    names
}

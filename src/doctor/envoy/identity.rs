//! Who besides Doorward sets or removes an identity header, or the token it is asked about.

use super::OurHeaders;
use super::names::Matcher;
use super::place::{Place, and_more};
use crate::doctor::report::Finding;

/// Members of Kubernetes' objects with the request headers to set, to add and to remove: of the
/// Gateway API, of Envoy Gateway, of Istio.
const OF_KUBERNETES: [&str; 3] = ["requestHeaderModifier", "earlyRequestHeaders", "request"];
/// Fields of filters that hold the name of a request header to set.
const SETS: [&str; 9] = [
    "forward_payload_header",
    "forward_username_header",
    "verification_status_header",
    "forwarding.header",
    "ip_tag_header.header",
    "token_header.name",
    "forward_id_token.header",
    "credentialInjection.header",
    "forwardClientIDHeader",
];

/// Changes behind the decision: at routes, in filters, on the way to the upstream.
/// `namespaces` are those of Doorward's own metadata.
pub(super) fn behind(places: &[Place<'_>], namespaces: &[&str], ours: &OurHeaders) -> Finding {
    let changes = places.iter().flat_map(changes);
    let wrong: Vec<_> =
        changes.filter_map(|change| Some((change.hit(namespaces, ours)?, change))).collect();
    let Some((name, change)) = wrong.first() else {
        return Finding::pass("identity", "only Doorward sets or removes it");
    };
    change.place.fail(
        "identity",
        format!(
            "{}: the upstream gets a different identity than Doorward sent",
            change.said(name, wrong.len())
        ),
        format!(
            "do not change {name} there; headers.claims in Doorward's configuration maps more \
             claims to headers"
        ),
    )
}

/// Changes in front of the decision: whoever has no token must not be given one.
pub(super) fn in_front(places: &[Place<'_>]) -> Option<Finding> {
    const TOKEN: &str = "authorization";
    let changes = places.iter().flat_map(changes);
    let changes = changes.filter(|it| matches!(&it.header, Header::Named(name) if name == TOKEN));
    let given: Vec<_> =
        changes.map(|it| (it.value.origin(), it)).filter(|it| it.0 != Origin::Request).collect();
    let of_config = given.iter().find(|(origin, _)| *origin == Origin::Configuration);
    let (origin, first) = of_config.or(given.first())?;
    let said = first.said(TOKEN, given.len());
    Some(match origin {
        Origin::Configuration => first.place.fail(
            "identity",
            format!("{said}: every request comes with the same token"),
            "do not change authorization there: clients send their own",
        ),
        Origin::Request | Origin::Unknown => first.place.warn(
            "identity",
            format!("{said}: this file does not show whose token that is"),
            "make sure that it is the client's own",
        ),
    })
}

/// Who else writes where Doorward's metadata is: rules, logs and headers made of it would take
/// that for Doorward's answer. `namespaces` are those of the filters that ask.
pub(super) fn in_our_name(places: &[Place<'_>], namespaces: &[&str]) -> Option<Finding> {
    let written = places.iter().flat_map(|place| place.everywhere("metadata_namespace"));
    let ours = |place: &Place<'_>| place.value.as_str().is_some_and(|it| namespaces.contains(&it));
    let place = written.into_iter().find(ours)?;
    Some(place.fail(
        "identity",
        "what is no answer of Doorward's is written into its metadata",
        "use another metadata_namespace there",
    ))
}

/// What a header is set to.
#[derive(Clone, Copy)]
enum Value<'v> {
    /// It is removed.
    Removed,
    /// It gets what a filter makes of the request.
    Other,
    /// A format, in which Envoy fills in what stands between percent signs.
    Text(&'v str),
    /// The same for all, written elsewhere or in another form.
    Secret,
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Request,
    Configuration,
    Unknown,
}

/// What a request brings, among the operators of Envoy's formats.
const OF_REQUEST: [&str; 6] =
    ["REQ", "REQUEST_HEADER", "REQ_WITHOUT_QUERY", "COOKIE", "QUERY_PARAM", "PATH"];
/// Where filters and modules put what may be of the request.
const OF_FILTERS: [&str; 5] =
    ["DYNAMIC_METADATA", "FILTER_STATE", "PER_REQUEST_STATE", "CEL", "METADATA"];

impl Value<'_> {
    fn origin(self) -> Origin {
        let text = match self {
            Self::Removed | Self::Other => return Origin::Request,
            Self::Secret => return Origin::Configuration,
            Self::Text(text) => text,
        };
        let (mut rest, mut names) = (String::new(), Vec::new());
        let mut left = text;
        while let Some((before, behind)) = left.split_once('%') {
            rest.push_str(before);
            let end = behind.find(|char: char| !matches!(char, 'A'..='Z' | '0'..='9' | '_'));
            let (name, arguments) = behind.split_at(end.unwrap_or(behind.len()));
            names.push(name);
            // There may be signs for percent in the parentheses.
            let close = arguments.starts_with('(').then(|| arguments.find(')')).flatten();
            let tail = arguments.get(close.unwrap_or(0)..).unwrap_or_default();
            left = tail.split_once('%').map_or("", |(_, left)| left);
        }
        rest.push_str(left);
        // `Bearer ` may stand in front; a whole token is the same for all.
        let is_scheme = rest.trim().chars().all(|char| char.is_ascii_alphabetic());
        let all = |known: &[&str]| names.iter().all(|name| known.contains(name));
        if names.is_empty() || !is_scheme {
            Origin::Configuration
        } else if all(&OF_REQUEST) {
            Origin::Request
        } else if all(&[&OF_REQUEST[..], &OF_FILTERS[..]].concat()) {
            Origin::Unknown
        } else {
            Origin::Configuration
        }
    }
}

/// A request header that a configuration changes.
struct Change<'v> {
    header: Header<'v>,
    value: Value<'v>,
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
            (_, Value::Text(value)) if said_by_doorward(value, namespaces) => None,
            // Of those that Doorward never sets, none may be there anyway.
            (Header::Named(name), Value::Removed) => {
                ours.set.iter().any(|it| it.eq_ignore_ascii_case(name)).then(|| name.clone())
            }
            (Header::Named(name), _) => ours.trusted(name).then(|| name.clone()),
            (Header::Matched(matcher), _) => {
                let matcher = Matcher::read(matcher);
                let mut set = ours.set.iter().map(|name| name.to_ascii_lowercase());
                set.find(|name| matcher.may_take(name))
            }
        }
    }

    fn said(&self, name: &str, of: usize) -> String {
        format!("{name} is changed{}", and_more(of))
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
    let value = |place: &Place<'v>| match place.text("value") {
        Some(text) => Value::Text(text),
        // In Base64, or a number.
        None => Value::Secret,
    };
    let added = place.get("header").and_then(|it| Some((it.text("key")?, value(&it))));
    found.extend(added.map(|(name, value)| change(name, value, place)));
    // A list of names and values, without what to do where there is one.
    let given = place.items("headers_to_add");
    found.extend(given.iter().filter_map(|it| Some(change(it.text("key")?, value(it), it))));
    found.extend(credential(place).map(|name| change(name, Value::Secret, place)));
    let removed = place.text("remove").into_iter();
    let removed = removed.chain(place.texts("request_headers_to_remove"));
    found.extend(removed.map(|name| change(name, Value::Removed, place)));
    if let Some(matcher) = place.at("remove_on_match.key_matcher") {
        found.push(Change {
            place: matcher.clone(),
            header: Header::Matched(matcher),
            value: Value::Removed,
        });
    }
    found.extend(named_by_filters(place).iter().filter_map(|set| {
        let name = set.value.as_str()?;
        Some(change(name, Value::Other, set))
    }));
    if OF_KUBERNETES.contains(&field) {
        for header in [place.items("set"), place.items("add")].concat() {
            // A list of names and values, or each by its name.
            let listed = header.text("name").map(|name| (name.to_owned(), value(&header)));
            let written = header.value.as_str().map(Value::Text);
            let (name, value) = listed
                .unwrap_or_else(|| (header.key().to_owned(), written.unwrap_or(Value::Secret)));
            found.push(change(&name, value, &header));
        }
        found.extend(place.texts("remove").iter().map(|it| change(it, Value::Removed, place)));
    }
    found.extend(place.children().iter().flat_map(changes));
    found
}

/// The header in which a filter puts a credential of the gateway's own.
fn credential<'v>(place: &Place<'v>) -> Option<&'v str> {
    let field = if place.is_a(".credential_injector.v3.CredentialInjector") {
        "credential.typed_config.header"
    } else if place.is_a(".gcp_authn.v3.GcpAuthnFilterConfig") {
        "token_header.name"
    } else {
        return None;
    };
    Some(place.text(field).filter(|name| !name.is_empty()).unwrap_or("authorization"))
}

/// Names of request headers in the fields of single filters.
fn named_by_filters<'v>(place: &Place<'v>) -> Vec<Place<'v>> {
    let mut names: Vec<_> = SETS.iter().filter_map(|field| place.at(field)).collect();
    let claims = place.items("claim_to_headers");
    names.extend(claims.iter().filter_map(|claim| claim.get("header_name")));
    let claims = place.items("claimToHeaders");
    names.extend(claims.iter().filter_map(|claim| claim.get("header")));
    names.extend(place.items("geo_headers_to_add"));
    names.extend(place.items("geo_field_keys"));
    // `header_to_metadata` may take the header away.
    if place.flag("remove") == Some(true) {
        names.extend(place.get("header"));
    }
    names
}

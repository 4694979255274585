//! The ways through a route table, each with what is said of filters on it.

use std::collections::BTreeSet;

use super::clusters::{Clusters, MIRRORS, is_called_doorward};
use super::filters::Filter;
use super::names::Expression;
use super::place::Place;

/// What Doorward answers itself, and believes no identity header for.
pub(super) const DOORWARDS_OWN: [&str; 3] =
    ["/apis/auth/discovery", "/apis/auth/authenticate", "/.well-known/oauth-protected-resource"];

/// A way to an upstream. Redirects, and what Envoy answers itself, are none.
#[derive(Clone, Debug)]
pub(super) struct Way<'v> {
    pub(super) route: Place<'v>,
    pub(super) action: Place<'v>,
    /// The action, or one of its weighted clusters.
    pub(super) to: Place<'v>,
    /// What table, host, route and cluster say of filters, in this order.
    settings: Vec<Place<'v>>,
    /// Where copies of its requests go, by what table, host and route say.
    pub(super) mirrors: Vec<Place<'v>>,
}

/// The route tables of a connection manager. Of one that is sent its routes, the table of that
/// name, or else all that there are.
pub(super) fn tables<'v>(manager: &Place<'v>, all: &[Place<'v>]) -> Vec<Place<'v>> {
    let inline = manager.get("route_config").or_else(|| manager.get("scoped_routes"));
    let inside = inline.as_ref().map(|inline| inline.find(&is_table)).unwrap_or_default();
    if !inside.is_empty() || manager.get("route_config").is_some() {
        return inside;
    }
    let name = manager.text("rds.route_config_name");
    let called = all.iter().filter(|table| name.is_some() && table.text("name") == name);
    let called: Vec<_> = called.cloned().collect();
    if called.is_empty() { all.to_vec() } else { called }
}

/// Whether this is a route table.
pub(super) fn is_table(place: &Place<'_>) -> bool {
    place.get("virtual_hosts").is_some()
}

/// Every way through a table: routes stand in lists, in trees of matchers, in templates.
pub(super) fn ways<'v>(table: &Place<'v>) -> Vec<Way<'v>> {
    let mut ways = Vec::new();
    follow(table, &[], &[], &mut ways);
    ways
}

fn follow<'v>(
    place: &Place<'v>,
    above: &[Place<'v>],
    mirrors: &[Place<'v>],
    ways: &mut Vec<Way<'v>>,
) {
    let settings = with_own(above, place);
    let mirrors = [mirrors, &place.items(MIRRORS)].concat();
    let is_action = |it: &Place<'_>| it.value.is_object() && it.get("match").is_none();
    // The `route` of a template is a whole route.
    let Some(action) = place.get("route").filter(is_action) else {
        let children = place.children();
        return children.iter().for_each(|child| follow(child, &settings, &mirrors, ways));
    };
    let weighted = action.items("weighted_clusters.clusters");
    let ends = if weighted.is_empty() { vec![action.clone()] } else { weighted };
    ways.extend(ends.into_iter().map(|to| Way {
        route: place.clone(),
        action: action.clone(),
        settings: with_own(&settings, &to),
        mirrors: [&mirrors[..], &action.items(MIRRORS)].concat(),
        to,
    }));
}

fn with_own<'v>(above: &[Place<'v>], place: &Place<'v>) -> Vec<Place<'v>> {
    above.iter().cloned().chain(place.get("typed_per_filter_config")).collect()
}

impl<'v> Way<'v> {
    /// The cluster it leads to; `None` when that is decided for each request.
    pub(super) fn cluster(&self) -> Option<&'v str> {
        // A weighted cluster is called by its name.
        self.to.text("cluster").or_else(|| self.to.text("name"))
    }

    /// The clusters that its requests, and copies of them, may go to.
    pub(super) fn reached(&self, clusters: &Clusters<'v>) -> BTreeSet<&'v str> {
        let copies = self.mirrors.iter().map(|mirror| mirror.text("cluster"));
        clusters.reached([self.cluster()].into_iter().chain(copies))
    }

    /// Whether it looks like a way to Doorward: by the path of a document that it serves itself, or
    /// by the name of its cluster.
    pub(super) fn to_doorward(&self) -> bool {
        self.is_of_document()
            || self.cluster().is_some_and(is_called_doorward) && !self.takes_everything()
    }

    pub(super) fn is_of_document(&self) -> bool {
        let exact = self.route.text("match.path");
        // RFC 9728 §3.1: the path of the resource follows.
        let below = self.route.text("match.path_separated_prefix");
        exact.is_some_and(|path| DOORWARDS_OWN.contains(&path))
            || below.is_some_and(|path| path == DOORWARDS_OWN[2])
    }

    /// Where another path is made of the one that was asked for.
    pub(super) fn rewrite(&self) -> Option<Place<'v>> {
        let fields = ["prefix_rewrite", "regex_rewrite", "path_rewrite", "path_rewrite_policy"];
        fields.iter().find_map(|field| self.action.get(field))
    }

    /// Whether every path that no other route takes goes this way. Headers limit nothing: clients
    /// send what they like; but what is for another method only is none for everything.
    pub(super) fn takes_everything(&self) -> bool {
        let Some(matched) = self.route.get("match") else { return true };
        let by = |field: &str| matched.get(field).is_some();
        let expression = matched.get("safe_regex").map(|it| Expression::read(&it));
        let some = |it: &Expression| {
            ["/", "/a", "/a/b.c"].iter().any(|path| it.takes(path) == Some(false))
        };
        let narrow = matched.text("prefix").is_some_and(|prefix| prefix.len() > 1)
            || expression.is_some_and(|it| some(&it))
            || ["path", "path_separated_prefix", "connect_matcher"].iter().any(|it| by(it))
            || matched.at("path_match_policy.typed_config").is_some_and(|it| {
                it.text("path_template").is_some_and(|it| {
                    it != "/**" && !(it.starts_with("/{") && it.ends_with("=**}"))
                })
            });
        let methods = matched.items("headers");
        !narrow
            && !methods
                .iter()
                .any(|it| it.text("name") == Some(":method") && it.get("present_match").is_none())
    }

    /// Whether the route is chosen by this field of its match.
    pub(super) fn matches_by(&self, field: &str) -> bool {
        self.route.get("match").is_some_and(|matched| matched.get(field).is_some())
    }

    /// Whether it may be chosen by what a filter on the way has said or changed.
    pub(super) fn depends(&self) -> bool {
        ["headers", "dynamic_metadata", "filter_state"].iter().any(|it| self.matches_by(it))
            || [".matcher.", ".scoped_routes."].iter().any(|it| self.route.path.contains(it))
    }

    /// Where the filter is off on this way: the most specific that is said of it decides.
    pub(super) fn off(&self, filter: &Filter<'v>) -> Option<Place<'v>> {
        match self.said(filter).next() {
            Some(said) => said.iter().find_map(turned_off),
            None => filter.off().cloned(),
        }
    }

    /// What is said of a filter on this way, the most specific first.
    pub(super) fn said(&self, filter: &Filter<'v>) -> impl Iterator<Item = Vec<Place<'v>>> {
        let said = self.settings.iter().rev().map(|settings| filter.said_in(settings));
        said.filter(|said| !said.is_empty())
    }

    /// Whether anything is said of a filter on this way.
    pub(super) fn speaks_of(&self, filter: &Filter<'v>) -> bool {
        self.said(filter).next().is_some()
    }

    /// What is said of a filter on this way by `check_settings`, the most specific first.
    pub(super) fn check_settings(&self, filter: &Filter<'v>) -> Vec<Place<'v>> {
        self.said(filter)
            .flatten()
            .filter_map(|said| said.get("config").unwrap_or(said).get("check_settings"))
            .collect()
    }
}

/// Whether an entry of `typed_per_filter_config` takes the filter out.
fn turned_off<'v>(said: &Place<'v>) -> Option<Place<'v>> {
    if said.flag("disabled") == Some(true) {
        return Some(said.clone());
    }
    said.get("config").and_then(|config| turned_off(&config))
}

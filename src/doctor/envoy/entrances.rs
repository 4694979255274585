//! Other ways to the upstream than through a filter that asks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::clusters::{Clusters, address, service};
use super::judge::at;
use super::manager::Manager;
use super::place::Place;
use super::routes::{MIRRORS, Way};
use crate::doctor::report::{Finding, Section};

/// Where guarded doors lead, and where they stand themselves.
pub(super) struct Guarded {
    pub(super) upstreams: BTreeSet<String>,
    /// Where the filters ask.
    asked: BTreeSet<String>,
    doors: BTreeSet<String>,
}

impl Guarded {
    pub(super) fn of(
        managers: &[Manager<'_>],
        roots: &[Place<'_>],
        clusters: &Clusters<'_>,
    ) -> Self {
        let guarding = |manager: &&Manager<'_>| manager.chain.asking().next().is_some();
        let guarding: Vec<_> = managers.iter().filter(guarding).collect();
        let upstreams = guarding.iter().flat_map(|manager| manager.upstreams(clusters)).collect();
        let asking = guarding.iter().flat_map(|manager| manager.chain.asking());
        let asked = asking.filter_map(|(_, filter)| service(filter));
        let asked = asked.flat_map(|name| clusters.ends(name)).collect();
        let listeners = listeners(roots);
        let holding = listeners
            .iter()
            .filter(|listener| guarding.iter().any(|manager| manager.place.is_below(listener)));
        let doors = holding.flat_map(|listener| {
            let internal = listener.get("internal_listener").and(listener.text("name"));
            let socket = listener.get("address").and_then(|it| address(&it));
            internal.map(str::to_owned).into_iter().chain(socket)
        });
        Self { upstreams, asked, doors: doors.collect() }
    }

    /// Whether a way, and what copies it, leads to what Doorward answers itself and to nothing
    /// that is guarded: nobody need be asked there.
    pub(super) fn own(&self, way: &Way<'_>, clusters: &Clusters<'_>) -> bool {
        let Some(name) = way.cluster().filter(|_| way.to_doorward()) else { return false };
        let copies = clusters.options(name, MIRRORS);
        let copies = way.mirrors.iter().chain(&copies).map(|mirror| mirror.text("cluster"));
        let mut all = copies.chain([Some(name)]);
        all.all(|name| name.is_some_and(|name| !self.may_reach(name, clusters)))
            && (way.rewrite().is_none() || self.is_doorward(name, clusters))
    }

    /// Whether a cluster leads, or may lead, to a guarded upstream.
    fn may_reach(&self, name: &str, clusters: &Clusters<'_>) -> bool {
        let ends = clusters.ends(name);
        if clusters.anywhere(name) || !ends.is_disjoint(&self.upstreams) {
            return true;
        }
        let same = |one: &str| addresses(&self.upstreams).any(|other| may_be(one, other));
        let untold = addresses(&ends).next().is_none();
        !self.is_doorward(name, clusters) && (untold || addresses(&ends).any(same))
    }

    /// Whether a cluster is Doorward's, by its name or by its addresses.
    fn is_doorward(&self, name: &str, clusters: &Clusters<'_>) -> bool {
        name.to_ascii_lowercase().contains("doorward")
            || !clusters.ends(name).is_disjoint(&self.asked)
    }

    /// What a connection manager without the filter means.
    pub(super) fn unasked(&self, manager: &Manager<'_>, clusters: &Clusters<'_>) -> Finding {
        let ways: Vec<_> = manager.ways.iter().filter(|way| !self.own(way, clusters)).collect();
        let known = !manager.tables.is_empty()
            && manager.tables.iter().all(|table| table.everywhere("vhds").is_empty());
        if ways.is_empty() && known {
            return Finding::pass(
                "ext_authz",
                "nothing is checked, and no request reaches an \
                                               upstream",
            );
        }
        let ends = |name: Option<&str>| match name {
            Some(name) if !clusters.anywhere(name) => Some(clusters.ends(name)),
            Some(_) | None => None,
        };
        let ends: Option<Vec<_>> = ways.iter().map(|way| ends(way.cluster())).collect();
        let ends = ends.unwrap_or_default();
        if !ends.is_empty() && ends.iter().all(|ends| self.is_door(ends)) {
            return Finding::pass(
                "ext_authz",
                "not checked here, but by the listener that this one leads to",
            );
        }
        let apart = |ends: &BTreeSet<String>| ends.is_disjoint(&self.upstreams);
        if !self.upstreams.is_empty() && !ends.is_empty() && ends.iter().all(apart) {
            return Finding::warn(
                "ext_authz",
                format!(
                    "no filter asks Doorward{}: fine only if nothing behind it trusts identity \
                     headers",
                    at(&manager.place)
                ),
                "add envoy.filters.http.ext_authz in front of the router, as in envoy/envoy.yaml",
            );
        }
        Finding::fail(
            "ext_authz",
            format!(
                "no filter asks Doorward{}: every request passes unchanged",
                at(&manager.place)
            ),
            "add envoy.filters.http.ext_authz in front of the router, as in envoy/envoy.yaml",
        )
    }

    /// One section for each listener that leads, or may lead, to a guarded upstream without HTTP.
    pub(super) fn sections(&self, roots: &[Place<'_>], clusters: &Clusters<'_>) -> Vec<Section> {
        let worst = |listener: &Place<'_>| {
            let filters = network_filters(listener);
            filters
                .iter()
                .filter_map(|filter| self.entrance(filter, clusters))
                .max_by_key(|finding| finding.outcome)
        };
        let listeners = listeners(roots);
        let open = listeners.iter().filter_map(|listener| Some((listener, worst(listener)?)));
        open.map(|(listener, finding)| Section {
            title: format!("listener {}", listener.text("name").unwrap_or(&listener.path)),
            findings: vec![finding],
        })
        .collect()
    }

    /// What a network filter means that is no HTTP connection manager.
    fn entrance(&self, filter: &Place<'_>, clusters: &Clusters<'_>) -> Option<Finding> {
        let texts = filter.all_texts();
        let names: Vec<_> =
            texts.iter().copied().filter(|text| clusters.named(text).is_some()).collect();
        let name = filter.text("name").unwrap_or("a filter");
        let of_client = BY_CLIENT.iter().any(|kind| texts.iter().any(|text| text.contains(kind)));
        if of_client || names.iter().any(|name| clusters.anywhere(name)) {
            return Some(Finding::fail(
                "entrances",
                format!(
                    "{name} connects to wherever the client wants{}, guarded upstreams included, \
                     without asking Doorward",
                    at(filter)
                ),
                "send it through the listener with ext_authz, or remove it",
            ));
        }
        let ends: Vec<_> = names.iter().map(|name| clusters.ends(name)).collect();
        if ends.iter().any(|ends| !ends.is_disjoint(&self.upstreams)) {
            return Some(Finding::fail(
                "entrances",
                format!("{name} leads to a guarded upstream{} without asking Doorward", at(filter)),
                "send it through the listener with ext_authz, or remove it",
            ));
        }
        let is_known = |ends: &BTreeSet<String>| {
            let mut addresses = addresses(ends).peekable();
            addresses.peek().is_some() && addresses.all(is_exact)
        };
        if let Some(source) = filter.get("config_discovery") {
            return Some(Finding::warn(
                "entrances",
                format!(
                    "the configuration of {name} is loaded from elsewhere{}, and may lead to a \
                     guarded upstream without asking Doorward",
                    at(&source)
                ),
                "examine it too (`curl …/config_dump` of Envoy's admin has all of it)",
            ));
        }
        let mut elsewhere = ends.iter().filter(|ends| !self.is_door(ends)).peekable();
        elsewhere.peek()?;
        if is_known(&self.upstreams) && elsewhere.all(is_known) {
            return None;
        }
        Some(Finding::warn(
            "entrances",
            format!(
                "{name} may lead to a guarded upstream{} without asking Doorward: this file does \
                 not show where it leads",
                at(filter)
            ),
            "make sure that nothing behind it trusts identity headers, or send it through the \
             listener with ext_authz",
        ))
    }

    /// Whether all of this are guarded doors.
    fn is_door(&self, ends: &BTreeSet<String>) -> bool {
        let mut addresses = addresses(ends).peekable();
        addresses.peek().is_some() && addresses.all(|address| self.doors.contains(address))
    }
}

/// What lets a client say which cluster a connection goes to: filters by their type, and the
/// state of a connection by its key.
const BY_CLIENT: [&str; 3] =
    [".network.sni_cluster.", ".network.sni_dynamic_forward_proxy.", "envoy.tcp_proxy.cluster"];

/// Of the ends of clusters, the addresses.
fn addresses(ends: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    ends.iter().map(String::as_str).filter(|end| !end.starts_with("cluster "))
}

/// Whether an address is another one than all that are written differently: no name of a host.
fn is_exact(address: &str) -> bool {
    match address.rsplit_once(':') {
        Some((host, _)) => host.parse::<IpAddr>().is_ok() || host.starts_with(['/', '@']),
        None => true,
    }
}

/// Whether two addresses may be the same: one is a name, and the ports are no others.
fn may_be(one: &str, other: &str) -> bool {
    let port = |address| str::rsplit_once(address, ':').map(|(_, port)| port.to_owned());
    one == other || (!is_exact(one) || !is_exact(other)) && port(one) == port(other)
}

fn listeners<'v>(roots: &[Place<'v>]) -> Vec<Place<'v>> {
    let is_listener = |place: &Place<'_>| {
        ["filter_chains", "default_filter_chain", "listener_filters"]
            .iter()
            .any(|field| place.get(field).is_some())
    };
    roots.iter().flat_map(|root| root.find(&is_listener)).collect()
}

/// Every filter of a listener that is no HTTP connection manager.
fn network_filters<'v>(listener: &Place<'v>) -> Vec<Place<'v>> {
    let chains = listener.items("filter_chains").into_iter();
    let chains = chains.chain(listener.get("default_filter_chain"));
    let filters = chains.flat_map(|chain| chain.items("filters"));
    let filters = filters.chain(listener.items("listener_filters"));
    filters
        .filter(|filter| {
            !filter.get("typed_config").is_some_and(|it| it.is_a(super::manager::MANAGER))
        })
        .collect()
}

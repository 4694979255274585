//! Other ways to the upstream than through a filter that asks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::clusters::{
    Clusters, MIRRORS, is_address, is_called_doorward, listeners, service, stands_at,
};
use super::filters::Power;
use super::identity;
use super::manager::Manager;
use super::place::Place;
use super::routes::Way;
use crate::doctor::report::{Finding, Section};

/// Where guarded listeners lead, and where they stand themselves.
pub(super) struct Guarded {
    pub(super) upstreams: BTreeSet<String>,
    /// Where the filters ask.
    asked: BTreeSet<String>,
    listeners: BTreeSet<String>,
}

impl Guarded {
    pub(super) fn of<'v>(
        managers: &[Manager<'v>],
        roots: &[Place<'v>],
        clusters: &Clusters<'v>,
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
        Self { upstreams, asked, listeners: holding.flat_map(stands_at).collect() }
    }

    /// Whether a way, and what copies it, leads to what Doorward answers itself and to nothing
    /// that is guarded: nobody need be asked there.
    pub(super) fn own<'v>(&self, way: &Way<'v>, clusters: &Clusters<'v>) -> bool {
        let Some(name) = way.cluster().filter(|_| way.to_doorward()) else { return false };
        !self.may_be_reached(way, clusters)
            && (way.rewrite().is_none() || self.is_doorward(name, clusters))
    }

    /// Whether requests of a way, or copies of them, may come to a guarded upstream.
    pub(super) fn may_be_reached<'v>(&self, way: &Way<'v>, clusters: &Clusters<'v>) -> bool {
        let copies = clusters.options(way.cluster().unwrap_or_default(), MIRRORS);
        let copies = way.mirrors.iter().chain(&copies).map(|mirror| mirror.text("cluster"));
        let mut all = copies.chain([way.cluster()]);
        all.any(|name| name.is_none_or(|name| self.may_reach(name, clusters)))
    }

    /// Whether a cluster leads, or may lead, to a guarded upstream.
    fn may_reach(&self, name: &str, clusters: &Clusters<'_>) -> bool {
        let ends = clusters.ends(name);
        clusters.anywhere(name)
            || !ends.is_disjoint(&self.upstreams)
            || !self.is_doorward(name, clusters) && self.may_be_upstream(&ends)
    }

    /// Whether ends that are not told, or told by other names, may be those of a guarded upstream.
    fn may_be_upstream(&self, ends: &BTreeSet<String>) -> bool {
        let same = |one: &str| addresses(&self.upstreams).any(|other| may_be(one, other));
        addresses(ends).next().is_none()
            || addresses(&self.upstreams).next().is_none()
            || addresses(ends).any(same)
    }

    /// Whether what is called Doorward's stands where a guarded upstream may stand, by another name.
    pub(super) fn is_doubtful(&self, way: &Way<'_>, clusters: &Clusters<'_>) -> bool {
        let ends = way.cluster().map(|name| clusters.ends(name)).unwrap_or_default();
        ends.is_disjoint(&self.asked)
            && addresses(&ends).any(|one| {
                let host = |address: &str| {
                    address.rsplit_once(':').is_some_and(|(host, _)| is_exact_host(host))
                };
                addresses(&self.upstreams)
                    .any(|other| may_be(one, other) && host(one) != host(other))
            })
    }

    /// Whether a cluster is Doorward's, by its name or by its addresses.
    fn is_doorward(&self, name: &str, clusters: &Clusters<'_>) -> bool {
        is_called_doorward(name) || !clusters.ends(name).is_disjoint(&self.asked)
    }

    /// What a connection manager without the filter means. `said` is all that it does to requests:
    /// what it leads to may take that for the client's.
    pub(super) fn unasked<'v>(
        &self,
        manager: &Manager<'v>,
        clusters: &Clusters<'v>,
        said: &[Place<'v>],
    ) -> Vec<Finding> {
        const ADD: &str = "add envoy.filters.http.ext_authz in front of the router, as in envoy/envoy.yaml, or \
             Doorward itself, as in envoy/module.yaml";
        let ways: Vec<_> = manager.ways.iter().filter(|way| !self.own(way, clusters)).collect();
        let known = !manager.tables.is_empty()
            && manager.tables.iter().all(|table| table.everywhere("vhds").is_empty());
        if ways.is_empty() && known {
            let found = "nothing is checked, and no request reaches an upstream";
            return vec![Finding::pass("ext_authz", found)];
        }
        let names: BTreeSet<_> = ways.iter().flat_map(|way| way.reached(clusters)).collect();
        let anywhere = ways.iter().any(|way| way.cluster().is_none())
            || names.iter().any(|name| clusters.anywhere(name));
        let ends: Vec<_> = names.iter().map(|name| clusters.ends(name)).collect();
        let told = !anywhere && !ends.is_empty();
        if told && ends.iter().all(|ends| self.is_guarded_listener(ends)) {
            let found = "not checked here, but by the listener that this one leads to";
            let cached = manager.chain.filters.iter().find(|it| it.power() == Power::Answers);
            let cached = cached.map(|filter| {
                let found = "answers requests before the listener that checks them is reached";
                let found = format!("{} {found}", filter.name());
                filter.place.fail("filter_order", found, "move it behind Doorward's filter")
            });
            let odd = identity::in_front(said).into_iter().chain(cached);
            return [Finding::pass("ext_authz", found)].into_iter().chain(odd).collect();
        }
        let apart = |ends: &BTreeSet<String>| ends.is_disjoint(&self.upstreams);
        vec![if told && !self.upstreams.is_empty() && ends.iter().all(apart) {
            manager.place.warn(
                "ext_authz",
                "no filter asks Doorward: fine only if nothing behind it trusts identity headers",
                format!("nothing, if nothing does; else {ADD}"),
            )
        } else {
            let found = "no filter asks Doorward: every request passes unchanged";
            manager.place.fail("ext_authz", found, ADD)
        }]
    }

    /// One section for each listener that leads, or may lead, to a guarded upstream without HTTP.
    pub(super) fn sections<'v>(
        &self,
        roots: &[Place<'v>],
        clusters: &Clusters<'v>,
    ) -> Vec<Section> {
        let worst = |listener: &Place<'v>| {
            let found = network_filters(listener);
            let found = found.iter().filter_map(|filter| self.entrance(filter, clusters));
            found.max_by_key(|finding| finding.outcome)
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
    fn entrance<'v>(&self, filter: &Place<'v>, clusters: &Clusters<'v>) -> Option<Finding> {
        const ASK: &str = "send it through the listener with Doorward's filter, or remove it";
        let texts = filter.all_texts();
        let names = clusters.in_texts(filter);
        let name = filter.text("name").unwrap_or("a filter");
        let of_client = BY_CLIENT.iter().any(|kind| texts.iter().any(|text| text.contains(kind)));
        if of_client || names.iter().any(|name| clusters.anywhere(name)) {
            let found = format!(
                "{name} connects to wherever the client wants, guarded upstreams included, without \
                 asking Doorward"
            );
            return Some(filter.fail("entrances", found, ASK));
        }
        let ends: Vec<_> = names.iter().map(|name| clusters.ends(name)).collect();
        if ends.iter().any(|ends| !ends.is_disjoint(&self.upstreams)) {
            let found = format!("{name} leads to a guarded upstream without asking Doorward");
            return Some(filter.fail("entrances", found, ASK));
        }
        if let Some(source) = filter.get("config_discovery") {
            return Some(source.warn(
                "entrances",
                format!(
                    "the configuration of {name} is loaded from elsewhere, and may lead to a guarded \
                     upstream without asking Doorward"
                ),
                "examine it too (`curl …/config_dump` of Envoy's admin has all of it)",
            ));
        }
        let kind = filter.get("typed_config").and_then(|config| config.type_name());
        if !kind.is_some_and(is_known_network_filter) {
            return Some(filter.warn(
                "entrances",
                format!("{name} is of a type that may lead to a guarded upstream without asking Doorward"),
                "make sure that it does not",
            ));
        }
        if ends.iter().any(|ends| !self.is_guarded_listener(ends) && self.may_be_upstream(ends)) {
            return Some(filter.warn(
                "entrances",
                format!(
                    "{name} may lead to a guarded upstream without asking Doorward: this file does \
                     not show where it leads"
                ),
                "make sure that nothing behind it trusts identity headers, or send it through the \
                 listener with Doorward's filter",
            ));
        }
        // What it says in a tunnel, the listener with the filter takes for the client's.
        identity::in_front(std::slice::from_ref(filter))
    }

    /// Whether all of this are listeners with Doorward's filter.
    fn is_guarded_listener(&self, ends: &BTreeSet<String>) -> bool {
        let mut addresses = addresses(ends).peekable();
        addresses.peek().is_some() && addresses.all(|address| self.listeners.contains(address))
    }
}

/// Whether a filter of this type is one of Envoy's own that leads where its configuration says, or
/// nowhere: others run code.
fn is_known_network_filter(type_name: &str) -> bool {
    const CODE: [&str; 4] = ["dynamic_modules", "golang", "wasm", "ext_proc"];
    let kind = type_name
        .strip_prefix("envoy.extensions.filters.network.")
        .or_else(|| type_name.strip_prefix("envoy.extensions.filters.listener."));
    kind.and_then(|kind| kind.split('.').next()).is_some_and(|kind| !CODE.contains(&kind))
}

/// What lets a client say which cluster a connection goes to: filters by their type, and the
/// state of a connection by its key.
const BY_CLIENT: [&str; 3] =
    [".network.sni_cluster.", ".network.sni_dynamic_forward_proxy.", "envoy.tcp_proxy.cluster"];

/// Of the ends of clusters, the addresses.
fn addresses(ends: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    ends.iter().map(String::as_str).filter(|end| is_address(end))
}

/// Whether an address is another one than all that are written differently: no name of a host.
fn is_exact(address: &str) -> bool {
    address.rsplit_once(':').is_none_or(|(host, _)| is_exact_host(host))
}

fn is_exact_host(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok() || host.starts_with(['/', '@'])
}

/// Whether two addresses may be the same: one is a name, and the ports are no others.
fn may_be(one: &str, other: &str) -> bool {
    let port = |address| str::rsplit_once(address, ':').map(|(_, port)| port.to_owned());
    one == other || (!is_exact(one) || !is_exact(other)) && port(one) == port(other)
}

/// Every filter of a listener that is no HTTP connection manager.
fn network_filters<'v>(listener: &Place<'v>) -> Vec<Place<'v>> {
    let chains = listener.items("filter_chains").into_iter();
    let chains = chains.chain(listener.get("default_filter_chain"));
    let filters = chains.flat_map(|chain| chain.items("filters"));
    let is_other = |filter: &Place<'v>| {
        !filter.get("typed_config").is_some_and(|it| it.is_a(super::manager::MANAGER))
    };
    filters.chain(listener.items("listener_filters")).filter(is_other).collect()
}

//! Clusters: where they lead, and whether the one that is asked is Doorward's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::doctor::report::Finding;
use crate::loopback::is_loopback_host;

/// Members that clusters have, and nothing else that has a name.
const FIELDS: [&str; 6] = [
    "load_assignment",
    "connect_timeout",
    "eds_cluster_config",
    "cluster_type",
    "original_dst_lb_config",
    "typed_extension_protocol_options",
];
/// Where a route, or a cluster, says who gets copies of requests.
pub(super) const MIRRORS: &str = "request_mirror_policies";
/// The type of the filter that asks.
pub(super) const EXT_AUTHZ: &str = ".http.ext_authz.v3.ExtAuthz";
/// The type of filters that are dynamic modules.
pub(super) const MODULE: &str = ".http.dynamic_modules.v3.DynamicModuleFilter";
/// In the order of their numbers.
const TYPES: [&str; 5] = ["STATIC", "STRICT_DNS", "LOGICAL_DNS", "EDS", "ORIGINAL_DST"];
/// Extensions that lead where their configuration says: to addresses, or to clusters.
const LEADS_AS_SAID: [&str; 9] = [
    "static",
    "strict_dns",
    "logical_dns",
    "dns",
    "eds",
    "aggregate",
    "composite",
    "redis",
    "reverse_connection",
];

/// The clusters of a file.
pub(super) struct Clusters<'v> {
    by_name: BTreeMap<&'v str, Place<'v>>,
    /// There are no others.
    complete: bool,
    /// By the address of a listener of this file that asks nobody, the clusters that it leads to.
    passing: BTreeMap<String, Vec<&'v str>>,
    /// Where the filters of this file ask that ask a cluster called Doorward's, if any does.
    doorward: Option<BTreeSet<String>>,
}

impl<'v> Clusters<'v> {
    pub(super) fn of(roots: &[Place<'v>]) -> Self {
        let is_cluster = |place: &Place<'_>| {
            place.get("name").is_some()
                && (place.is_a(".cluster.v3.Cluster")
                    || FIELDS.iter().any(|field| place.get(field).is_some()))
        };
        let of_type = roots.iter().flat_map(|root| root.find(&is_cluster));
        // By their place, whatever is in them.
        let listed = roots.iter().flat_map(|root| root.items("static_resources.clusters"));
        let all = of_type.chain(listed);
        let by_name = all.filter_map(|cluster| Some((cluster.text("name")?, cluster))).collect();
        let complete = |root: &Place<'_>| {
            let elsewhere = ["cds_config", "cds_resources_locator"];
            let elsewhere = elsewhere.iter().any(|field| {
                root.at("dynamic_resources").is_some_and(|dynamic| dynamic.get(field).is_some())
            });
            root.get("static_resources").is_some() && !elsewhere
                || root.items("configs").iter().any(|dump| dump.is_a("ClustersConfigDump"))
        };
        let mut clusters = Self {
            by_name,
            complete: roots.iter().any(complete),
            passing: BTreeMap::new(),
            doorward: None,
        };
        let is_filter = |place: &Place<'_>| place.is_a(EXT_AUTHZ);
        let decides = |place: &Place<'_>| is_filter(place) || is_doorward(place);
        let mut open = listeners(roots);
        open.retain(|listener| listener.find(&decides).is_empty());
        clusters.passing = open
            .iter()
            .flat_map(|listener| {
                let to = clusters.in_texts(listener);
                stands_at(listener).into_iter().map(move |at| (at, to.clone()))
            })
            .collect();
        let filters = roots.iter().flat_map(|root| root.find(&is_filter));
        let called = filters.filter_map(|it| service(&it)).filter(|it| is_called_doorward(it));
        let asked: BTreeSet<_> = called.flat_map(|name| clusters.ends(name)).collect();
        clusters.doorward = Some(asked).filter(|asked| !asked.is_empty());
        clusters
    }

    /// Whether an ext_authz filter, or `check_settings`, asks Doorward: where the file has a cluster
    /// of that name which is asked, by that or by its addresses; else any may be it.
    pub(super) fn is_asked(&self, filter: &Place<'_>) -> bool {
        let Some(doorward) = &self.doorward else { return true };
        service(filter).is_some_and(|name| !self.ends(name).is_disjoint(doorward))
    }

    /// The clusters that are named in a place.
    pub(super) fn in_texts(&self, place: &Place<'v>) -> Vec<&'v str> {
        let mut names = place.all_texts();
        names.retain(|text| self.by_name.contains_key(text));
        names
    }

    pub(super) fn named(&self, name: &str) -> Option<&Place<'v>> {
        self.by_name.get(name)
    }

    /// Those that may be reached by these, where `None` is any: themselves, and those that they
    /// send copies to. What those that they are made of have for themselves, Envoy does not heed.
    pub(super) fn reached(
        &self,
        first: impl IntoIterator<Item = Option<&'v str>>,
    ) -> BTreeSet<&'v str> {
        let (mut reached, mut next) = (BTreeSet::new(), first.into_iter().collect::<Vec<_>>());
        while let Some(name) = next.pop() {
            let Some(name) = name else { return self.by_name.keys().copied().collect() };
            if !reached.insert(name) {
                continue;
            }
            let copies = self.options(name, MIRRORS);
            next.extend(copies.iter().map(|mirror| mirror.text("cluster")));
        }
        reached
    }

    /// Where a cluster leads: itself, its addresses, and the same of clusters that it is made
    /// of. Two that share one of these lead to the same upstream.
    pub(super) fn ends(&self, name: &str) -> BTreeSet<String> {
        let (mut ends, mut names) = (BTreeSet::new(), vec![name]);
        while let Some(name) = names.pop() {
            if !ends.insert(format!("cluster {name}")) {
                continue;
            }
            let Some(cluster) = self.named(name) else { continue };
            let has_address = |place: &Place<'_>| address(place).is_some();
            let assignment = cluster.get("load_assignment");
            let addresses = assignment.into_iter().flat_map(|it| it.find(&has_address));
            for address in addresses.filter_map(|place| address(&place)) {
                names.extend(self.passing.get(&address).into_iter().flatten());
                ends.insert(address);
            }
            if let Some(eds) = cluster.get("eds_cluster_config") {
                ends.insert(format!("service {}", eds.text("service_name").unwrap_or(name)));
            }
            names.extend(made_of(cluster));
        }
        ends
    }

    /// Whether a cluster, or one that it is made of, goes wherever a request says, or an
    /// extension that nobody knows here.
    pub(super) fn anywhere(&self, name: &str) -> bool {
        let (mut seen, mut names) = (BTreeSet::new(), vec![name]);
        while let Some(name) = names.pop() {
            let Some(cluster) = self.named(name).filter(|_| seen.insert(name)) else { continue };
            let by_extension = cluster.get("cluster_type").is_some_and(|it| !leads_as_said(&it));
            if by_extension || cluster.choice("type", &TYPES) == Some("ORIGINAL_DST") {
                return true;
            }
            names.extend(made_of(cluster));
        }
        false
    }

    /// This list of the protocol options of a cluster.
    pub(super) fn options(&self, name: &str, list: &str) -> Vec<Place<'v>> {
        let options = self.named(name).and_then(|it| it.get("typed_extension_protocol_options"));
        let options = options.iter().flat_map(Place::children);
        options.flat_map(|options| options.items(list)).collect()
    }

    /// Whether the cluster that the filter asks is there, speaks the protocol, cannot be
    /// listened to, and is not the upstream itself (`upstreams`: where routes lead).
    pub(super) fn asked(&self, filter: &Place<'_>, upstreams: &BTreeSet<String>) -> Vec<Finding> {
        let Some(name) = service(filter) else {
            return vec![match filter.at("grpc_service.google_grpc") {
                Some(google) => google.warn(
                    "transport",
                    "google_grpc: a second gRPC stack, slower than Envoy's own",
                    "use envoy_grpc with a cluster",
                ),
                None => filter.fail(
                    "transport",
                    "the filter has no service configured",
                    "set grpc_service: {envoy_grpc: {cluster_name: doorward}, timeout: 1s}",
                ),
            }];
        };
        if let Some(shared) = self.ends(name).intersection(upstreams).next() {
            return vec![filter.fail(
                "transport",
                format!(
                    "the filter's service is the upstream itself ({shared}): whatever that \
                     answers with 200 passes"
                ),
                "set it to Doorward's cluster",
            )];
        }
        let Some(cluster) = self.named(name) else { return vec![self.missing(filter, name)] };
        let http2 = filter.get("grpc_service").map(|_| http2(cluster));
        http2.into_iter().chain([self.transport(cluster, name)]).collect()
    }

    /// How the way to Doorward is: by TLS, on this machine, or for everybody to see.
    fn transport(&self, cluster: &Place<'_>, name: &str) -> Finding {
        let kind = cluster.choice("type", &TYPES).unwrap_or("STATIC");
        let of_file = cluster.get("cluster_type").is_none() && OF_FILE.contains(&kind);
        let untold = !self.ends(name).iter().any(|end| is_address(end));
        if untold && of_file {
            return cluster.get("load_assignment").unwrap_or_else(|| cluster.clone()).fail(
                "transport",
                "the cluster has no endpoint: nobody answers there, and no request can be checked",
                "give it the address of Doorward, as in envoy/envoy.yaml",
            );
        }
        if cluster.get("transport_socket").is_some() {
            return Finding::pass("transport", "TLS to Doorward");
        }
        if untold {
            return cluster.warn(
                "transport",
                "the addresses of the cluster are not in this file",
                "make sure that they are Doorward's, and that tokens travel there by TLS or on this \
                 machine",
            );
        }
        let has_address = |place: &Place<'_>| place.get("socket_address").is_some();
        let far = cluster.find(&has_address).into_iter().find(|place| {
            let address = place.text("socket_address.address").unwrap_or_default();
            !is_loopback_host(address)
        });
        match far {
            Some(address) => address.warn(
                "transport",
                "tokens travel to Doorward in cleartext",
                "run Doorward beside Envoy (loopback or a unix socket), or add a transport_socket \
                 with TLS (server.grpc.tls)",
            ),
            None => Finding::pass("transport", "Doorward is on this machine"),
        }
    }

    fn missing(&self, filter: &Place<'_>, name: &str) -> Finding {
        if self.complete {
            filter.fail(
                "transport",
                format!("there is no cluster {name}: no request can be checked"),
                "set it to Doorward's cluster, as in envoy/envoy.yaml",
            )
        } else {
            filter.warn(
                "transport",
                format!("the cluster {name} is not in this file"),
                "examine the file that defines it: gRPC needs http2_protocol_options there",
            )
        }
    }
}

/// The types of clusters whose endpoints are written out in the file, and nowhere else.
const OF_FILE: [&str; 3] = ["STATIC", "STRICT_DNS", "LOGICAL_DNS"];

/// The clusters that one is made of: by their names, or as objects with names.
fn made_of<'v>(cluster: &Place<'v>) -> Vec<&'v str> {
    let inside = cluster.items("cluster_type.typed_config.clusters");
    inside.iter().filter_map(|it| it.value.as_str().or_else(|| it.text("name"))).collect()
}

/// Whether a `cluster_type` is known to be none that goes where a request says. Envoy goes by
/// the type of the configuration; the name decides where there is none.
fn leads_as_said(kind: &Place<'_>) -> bool {
    let type_name = kind.get("typed_config").and_then(|it| it.type_name());
    let name = match type_name.and_then(|name| name.strip_prefix("envoy.extensions.clusters.")) {
        Some(kind) => kind.split('.').next(),
        None if type_name.is_some_and(|name| !name.ends_with(".Empty")) => None,
        None => kind.text("name").and_then(|name| name.rsplit('.').next()),
    };
    name.is_some_and(|name| LEADS_AS_SAID.contains(&name.to_ascii_lowercase().as_str()))
}

/// The cluster that an ext_authz filter, or `check_settings`, asks.
pub(super) fn service<'v>(filter: &Place<'v>) -> Option<&'v str> {
    let grpc = filter.text("grpc_service.envoy_grpc.cluster_name");
    grpc.or_else(|| filter.text("http_service.server_uri.cluster"))
}

/// An address as a text: a socket's, a pipe's, an internal listener's. All that can only be this
/// machine are one.
pub(super) fn address(place: &Place<'_>) -> Option<String> {
    if let Some(socket) = place.get("socket_address") {
        let port = socket.number("port_value").map(|port| port.to_string());
        let port = port.as_deref().or_else(|| socket.text("named_port")).unwrap_or_default();
        let host = socket.text("address").unwrap_or_default();
        let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        let is_here = is_loopback_host(host) || ip.is_some_and(|ip| ip.is_unspecified());
        return Some(match ip {
            _ if is_here => format!("127.0.0.1:{port}"),
            Some(ip) => format!("{ip}:{port}"),
            None => format!("{}:{port}", host.to_ascii_lowercase()),
        });
    }
    let pipe = place.text("pipe.path").map(|path| match path.strip_prefix('/') {
        // However often a slash stands there, and whatever dots.
        Some(_) => Path::new(path).components().collect::<PathBuf>().to_string_lossy().into_owned(),
        None => path.to_owned(),
    });
    let internal = || place.text("envoy_internal_address.server_listener_name").map(str::to_owned);
    pipe.or_else(internal)
}

/// Whether an end of a cluster is an address.
pub(super) fn is_address(end: &str) -> bool {
    !end.starts_with("cluster ") && !end.starts_with("service ")
}

/// Whether a name says that this is Doorward.
pub(super) fn is_called_doorward(name: &str) -> bool {
    name.to_ascii_lowercase().contains("doorward")
}

/// Whether the configuration of a filter is that of Doorward inside Envoy.
pub(super) fn is_doorward(filter: &Place<'_>) -> bool {
    let fields = ["filter_name", "dynamic_module_config.name", "dynamic_module_config.module"];
    let said = |field: &str| filter.at(field).is_some_and(|it| it.has_text(is_called_doorward));
    filter.is_a(MODULE) && fields.iter().any(|field| said(field))
}

/// The listeners of a file.
pub(super) fn listeners<'v>(roots: &[Place<'v>]) -> Vec<Place<'v>> {
    let is_listener = |place: &Place<'_>| {
        ["filter_chains", "default_filter_chain", "listener_filters"]
            .iter()
            .any(|field| place.get(field).is_some())
    };
    roots.iter().flat_map(|root| root.find(&is_listener)).collect()
}

/// The addresses at which a listener stands.
pub(super) fn stands_at(listener: &Place<'_>) -> Vec<String> {
    let internal = listener.get("internal_listener").and(listener.text("name"));
    let more = listener.items("additional_addresses");
    let sockets = more.iter().chain([listener]).filter_map(|it| address(&it.get("address")?));
    sockets.chain(internal.map(str::to_owned)).collect()
}

/// How many resets of clients Envoy may pass on in one go before it ends the connection itself.
/// Its default is 1,000.
const ENOUGH_RESETS: u64 = 10_000;

fn http2(cluster: &Place<'_>) -> Finding {
    let options = cluster.get("typed_extension_protocol_options");
    let typed = options.into_iter().flat_map(|options| options.children());
    let explicit = typed
        .into_iter()
        .find_map(|options| options.at("explicit_http_config.http2_protocol_options"));
    let Some(http2) = explicit.or_else(|| cluster.get("http2_protocol_options")) else {
        return cluster.fail(
            "http2",
            "the cluster is not set to HTTP/2: gRPC fails, and with it every request",
            "add typed_extension_protocol_options with explicit_http_config: \
             {http2_protocol_options: {}}, as in envoy/envoy.yaml",
        );
    };
    if http2.number("max_outbound_control_frames").is_none_or(|most| most < ENOUGH_RESETS) {
        return http2.warn(
            "http2",
            "clients that reset many requests at once make Envoy close the connection that \
                 all requests share",
            "add max_outbound_control_frames: 100000 and max_outbound_frames: 100000, as in \
             envoy/envoy.yaml",
        );
    }
    Finding::pass("http2", "the cluster speaks HTTP/2")
}

//! The HTTP filters of a connection manager in the order in which requests meet them, and
//! what each can do to a request.

use std::slice;

use super::clusters::is_doorward;
use super::place::Place;

/// A filter, taken out of what it may be wrapped in.
#[derive(Clone, Debug)]
pub(super) struct Filter<'v> {
    /// Where it stands, with its name.
    pub(super) place: Place<'v>,
    /// Its configuration; of one that is discovered, the one until then.
    pub(super) config: Option<Place<'v>>,
    /// The entry of the connection manager's list, and the one of the filter chain in it: their
    /// names are what routes speak of.
    entries: Vec<Place<'v>>,
    /// A matcher decides for which requests it is there.
    pub(super) picked: bool,
}

/// What a filter can do to a request that has been decided about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Power {
    /// It changes no request header but those that its configuration names, or Envoy does.
    Fixed,
    /// It runs code or asks a service, or nobody has looked at it here: any header may change.
    Any,
    /// It answers requests itself: from memory, from files, from clusters of its own.
    Answers,
    /// It changes answers to clients, ours too.
    Rewords,
}

/// What the filters of Envoy 1.40 can do, but those that run code: kinds that are not here may do
/// anything.
const POWERS: [(Power, &str); 3] = [
    (
        Power::Fixed,
        "adaptive_concurrency admission_control alternate_protocols_cache api_key_auth \
         aws_request_signing bandwidth_limit bandwidth_share basic_auth body_size_limit buffer \
         cdn_loop compressor connect_grpc_bridge cors credential_injector csrf decompressor \
         dynamic_forward_proxy fault file_system_buffer gcp_authn geoip grpc_field_extraction \
         grpc_http1_bridge grpc_http1_reverse_bridge grpc_json_transcoder grpc_stats grpc_web \
         header_mutation header_to_metadata health_check ip_tagging json_to_metadata jwt_authn \
         local_ratelimit oauth2 original_src proto_api_scrubber proto_message_extraction \
         rate_limit_quota rbac router set_filter_state set_metadata sse_to_metadata \
         stateful_session tap thrift_to_metadata transform upstream_codec",
    ),
    (Power::Answers, "cache cache_v2 file_server mcp_router"),
    (Power::Rewords, "custom_response"),
];

/// The filters of this list, in their order.
pub(super) fn in_order<'v>(list: &[Place<'v>]) -> Vec<Filter<'v>> {
    list.iter().flat_map(|entry| unwrapped(entry, slice::from_ref(entry), false)).collect()
}

fn unwrapped<'v>(place: &Place<'v>, entries: &[Place<'v>], picked: bool) -> Vec<Filter<'v>> {
    let config = place.get("typed_config").or_else(|| place.at("config_discovery.default_config"));
    if let Some(config) = &config {
        if config.is_a(".filter_chain.v3.FilterChainConfig") {
            let inside = config.items("default_filter_chain.filters");
            let below = |one: &Place<'v>| [entries, slice::from_ref(one)].concat();
            return inside.iter().flat_map(|one| unwrapped(one, &below(one), picked)).collect();
        }
        if config.is_a(".matching.v3.ExtensionWithMatcher")
            || config.is_a(".composite.v3.Composite")
        {
            // By the name of the wrapper, routes may bring others.
            let wrapper = Filter::new(place, None, entries, true);
            return [vec![wrapper], within(config, entries)].concat();
        }
    }
    vec![Filter::new(place, config, entries, picked)]
}

/// The filters in what a matcher leads to.
fn within<'v>(config: &Place<'v>, entries: &[Place<'v>]) -> Vec<Filter<'v>> {
    let is_filter = |place: &Place<'v>| {
        let typed = place.get("typed_config").and_then(|config| config.type_name());
        typed.is_some_and(may_be_a_filter) || place.get("config_discovery").is_some()
    };
    config.find(&is_filter).iter().flat_map(|one| unwrapped(one, entries, true)).collect()
}

impl<'v> Filter<'v> {
    fn new(
        place: &Place<'v>,
        config: Option<Place<'v>>,
        entries: &[Place<'v>],
        picked: bool,
    ) -> Self {
        Self { place: place.clone(), config, entries: entries.to_vec(), picked }
    }

    /// The filters that routes bring in its place, by what is said there.
    pub(super) fn brought(&self, settings: &[Place<'v>]) -> Vec<Self> {
        let settings = settings.iter().filter(|_| self.is_wrapper());
        settings.flat_map(|settings| within(settings, &[])).collect()
    }

    /// Whether it is nothing by itself, but stands for filters that a matcher or a route picks.
    pub(super) fn is_wrapper(&self) -> bool {
        self.config.is_none() && self.picked && !self.discovered()
    }

    /// The ext_authz filter's configuration, when this is one.
    pub(super) fn ext_authz(&self) -> Option<&Place<'v>> {
        self.config.as_ref().filter(|config| config.is_a(".http.ext_authz.v3.ExtAuthz"))
    }

    /// Doorward's configuration inside Envoy, when this filter is Doorward itself.
    pub(super) fn module(&self) -> Option<&Place<'v>> {
        self.config.as_ref().filter(|config| is_doorward(config))
    }

    /// Where what Doorward answered to it is kept as dynamic metadata: what the module tells, it
    /// tells in the name of ext_authz.
    pub(super) fn namespace(&self) -> Option<&'v str> {
        match self.module() {
            Some(_) => Some("envoy.filters.http.ext_authz"),
            None => self.place.text("name"),
        }
    }

    /// Where it is off, unless a route says otherwise.
    pub(super) fn off(&self) -> Option<&Place<'v>> {
        self.entries.iter().find(|entry| entry.flag("disabled") == Some(true))
    }

    /// What one list of settings by filter says of it.
    pub(super) fn said_in(&self, settings: &Place<'v>) -> Vec<Place<'v>> {
        let names = self.entries.iter().filter_map(|entry| entry.text("name"));
        names.filter_map(|name| settings.get(name)).collect()
    }

    /// Its name, for people.
    pub(super) fn name(&self) -> &'v str {
        self.place.text("name").unwrap_or("a filter without a name")
    }

    /// Its configuration comes from elsewhere, at some time.
    pub(super) fn discovered(&self) -> bool {
        self.place.get("config_discovery").is_some()
    }

    pub(super) fn is(&self, what: &str) -> bool {
        self.kind() == what
    }

    /// `lua`, `header_mutation`: the kind of one of Envoy's own filters, by its type, whatever it is
    /// called.
    fn kind(&self) -> &'v str {
        let type_name = self.config.as_ref().and_then(Place::type_name).unwrap_or_default();
        let name = type_name.strip_prefix("envoy.extensions.filters.http.");
        name.and_then(|name| name.split('.').next()).unwrap_or_default()
    }

    /// What it can do, by its kind. What is discovered may be of any kind, whatever its name.
    pub(super) fn power(&self) -> Power {
        if self.discovered() {
            return Power::Any;
        }
        if self.is_wrapper() {
            return Power::Fixed;
        }
        let is_of = |(_, kinds): &&(Power, &str)| kinds.split(' ').any(|kind| self.is(kind));
        POWERS.iter().find(is_of).map_or(Power::Any, |(power, _)| *power)
    }

    /// Filters that have the route chosen again whatever is written of them.
    pub(super) fn routes_again(&self) -> bool {
        const AS_ASKED: &str = "match_incoming_request_route";
        match self.kind() {
            "ip_tagging" | "json_to_metadata" | "thrift_to_metadata" => true,
            // By the path of the method that it makes of the request.
            "grpc_json_transcoder" => {
                self.config.as_ref().is_none_or(|it| it.flag(AS_ASKED) != Some(true))
            }
            _ => false,
        }
    }
}

/// Whether what a matcher leads to is a filter: it is when it is none of the inputs, matchers and
/// actions that Envoy has for matchers themselves.
fn may_be_a_filter(type_name: &str) -> bool {
    const OF_MATCHERS: [&str; 6] = [
        "envoy.type.",
        "envoy.extensions.matching.",
        "envoy.extensions.common.matching.",
        "envoy.extensions.filters.common.",
        "envoy.extensions.filters.http.composite.",
        "xds.type.",
    ];
    !OF_MATCHERS.iter().any(|known| type_name.starts_with(known))
}

//! What is found at an HTTP connection manager.

use super::clusters::{Clusters, EXT_AUTHZ, MIRRORS, MODULE, is_doorward, service};
use super::entrances::Guarded;
use super::filters::Filter;
use super::manager::{Chain, MANAGER, Manager, Own};
use super::place::{Place, and_more};
use super::routes::Way;
use super::runtime::Runtime;
use super::{OurHeaders, RulesInForce};
use super::{
    bootstrap, denials, ext_authz, filters, identity, modes, module, order, paths, routes, upgrades,
};
use crate::doctor::report::{Finding, Outcome, Section};

const CONFIG_DUMP: &str =
    "examine its source too (`curl …/config_dump` of Envoy's admin has all of it)";

const OFF_REMEDY: &str = "check it anyway and let it pass: check_settings: {context_extensions: \
                          {doorward.mode: bypass}}, for the module filter_config: {mode: bypass}, \
                          or rules.bypass of Doorward's configuration";

/// What the findings at one place need to know of others.
#[derive(Clone, Copy)]
struct Scope<'s, 'v> {
    roots: &'s [Place<'v>],
    clusters: &'s Clusters<'v>,
    guarded: &'s Guarded,
    ours: &'s OurHeaders,
    by_path: bool,
}

/// One section a connection manager, one for each filter outside of any, and those about
/// other ways in. `by_path`: Doorward has rules for paths.
pub(super) fn sections(roots: &[Place<'_>], ours: &OurHeaders, by_path: bool) -> Vec<Section> {
    let is_manager = |place: &Place<'_>| place.is_a(MANAGER) && place.get("http_filters").is_some();
    let wanted =
        |place: &Place<'_>| is_manager(place) || place.is_a(EXT_AUTHZ) || is_doorward(place);
    let found = roots.iter().flat_map(|root| root.find(&wanted));
    let (managers, alone): (Vec<_>, Vec<_>) = found.partition(is_manager);
    let tables: Vec<_> = roots.iter().flat_map(|root| root.find(&routes::is_table)).collect();
    let clusters = Clusters::of(roots);
    let managers: Vec<_> =
        managers.iter().map(|it| Manager::read(it, &tables, &clusters)).collect();
    let guarded = Guarded::of(&managers, roots, &clusters);
    let scope = Scope { roots, clusters: &clusters, guarded: &guarded, ours, by_path };
    let mut sections: Vec<_> = managers
        .iter()
        .map(|manager| scope.with_rules_of(manager, |it| it.section(manager)))
        .collect();
    sections.extend(alone.iter().map(|filter| {
        let (what, findings) = match is_doorward(filter) {
            true => ("Doorward's module", module::findings(filter)),
            false => ("ext_authz filter", ext_authz::findings(filter, &[], &[], roots, ours)),
        };
        Section { title: format!("{what} at {}", filter.path), findings }
    }));
    if !managers.is_empty() {
        sections.extend(guarded.sections(roots, &clusters));
        sections.extend(bootstrap::sections(roots, ours));
        sections.extend(bootstrap::spelling(roots));
    }
    sections
}

impl<'s, 'v> Scope<'s, 'v> {
    /// Examines a manager by the configuration that Doorward has there: the module its own.
    fn with_rules_of<T>(
        &self,
        manager: &Manager<'v>,
        examine: impl FnOnce(Scope<'_, 'v>) -> T,
    ) -> T {
        let modules = manager.chain.asking().filter_map(|(filter, _)| filter.module());
        let Some(settings) = modules.filter_map(module::settings).next() else {
            return examine(*self);
        };
        let rules = RulesInForce::from(&settings);
        let ours = OurHeaders::in_force(&settings.headers, rules);
        examine(Scope { ours: &ours, by_path: rules.by_path, ..*self })
    }

    fn section(&self, manager: &Manager<'v>) -> Section {
        let place = &manager.place;
        let title = match place.text("stat_prefix") {
            Some(name) => format!("HTTP connection manager \"{name}\" at {}", place.path),
            None => format!("HTTP connection manager at {}", place.path),
        };
        let mut findings = self.manager(manager);
        // Several filters that ask have most in common.
        let mut seen = Vec::new();
        findings.retain(|finding| {
            let known = finding.outcome == Outcome::Pass && seen.contains(&finding.check);
            seen.push(finding.check);
            !known
        });
        Section { title, findings }
    }

    fn manager(&self, manager: &Manager<'v>) -> Vec<Finding> {
        let asked = manager.chain.asking().next();
        let first = asked.map(|_| asked_finding(manager)).or_else(|| undiscovered(manager));
        let mut findings = first.map(|it| vec![it]).unwrap_or_else(|| {
            let all: Vec<_> = manager.chain.filters.iter().collect();
            let mut said = said_of(manager, &all);
            said.extend(manager.tables.iter().cloned());
            said.extend(manager.place.get("early_header_mutation_extensions"));
            said.extend(self.upstream_options(manager, "http_filters"));
            self.guarded.unasked(manager, self.clusters, &said)
        });
        if asked.is_none() && findings.iter().all(|finding| finding.outcome != Outcome::Fail) {
            return findings;
        }
        findings.extend(paths::findings(&manager.place, &manager.tables));
        findings.extend(self.chain(manager, &manager.chain));
        for (_, chain) in upgrades::chains(manager, self.clusters) {
            let odd = self.chain(manager, &chain);
            findings.extend(odd.into_iter().filter(|finding| finding.outcome != Outcome::Pass));
        }
        if asked.is_some() {
            let own = |way: &Way<'v>| self.guarded.own(way, self.clusters);
            findings.extend(self.ways_off(manager, &own));
            for (filter, config) in manager.chain.asking() {
                let (ways, ours) = (&manager.ways, self.ours);
                findings.extend(modes::findings(filter, config, ways, self.by_path, ours));
            }
            findings.extend(upgrades::finding(manager, self.clusters, &own));
            findings.extend(denials::finding(manager));
            let asking = manager.chain.asking().filter_map(|(filter, _)| filter.ext_authz());
            for config in asking {
                findings.extend(self.clusters.asked(config, &self.guarded.upstreams));
            }
        }
        for guard in Runtime::of(self.roots).guards() {
            findings.retain(|finding| finding.check != guard.check);
            findings.push(guard);
        }
        findings.push(paths::underscores(&manager.place, self.ours));
        findings.push(paths::remote_address(&manager.place));
        findings
    }

    /// The filters that ask, and what is around them.
    fn chain(&self, manager: &Manager<'v>, chain: &Chain<'v>) -> Vec<Finding> {
        let asking: Vec<_> = chain.asking().collect();
        if asking.is_empty() {
            return Vec::new();
        }
        let own = |way: &Way<'v>| self.guarded.own(way, self.clusters);
        let front = manager.front(chain, &own);
        let mut findings: Vec<_> = asking
            .iter()
            .flat_map(|(filter, config)| match filter.module() {
                Some(module) => module::findings(module),
                None => ext_authz::findings(config, &front, &manager.ways, self.roots, self.ours),
            })
            .collect();
        let upstream = self.upstream_filters(manager, chain);
        let behind = manager.behind(chain, &own);
        let brought = behind.iter().flat_map(|it| it.brought(&manager.settings_of(it)));
        let brought: Vec<_> = brought.collect();
        let late: Vec<_> = behind.iter().copied().chain(&brought).chain(&upstream).collect();
        findings.push(order::finding(manager, &front, &late, self.ours));
        findings.extend(order::route_again(manager, &behind));
        let mut behind = said_of(manager, &late);
        behind.extend(manager.tables.iter().cloned());
        behind.extend(self.upstream_options(manager, MIRRORS));
        let names: Vec<_> = asking.iter().filter_map(|(it, _)| it.namespace()).collect();
        findings.push(identity::behind(&behind, &names, self.ours));
        let others = chain.filters.iter();
        let others = others.filter(|it| it.ext_authz().is_none() && it.module().is_none());
        let others: Vec<_> = others.chain(&upstream).collect();
        findings.extend(identity::in_our_name(&said_of(manager, &others), &names));
        let mut early = said_of(manager, &front);
        early.extend(manager.place.get("early_header_mutation_extensions"));
        for (filter, config) in &asking {
            // The filter asks by its own configuration, or as routes say.
            let of_ways = manager.ways.iter().flat_map(|way| way.check_settings(filter));
            for asks in of_ways.chain([(*config).clone()]) {
                early.extend(asks.at("http_service.authorization_request"));
                let to_doorward =
                    service(&asks).map(|name| self.clusters.options(name, "http_filters"));
                early.extend(to_doorward.unwrap_or_default());
            }
        }
        findings.extend(identity::in_front(&early));
        findings
    }

    /// Those that the router and the upstreams' clusters have.
    fn upstream_filters(&self, manager: &Manager<'v>, chain: &Chain<'v>) -> Vec<Filter<'v>> {
        let configs = chain.filters.iter().filter_map(|filter| filter.config.as_ref());
        let mut list: Vec<_> =
            configs.flat_map(|config| config.items("upstream_http_filters")).collect();
        list.extend(self.upstream_options(manager, "http_filters"));
        filters::in_order(&list)
    }

    /// This list of the protocol options of every cluster that ways may lead to.
    fn upstream_options(&self, manager: &Manager<'v>, list: &str) -> Vec<Place<'v>> {
        let names = manager.clusters(self.clusters);
        names.iter().flat_map(|name| self.clusters.options(name, list)).collect()
    }

    /// Whether every way to an upstream is guarded.
    fn ways_off(&self, manager: &Manager<'v>, own: Own<'_, 'v>) -> Option<Finding> {
        if manager.tables.is_empty() {
            let found = "the routes are not in this file";
            return Some(manager.place.warn("routes_off", found, CONFIG_DUMP));
        }
        if manager.never_asks() {
            return None;
        }
        let (grave, apart): (Vec<_>, Vec<_>) =
            manager.unguarded(own).into_iter().partition(|(way, _)| {
                self.guarded.upstreams.is_empty()
                    || self.guarded.may_be_reached(way, self.clusters)
                    || way.to_doorward()
            });
        if let Some((way, place)) = grave.first() {
            return Some(place.fail(
                "routes_off",
                format!(
                    "{} is not checked: forged identity headers reach the upstream there{}",
                    way.route.path,
                    and_more(grave.len())
                ),
                OFF_REMEDY,
            ));
        }
        if let Some((way, place)) = apart.first() {
            return Some(place.warn(
                "routes_off",
                format!(
                    "{} is not checked, and leads where no request is: fine only if nothing there \
                     trusts identity headers{}",
                    way.route.path,
                    and_more(apart.len())
                ),
                format!("nothing, if nothing does; else {OFF_REMEDY}"),
            ));
        }
        let doubtful = |way: &&Way<'v>| self.guarded.is_doubtful(way, self.clusters);
        let mut own = manager.off_ways().filter(|(way, _)| own(way));
        if let Some((way, place)) = own.find(|(way, _)| doubtful(way)) {
            return Some(place.warn(
                "routes_off",
                format!(
                    "{} is not checked, and its cluster may be the upstream by another name",
                    way.route.path
                ),
                "make sure that Doorward answers there, and give its cluster an address, not a name",
            ));
        }
        // Modules choose routes, VHDS brings more of them, a route may bring filters of its own.
        let unseen = ["route_specifiers", "vhds", "filter_chain"].into_iter();
        let mut unseen = unseen
            .flat_map(|field| manager.tables.iter().flat_map(|table| table.everywhere(field)));
        Some(match unseen.next() {
            Some(place) => place.warn(
                "routes_off",
                "route settings also come from elsewhere",
                "make sure that the filter is never turned off there",
            ),
            None => Finding::pass("routes_off", "no route reaches an upstream unchecked"),
        })
    }
}

/// What is said of these filters: by themselves, and by routes.
fn said_of<'v>(manager: &Manager<'v>, filters: &[&Filter<'v>]) -> Vec<Place<'v>> {
    let of_routes = filters.iter().flat_map(|filter| manager.settings_of(filter));
    let own = filters.iter().filter(|filter| !filter.is_wrapper());
    own.map(|filter| filter.place.clone()).chain(of_routes).collect()
}

/// Whether the filters that ask are there for every request.
fn asked_finding(manager: &Manager<'_>) -> Finding {
    let mut asking = manager.chain.asking().map(|(filter, _)| filter);
    let Some(filter) = asking.find(|filter| !filter.picked) else {
        let module = manager.chain.asking().any(|(filter, _)| filter.module().is_some());
        return manager.place.fail(
            if module { "module" } else { "ext_authz" },
            "Doorward is asked only where a matcher says so",
            "move its filter out of the matcher; use a route's mode or rules.bypass for what needs \
             no token",
        );
    };
    let check = if filter.module().is_some() { "module" } else { "ext_authz" };
    if manager.never_asks() {
        return filter.place.fail(
            check,
            "the filter is disabled, and no route turns it on",
            "remove disabled: true",
        );
    }
    if filter.discovered() {
        return filter.place.warn(
            check,
            "the filter's configuration may be replaced from elsewhere",
            CONFIG_DUMP,
        );
    }
    let how = if filter.module().is_some() { "decides inside Envoy" } else { "is asked" };
    Finding::pass(check, format!("Doorward {how}"))
}

/// A filter that asks once its configuration has come.
fn undiscovered(manager: &Manager<'_>) -> Option<Finding> {
    let mut filters = manager.chain.filters.iter().filter(|filter| filter.discovered());
    let filter = filters.find(|filter| {
        let types = filter.place.texts("config_discovery.type_urls");
        types.iter().any(|kind| kind.ends_with(EXT_AUTHZ) || kind.ends_with(MODULE))
    })?;
    Some(match filter.config {
        None => filter.place.warn(
            "ext_authz",
            "the filter's configuration is not in this file",
            CONFIG_DUMP,
        ),
        Some(_) => filter.place.fail(
            "ext_authz",
            "until its configuration arrives, the filter checks nothing",
            "remove default_config: without it, requests wait or are rejected",
        ),
    })
}

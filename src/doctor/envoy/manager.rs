//! An HTTP connection manager, read: its filters in their order, and the ways through it.

use std::collections::BTreeSet;

use super::clusters::{Clusters, service};
use super::filters::{Filter, in_order};
use super::place::Place;
use super::routes::{Way, tables, ways};

/// The type of a connection manager.
pub(super) const MANAGER: &str = ".http_connection_manager.v3.HttpConnectionManager";

/// A connection manager with its filters and ways.
pub(super) struct Manager<'v> {
    pub(super) place: Place<'v>,
    pub(super) chain: Chain<'v>,
    pub(super) tables: Vec<Place<'v>>,
    pub(super) ways: Vec<Way<'v>>,
}

/// Filters in the order in which requests meet them.
pub(super) struct Chain<'v> {
    pub(super) filters: Vec<Filter<'v>>,
    /// Which of them ask Doorward.
    asking: Vec<usize>,
}

impl<'v> Manager<'v> {
    /// `of_file` are the route tables of the file, for a manager that is sent its own.
    pub(super) fn read(place: &Place<'v>, of_file: &[Place<'v>]) -> Self {
        let tables = tables(place, of_file);
        let ways = tables.iter().flat_map(ways).collect();
        let chain = Chain::read(&place.items("http_filters"));
        Self { place: place.clone(), chain, tables, ways }
    }

    /// Where the guarded ways of this manager lead.
    pub(super) fn upstreams(&self, clusters: &Clusters<'_>) -> BTreeSet<String> {
        let ways = self.ways.iter().filter(|way| !way.to_doorward());
        let names = ways.flat_map(|way| {
            let mirrors = way.mirrors.iter().filter_map(|mirror| mirror.text("cluster"));
            way.cluster().into_iter().chain(mirrors)
        });
        names.flat_map(|name| clusters.ends(name)).collect()
    }

    /// Whether the filters that ask are off everywhere, and by themselves.
    pub(super) fn never_asks(&self) -> bool {
        self.chain.asking().any(|(filter, _)| filter.off().is_some())
            && self.ways.iter().all(|way| self.off(way).is_some())
    }

    /// Where the filters that ask are off on a way; `None` when one is on.
    fn off(&self, way: &Way<'v>) -> Option<Place<'v>> {
        off_in(&self.chain, way)
    }

    /// Where the filters of an upgrade's own chain are off.
    pub(super) fn off_after(
        &self,
        upgrade: &Chain<'v>,
        own: &dyn Fn(&Way<'v>) -> bool,
    ) -> Option<Place<'v>> {
        let ways = self.ways.iter().filter(|way| !own(way));
        ways.filter_map(|way| off_in(upgrade, way)).next()
    }

    /// The ways to an upstream on which nobody is asked, and what says so. Doorward's `own`
    /// documents may be open.
    pub(super) fn unguarded(&self, own: &dyn Fn(&Way<'v>) -> bool) -> Vec<(&Way<'v>, Place<'v>)> {
        let off = self.ways.iter().filter_map(|way| Some((way, self.off(way)?)));
        off.filter(|(way, _)| !own(way)).collect()
    }

    /// The clusters that requests, and copies of them, may go to: of the whole file, where one is
    /// chosen for each request.
    pub(super) fn clusters(&self, clusters: &Clusters<'v>) -> BTreeSet<&'v str> {
        let mirrors = self.ways.iter().flat_map(|way| &way.mirrors);
        let mirrors = mirrors.map(|mirror| mirror.text("cluster"));
        clusters.reached(self.ways.iter().map(Way::cluster).chain(mirrors))
    }

    /// What the tables say of a filter, anywhere.
    pub(super) fn settings_of(&self, filter: &Filter<'v>) -> Vec<Place<'v>> {
        let settings =
            self.tables.iter().flat_map(|table| table.everywhere("typed_per_filter_config"));
        settings.flat_map(|settings| filter.said_in(&settings)).collect()
    }
}

/// Where the filters of a chain that ask are off on a way; `None` when one is on.
fn off_in<'v>(chain: &Chain<'v>, way: &Way<'v>) -> Option<Place<'v>> {
    let off: Option<Vec<_>> = chain.asking().map(|(filter, _)| way.off(filter)).collect();
    off?.into_iter().next()
}

impl<'v> Chain<'v> {
    pub(super) fn read(list: &[Place<'v>]) -> Self {
        let filters = in_order(list);
        let all = || {
            filters
                .iter()
                .enumerate()
                .filter_map(|(index, filter)| Some((index, filter.ext_authz()?)))
        };
        // Where others are asked too, ours is called by its name.
        let called = |filter: &Place<'_>| {
            let name = service(filter).unwrap_or_default();
            name.to_ascii_lowercase().contains("doorward")
        };
        let some_called = all().any(|(_, filter)| called(filter));
        let asking = all().filter(|(_, filter)| called(filter) || !some_called);
        let asking = asking.map(|(index, _)| index).collect();
        Self { filters, asking }
    }

    /// The filters that ask Doorward, each with its configuration.
    pub(super) fn asking(&self) -> impl Iterator<Item = (&Filter<'v>, &Place<'v>)> {
        let filters = self.asking.iter().filter_map(|index| self.filters.get(*index));
        filters.filter_map(|filter| Some((filter, filter.ext_authz()?)))
    }

    /// Those in front of the first that asks.
    pub(super) fn front(&self) -> &[Filter<'v>] {
        let first = self.asking.first().copied().unwrap_or(self.filters.len());
        self.filters.get(..first).unwrap_or_default()
    }

    /// Those behind the last that asks.
    pub(super) fn behind(&self) -> &[Filter<'v>] {
        let last = self.asking.last().map_or(0, |last| last + 1);
        self.filters.get(last..).unwrap_or_default()
    }
}

//! An HTTP connection manager, read: its filters in their order, and the ways through it.

use std::collections::BTreeSet;
use std::slice::SliceIndex;

use super::clusters::{Clusters, is_called_doorward};
use super::filters::{Filter, in_order};
use super::place::Place;
use super::routes::{Way, tables, ways};

/// The type of a connection manager.
pub(super) const MANAGER: &str = ".http_connection_manager.v3.HttpConnectionManager";

/// Whether a way leads to what Doorward answers itself.
pub(super) type Own<'o, 'v> = &'o dyn Fn(&Way<'v>) -> bool;

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
    /// Which of them ask Doorward, or are Doorward themselves.
    asking: Vec<usize>,
}

impl<'v> Manager<'v> {
    /// `of_file` are the route tables of the file, for a manager that is sent its own.
    pub(super) fn read(place: &Place<'v>, of_file: &[Place<'v>], clusters: &Clusters<'v>) -> Self {
        let tables = tables(place, of_file);
        let ways = tables.iter().flat_map(ways).collect();
        let chain = Chain::read(&place.items("http_filters"), clusters);
        Self { place: place.clone(), chain, tables, ways }
    }

    /// Where the guarded ways of this manager lead, and copies of what goes there; of clusters that
    /// are chosen for each request, Doorward's own are none.
    pub(super) fn upstreams(&self, clusters: &Clusters<'v>) -> BTreeSet<String> {
        let guarded =
            self.ways.iter().filter(|way| !way.is_of_document() && self.off(way).is_none());
        let names = guarded.flat_map(|way| {
            let mut names = way.reached(clusters);
            names.retain(|name| way.cluster() == Some(*name) || !is_called_doorward(name));
            names
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
    pub(super) fn off_after(&self, upgrade: &Chain<'v>, own: Own<'_, 'v>) -> Option<Place<'v>> {
        let ways = self.ways.iter().filter(|way| !own(way));
        ways.filter_map(|way| off_in(upgrade, way)).next()
    }

    /// The ways on which nobody is asked, and what says so.
    pub(super) fn off_ways(&self) -> impl Iterator<Item = (&Way<'v>, Place<'v>)> {
        self.ways.iter().filter_map(|way| Some((way, self.off(way)?)))
    }

    /// Those to an upstream. Doorward's `own` documents may be open.
    pub(super) fn unguarded(&self, own: Own<'_, 'v>) -> Vec<(&Way<'v>, Place<'v>)> {
        self.off_ways().filter(|(way, _)| !own(way)).collect()
    }

    /// The clusters that requests, and copies of them, may go to: of the whole file, where one is
    /// chosen for each request.
    pub(super) fn clusters(&self, clusters: &Clusters<'v>) -> BTreeSet<&'v str> {
        self.ways.iter().flat_map(|way| way.reached(clusters)).collect()
    }

    /// Whether a filter is on for some request.
    fn uses(&self, filter: &Filter<'v>) -> bool {
        filter.off().is_none() && self.ways.is_empty()
            || self.ways.iter().any(|way| way.off(filter).is_none())
    }

    /// What requests may meet before they are decided about for the last time, without the filters
    /// that ask.
    pub(super) fn front<'c>(&self, chain: &'c Chain<'v>, own: Own<'_, 'v>) -> Vec<&'c Filter<'v>> {
        let last = self.last_asked(chain, own).max();
        self.others(chain, ..last.unwrap_or(chain.filters.len()))
    }

    /// What they may meet after that.
    pub(super) fn behind<'c>(&self, chain: &'c Chain<'v>, own: Own<'_, 'v>) -> Vec<&'c Filter<'v>> {
        let last = self.last_asked(chain, own).min();
        self.others(chain, last.map_or(0, |last| last + 1)..)
    }

    /// Where each way to an upstream is decided about for the last time. A filter that a matcher
    /// picks is never the last, unless there is no other; where ways are not known, each may be.
    fn last_asked(&self, chain: &Chain<'v>, own: Own<'_, 'v>) -> impl Iterator<Item = usize> {
        let filter = |index: &usize| chain.filters.get(*index);
        let sure = chain.asking.iter().filter(|it| filter(it).is_some_and(|it| !it.picked));
        let sure: Vec<_> = sure.copied().collect();
        let on = |way: &Way<'v>| {
            sure.iter().rev().find(|it| filter(it).is_some_and(|it| way.off(it).is_none())).copied()
        };
        let ways = self.ways.iter().filter(|way| !own(way));
        let candidates = [ways.filter_map(on).collect(), sure.clone(), chain.asking.clone()];
        candidates.into_iter().find(|it| !it.is_empty()).unwrap_or_default().into_iter()
    }

    /// Those of these filters that are on for some request, and do not ask.
    fn others<'c>(
        &self,
        chain: &'c Chain<'v>,
        part: impl SliceIndex<[Filter<'v>], Output = [Filter<'v>]>,
    ) -> Vec<&'c Filter<'v>> {
        let asking: Vec<_> = chain.asking().map(|(filter, _)| &filter.place.path).collect();
        let part = chain.filters.get(part).unwrap_or_default().iter();
        part.filter(|it| !asking.contains(&&it.place.path) && self.uses(it)).collect()
    }

    /// What the tables say of a filter, anywhere.
    pub(super) fn settings_of(&self, filter: &Filter<'v>) -> Vec<Place<'v>> {
        let settings =
            self.tables.iter().flat_map(|table| table.everywhere("typed_per_filter_config"));
        settings.flat_map(|settings| filter.said_in(&settings)).collect()
    }
}

/// Where the filters of a chain that ask are off on a way; `None` when one is on. One that a
/// matcher picks counts for nothing.
fn off_in<'v>(chain: &Chain<'v>, way: &Way<'v>) -> Option<Place<'v>> {
    let asking = chain.asking().filter(|(filter, _)| !filter.picked);
    let off: Option<Vec<_>> = asking.map(|(filter, _)| way.off(filter)).collect();
    off?.into_iter().next()
}

impl<'v> Chain<'v> {
    pub(super) fn read(list: &[Place<'v>], clusters: &Clusters<'_>) -> Self {
        let filters = in_order(list);
        let asks = |filter: &Filter<'v>| {
            filter.module().is_some() || filter.ext_authz().is_some_and(|it| clusters.is_asked(it))
        };
        let asking = filters.iter().enumerate().filter(|(_, filter)| asks(filter));
        let asking = asking.map(|(index, _)| index).collect();
        Self { filters, asking }
    }

    /// The filters that ask Doorward, or are Doorward, each with its configuration.
    pub(super) fn asking(&self) -> impl Iterator<Item = (&Filter<'v>, &Place<'v>)> {
        let filters = self.asking.iter().filter_map(|index| self.filters.get(*index));
        filters.filter_map(|filter| Some((filter, filter.ext_authz().or(filter.module())?)))
    }
}

//! What one of Envoy's routes says: the `filter_config` of a `DynamicModuleFilterPerRoute`.

use doorward::config::{RouteSettings, load_route};
use doorward_core::request::RouteView;

use crate::configuration::FILTER_NAME;
use crate::log;

/// The configuration of a route, a virtual host or the like.
#[derive(Debug)]
pub struct Route(RouteSettings);

impl Route {
    /// Reads it; `None`: it has faults, which the log tells.
    #[must_use]
    pub fn new(name: &[u8], config: &[u8]) -> Option<Self> {
        log::install();
        // Envoy lets it be left out here.
        if !name.is_empty() && name != FILTER_NAME {
            log::error("per_route_config_name: the only name is `doorward`");
            return None;
        }
        match load_route(config) {
            Ok(settings) => Some(Self(settings)),
            Err(faults) => {
                log::error(&format!("this configuration of a route is rejected:\n{faults}"));
                None
            }
        }
    }

    /// The same as the core takes it.
    #[must_use]
    pub fn view(&self) -> RouteView<'_> {
        self.0.view()
    }
}

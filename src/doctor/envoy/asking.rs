//! How Doorward is asked: what is judged alike whoever configures Envoy, by the names that the
//! fields have there.

use std::time::Duration;

use super::OurHeaders;
use super::place::Place;
use crate::doctor::report::Finding;

/// A check takes far less; what takes longer is the fetch of a new key.
const SHORTEST: Duration = Duration::from_millis(500);
/// Longer than this, a Doorward that hangs holds up every request.
const LONGEST: Duration = Duration::from_secs(5);
/// Where Doorward's HTTP front decides.
pub(super) const PATH_PREFIX: &str = "/apis/auth/ext-authz";

/// What one kind of configuration calls the settings of ext_authz.
pub(super) struct Fields {
    pub(super) failure_mode: &'static str,
    pub(super) timeout: &'static str,
    /// What holds when no time-out is set.
    pub(super) unset: Duration,
    pub(super) status: &'static str,
    /// How 503 is written there.
    pub(super) unavailable: &'static str,
    pub(super) route_cache: &'static str,
    pub(super) body: &'static str,
    /// Of a service that is asked over HTTP: the path, and which headers of an answer go upstream.
    pub(super) path: &'static str,
    pub(super) kept: &'static str,
}

impl Fields {
    /// What these say at a place. `depends` is a route that is chosen by what Doorward answers.
    pub(super) fn findings(&self, place: &Place<'_>, depends: Option<&str>) -> Vec<Finding> {
        vec![
            self.failure_mode(place),
            self.timeout(place),
            self.status_on_error(place),
            self.route_cache(place, depends),
            self.body(place),
        ]
    }

    /// What happens when Doorward cannot be asked.
    fn failure_mode(&self, place: &Place<'_>) -> Finding {
        let name = self.failure_mode;
        if place.flag(name) == Some(true) {
            return place.at(name).unwrap_or_else(|| place.clone()).fail(
                "failure_mode",
                format!(
                    "{name} is true: when Doorward is unreachable, requests pass with whatever \
                     identity headers the client made up"
                ),
                format!("set {name}: false"),
            );
        }
        Finding::pass("failure_mode", "fails closed when Doorward is unreachable")
    }

    /// How long a check may take.
    fn timeout(&self, place: &Place<'_>) -> Finding {
        let field = self.timeout;
        let said = place.span(field);
        let span = said.unwrap_or(self.unset);
        let written = humantime::format_duration(span);
        let is = match said {
            Some(_) => written.to_string(),
            None => format!("not set: {written} then"),
        };
        let so_what = if span.is_zero() {
            ": no limit; if Doorward hangs, every request hangs"
        } else if span < SHORTEST {
            "; the first token signed with a new key waits for a fetch from the issuer, which takes \
             longer"
        } else if span > LONGEST {
            "; if Doorward hangs, every request waits that long"
        } else {
            return Finding::pass("timeout", is);
        };
        let place = place.at(field).unwrap_or_else(|| place.clone());
        place.warn("timeout", is + so_what, format!("set {field}: 1s"))
    }

    /// What a client gets when Doorward cannot be asked.
    fn status_on_error(&self, place: &Place<'_>) -> Finding {
        let status = place.at(self.status).map(|status| status.value.to_string());
        match status.as_deref().map(|status| status.trim_matches('"')) {
            Some("503" | "ServiceUnavailable") => {
                Finding::pass("status_on_error", "503 when Doorward is unreachable")
            }
            other => place.warn(
                "status_on_error",
                format!(
                    "{} when Doorward is unreachable: \"we could not tell\" looks like \"you may \
                     not\"",
                    other.unwrap_or("not set: 403")
                ),
                format!("set {}", self.unavailable),
            ),
        }
    }

    /// Whether the route is chosen again after the decision: where routes depend on what Doorward
    /// answers, one may be entered with another's decision.
    fn route_cache(&self, place: &Place<'_>, depends: Option<&str>) -> Finding {
        let field = self.route_cache;
        let Some(again) = place.get(field).filter(|_| place.flag(field) == Some(true)) else {
            return Finding::pass("route_cache", "the route stays the one that was checked");
        };
        match depends {
            Some(route) => again.fail(
                "route_cache",
                format!(
                    "the route is selected again after the decision, and may then be {route}: what \
                     that route requires is never checked"
                ),
                format!("remove {field}: true"),
            ),
            None => place.warn(
                "route_cache",
                format!("{field} is true: another route may be used with this one's decision"),
                format!("set {field}: false, unless routes depend on headers that Doorward sets"),
            ),
        }
    }

    /// Whether bodies are buffered and sent along.
    fn body(&self, place: &Place<'_>) -> Finding {
        match place.get(self.body) {
            Some(body) => body.warn(
                "body",
                "request bodies are buffered and sent to Doorward: slow, and it never reads them",
                format!("remove {}", self.body),
            ),
            None => Finding::pass("body", "request bodies stay with Envoy"),
        }
    }

    /// Over HTTP: whether Doorward is asked where it decides. Control planes take a slash at the
    /// end away, Envoy does not.
    pub(super) fn wrong_path(&self, service: &Place<'_>, trims: bool) -> Option<Finding> {
        let (field, path) = (self.path, service.text(self.path).unwrap_or_default());
        let asked = if trims { path.trim_end_matches('/') } else { path };
        (asked != PATH_PREFIX).then(|| {
            service.fail(
                "http_headers",
                format!("{field} is \"{path}\": Doorward decides under {PATH_PREFIX}"),
                format!("set {field}: {PATH_PREFIX}"),
            )
        })
    }

    /// Over HTTP: the first identity header that does not reach the upstream.
    pub(super) fn lost(
        &self,
        list: &Place<'_>,
        kept: impl Fn(&str) -> bool,
        ours: &OurHeaders,
        remedy: String,
    ) -> Option<Finding> {
        let name = ours.set.iter().find(|name| !kept(name))?;
        Some(list.fail(
            "http_headers",
            format!("{name} is not in {}: the upstream gets the client's value", self.kept),
            remedy,
        ))
    }

    /// Both, where a control plane writes the rest.
    pub(super) fn answered(
        &self,
        service: &Place<'_>,
        takes: impl Fn(&str, &str) -> bool,
        ours: &OurHeaders,
        list: &str,
    ) -> Finding {
        let listed = service.texts(self.kept);
        let kept = |name: &str| listed.iter().any(|pattern| takes(pattern, name));
        let fault = self
            .wrong_path(service, true)
            .or_else(|| self.lost(service, kept, ours, format!("set {}: {list}", self.kept)));
        fault
            .unwrap_or_else(|| Finding::pass("http_headers", "identity headers reach the upstream"))
    }
}

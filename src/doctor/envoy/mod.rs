//! An Envoy, Istio or Envoy Gateway configuration: what in it lets requests
//! past Doorward, changes its answers, or is slow.
//!
//! Reads what is written, resolves nothing: what a control plane adds is not seen. Fields
//! may be spelled as in YAML examples (`failure_mode_allow`) or as in Envoy's JSON
//! (`failureModeAllow`).
//!
//! | file | holds |
//! |---|---|
//! | `document` | text → documents |
//! | `place` | a value and the way to it: `static_resources.listeners[0]` |
//! | `asking` | how Doorward is asked: what all three kinds share |
//! | `manager`, `filters`, `routes`, `clusters` | what Envoy makes of it: filters in their order, ways to upstreams |
//! | `connection_managers` | what is found at each HTTP connection manager |
//! | `ext_authz`, `enabled` | the filter itself |
//! | `module` | the filter where it is Doorward itself, inside Envoy |
//! | `names` | which header names a list of matchers lets pass |
//! | `order`, `identity` | filters around it, and who else changes what it answered |
//! | `modes`, `upgrades`, `denials`, `paths` | what routes tell Doorward, and what can undo its answer |
//! | `entrances`, `bootstrap`, `runtime` | other ways to the upstream, and what holds for all of Envoy |
//! | `istio`, `gateway_api` | the same in their words |
//! | `kubernetes` | what other objects change behind the decision |

mod asking;
mod bootstrap;
mod clusters;
mod connection_managers;
mod denials;
mod document;
mod enabled;
mod entrances;
mod ext_authz;
mod filters;
mod gateway_api;
mod identity;
mod istio;
mod kubernetes;
mod manager;
mod modes;
mod module;
mod names;
mod order;
mod paths;
mod place;
mod routes;
mod runtime;
mod upgrades;

use doorward_core::identity::{Delegation, HeaderRules, IdentityHeaders, ProtectedHeaders, folded};

use self::document::documents;
use self::names::{Expression, letters};
use self::place::Place;
use super::report::Section;
use crate::config::Settings;

/// Larger files are no configuration, in bytes.
pub const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Examines a configuration, YAML (several documents too) or JSON. `name` is what it is
/// called in titles; `headers` are the identity headers that Doorward sets; `rules` those of its
/// rules that need something of the gateway.
///
/// # Errors
/// It cannot be read, or has nothing of Envoy, Istio or Envoy Gateway in it.
pub fn examine(
    name: &str,
    text: &str,
    headers: &HeaderRules,
    rules: impl Into<RulesInForce>,
) -> Result<Vec<Section>, NotEnvoy> {
    let rules = rules.into();
    let documents = documents(text)?;
    let places = Place::roots(&documents);
    let headers = OurHeaders::in_force(headers, rules);
    let mut sections: Vec<_> = Place::by_bootstrap(&places)
        .iter()
        .flat_map(|places| connection_managers::sections(places, &headers, rules.by_path))
        .collect();
    sections.extend(istio::sections(&places, &headers));
    sections.extend(gateway_api::sections(&places, &headers));
    sections.extend(kubernetes::sections(&places, &headers));
    if sections.is_empty() {
        return Err(NotEnvoy::NothingKnown);
    }
    for section in &mut sections {
        section.title = format!("{name}: {}", section.title);
    }
    Ok(sections)
}

/// Which of Doorward's rules depend on the gateway.
#[derive(Clone, Copy, Debug, Default)]
pub struct RulesInForce {
    /// Any that go by the path.
    pub by_path: bool,
    /// `rules.cors_preflight: allow`.
    pub preflights: bool,
    /// Tokens of some issuer may name an actor (`delegation: nemo`, workload tokens).
    pub delegation: bool,
}

impl From<bool> for RulesInForce {
    fn from(by_path: bool) -> Self {
        Self { by_path, ..Self::default() }
    }
}

impl From<&Settings> for RulesInForce {
    fn from(settings: &Settings) -> Self {
        let by_path = !settings.bypass.is_empty()
            || !settings.routes.is_empty()
            || settings.endpoints.is_some();
        let delegation =
            settings.issuers.iter().any(|issuer| issuer.identity.delegation == Delegation::Nemo);
        Self { by_path, preflights: settings.lets_preflights_pass, delegation }
    }
}

/// The signs that may stand in header names (RFC 9110 §5.6.2), and two together.
const SIGNS: [&str; 16] =
    ["-", "_", ".", "~", "--", "!", "#", "$", "%", "&", "'", "*", "+", "^", "`", "|"];

/// The header names that matter to Doorward.
struct OurHeaders {
    protected: ProtectedHeaders,
    /// Those that we set.
    set: Vec<String>,
    /// Those that are removed when nobody is known.
    removed: Vec<String>,
    /// All of them, and one more behind the prefix, [`folded`].
    folded: Vec<String>,
    /// Spellings that Doorward must see to have them removed, whatever the list of known
    /// names: with any sign for each `-`.
    to_see: Vec<String>,
    /// What else Doorward must see, by which it knows a CORS preflight, if it is to let those pass.
    of_preflights: &'static [&'static str],
}

impl OurHeaders {
    fn in_force(headers: &HeaderRules, rules: RulesInForce) -> Self {
        let names = &headers.names;
        let on_behalf_of = [
            &names.principal_on_behalf_of,
            &names.principal_on_behalf_of_email,
            &names.principal_on_behalf_of_groups,
        ];
        let mut ours = Self::new(headers);
        ours.set.extend(on_behalf_of.into_iter().filter(|_| rules.delegation).cloned());
        if rules.preflights {
            ours.of_preflights = &["origin", "access-control-request-method"];
        }
        ours
    }

    fn new(rules: &HeaderRules) -> Self {
        let names = &rules.names;
        let set: Vec<String> =
            [&names.principal_id, &names.principal_email, &names.principal_groups, &names.scopes]
                .into_iter()
                .chain(rules.claims.keys())
                .cloned()
                .collect();
        // Names that are removed seen or not need not be seen.
        let protected = ProtectedHeaders::new(rules);
        let nobody = IdentityHeaders::new(None, rules);
        let removed: Vec<_> = protected.always(nobody).map(str::to_owned).collect();
        let mut all: Vec<_> = set.iter().chain(&removed).map(|name| folded(name)).collect();
        all.sort_unstable();
        all.dedup();
        all.insert(0, format!("{}anything", protected.prefix()));
        let seen = |name: &String| protected.forged(name.as_bytes(), nobody);
        let to_see = all.iter().flat_map(|name| spellings(name)).filter(seen).collect();
        Self { set, removed, folded: all, to_see, protected, of_preflights: &[] }
    }

    /// Whether an upstream may take a header of this name for the identity.
    fn trusted(&self, name: &str) -> bool {
        self.protected.covers(name.as_bytes())
    }

    /// Names that we set or remove, in lower case: not all, but of every kind.
    fn known(&self) -> impl Iterator<Item = String> {
        let names = self.set.iter().chain(&self.removed).chain(&self.to_see);
        names.map(|name| name.to_ascii_lowercase())
    }

    /// What lets the names that we set pass: those with the trusted prefix together, in this
    /// form, and each of the others by itself, in that form.
    fn to_set(
        &self,
        with_prefix: impl Fn(&str) -> String,
        exact: impl Fn(&str) -> String,
    ) -> String {
        let prefix = self.protected.prefix();
        let (inside, outside): (Vec<_>, Vec<_>) =
            self.set.iter().partition(|name| name.starts_with(prefix));
        let inside = inside.first().map(|_| with_prefix(prefix));
        let all: Vec<_> =
            inside.into_iter().chain(outside.iter().map(|name| exact(name))).collect();
        format!("[{}]", all.join(", "))
    }

    /// The same as matchers of Envoy's.
    fn upstream_matchers(&self) -> String {
        let prefix = |prefix: &str| format!("{{prefix: {prefix}, ignore_case: true}}");
        self.to_set(prefix, |name| format!("{{exact: {name}, ignore_case: true}}"))
    }

    /// Spellings of ours with this text in them, which Doorward must see.
    fn like(&self, text: &str) -> Vec<String> {
        let text = text.to_ascii_lowercase();
        let plain = folded(&text);
        let woven = self.folded.iter().flat_map(|name| {
            let found = name
                .match_indices(&plain)
                .map(|(start, found)| (name.get(..start), name.get(start + found.len()..)));
            found.filter_map(|(front, rest)| Some(format!("{}{text}{}", front?, rest?)))
        });
        woven.chain([text.clone()]).filter(|name| self.is_forged(name)).collect()
    }

    /// Whether an expression that takes no known name may take another trusted one, in some spelling.
    fn may_be_taken_by(&self, expression: &Expression) -> bool {
        expression.letters.contains(&letters(self.protected.prefix()))
    }

    /// Whether Doorward has a header of this name removed because it saw it, and not always.
    fn is_forged(&self, name: &str) -> bool {
        self.trusted(name)
            && !self.set.iter().chain(&self.removed).any(|it| it.eq_ignore_ascii_case(name))
    }

    /// What to add to a list of matchers.
    fn remedy(&self) -> String {
        let matcher = |pattern| format!("{{safe_regex: {{regex: \"{pattern}\"}}}}");
        let matchers: Vec<_> = self.protected.to_see().iter().map(matcher).collect();
        format!("allow every spelling, with any character for `-`: {}", matchers.join(" and "))
    }
}

/// A name with other signs for every `-`, for the first and for the last, and with `_` for any.
fn spellings(name: &str) -> impl Iterator<Item = String> {
    let mixed = (0..1_u32 << name.matches('-').count().min(6)).map(move |signs| {
        let mut index = 0;
        let sign = |char| {
            index += u32::from(char == '-');
            if char == '-' && signs >> (index - 1) & 1 == 1 { '_' } else { char }
        };
        name.chars().map(sign).collect()
    });
    let others = SIGNS.into_iter().flat_map(move |sign| {
        let first = name.replacen('-', sign, 1);
        let last = name.rsplit_once('-').map(|(front, end)| format!("{front}{sign}{end}"));
        [name.replace('-', sign), first].into_iter().chain(last)
    });
    others.chain(mixed)
}

/// Why a text cannot be examined.
#[derive(Debug, thiserror::Error)]
pub enum NotEnvoy {
    /// Over [`MOST_BYTES`].
    #[error("it is larger than 16 MiB: expected a configuration of Envoy, Istio or Envoy Gateway")]
    TooLarge,
    /// Neither YAML nor JSON.
    #[error("it is not YAML or JSON: {0}")]
    Syntax(String),
    /// It speaks of something else.
    #[error(
        "it contains nothing to examine: expected an Envoy bootstrap or listener (an HTTP \
         connection manager), Istio's MeshConfig or an AuthorizationPolicy with action CUSTOM, or \
         Envoy Gateway's SecurityPolicy or ClientTrafficPolicy"
    )]
    NothingKnown,
}

//! Which claim gave what of the identity, and what was left out on the way.

use doorward_core::decision::Fault;
use doorward_core::identity::{
    ClaimPath, EmailDomains, IdentityFault, IdentityRules, OTHER_GROUPS_CLAIMS, Profile,
    is_reserved,
};
use serde_json::Value;

use super::steps::{Evidence, Facts};
use super::words::{claim, list, value};

impl Evidence<'_> {
    pub(super) fn subject(&self) -> Facts {
        let Some(rules) = self.identity_rules() else { return Facts::default() };
        let (name, found) = self.first_of(&rules.subject, &["sub"]);
        let limits = match self.asked.authorizer.header_rules().profile {
            Profile::Nemo => "1 to 256 of A-Z a-z 0-9 @ . _ - : + /",
            Profile::Plain => "1 to 1024 visible ASCII characters",
        };
        let prefix = match found.and_then(kind_of_no_string) {
            Some(kind) => format!(", {kind}"),
            None => prefix(rules.subject_prefix.as_deref()),
        };
        let found = match self.verified() {
            Some(verified) => {
                format!("{name} {}{prefix} → {}", claim(found), verified.identity().principal())
            }
            None => format!("{name} {}{prefix}", claim(found)),
        };
        let from = if rules.subject.to_string() == "sub" {
            "sub".to_owned()
        } else {
            format!("{}, else sub", rules.subject)
        };
        let found = match self.fault {
            Some(Fault::Identity(IdentityFault::SubjectAddress(fault))) => {
                format!("{found}{}, an email address that {fault}", self.said_of_addresses())
            }
            Some(_) | None => found,
        };
        let expected = format!("{from}: a string of {limits}; not `*`, not `service:…`");
        Facts::new(format!("{expected}{}", domains(rules)), found)
    }

    pub(super) fn subject_is_no_string(&self) -> bool {
        self.found_subject().is_some_and(|(_, found)| kind_of_no_string(found).is_some())
    }

    /// What helps where the subject is no string: no other profile of headers takes it.
    pub(super) fn subject_remedy(&self) -> String {
        let Some((name, found)) = self.found_subject() else { return String::new() };
        let others: Vec<_> = LIKE_SUBJECT
            .into_iter()
            .filter(|other| {
                *other != name && self.token.text(other).is_some_and(|it| !it.is_empty())
            })
            .collect();
        let others = match others.as_slice() {
            [] => String::new(),
            others => format!(" (this token has {})", others.join(", ")),
        };
        format!(
            "{name} is {}, and a principal is taken from a string alone (RFC 7519 §4.1.2): have the \
             provider write it as a string, or name in `subject_claim` a claim that is one{others}",
            kind_of_no_string(found).unwrap_or("a string")
        )
    }

    fn found_subject(&self) -> Option<(String, &Value)> {
        let (name, found) = self.first_of(&self.identity_rules()?.subject, &["sub"]);
        Some((name, found?))
    }

    pub(super) fn email(&self) -> Facts {
        let Some(rules) = self.identity_rules() else { return Facts::default() };
        let lost = self.verified().and_then(|verified| verified.identity().losses.email);
        let outcome = lost.map_or_else(String::new, |fault| format!(": left out, it {fault}"));
        Facts::new(
            format!(
                "{}, optional: one address, not `*`, not `service:…`{}",
                rules.email,
                domains(rules)
            ),
            format!(
                "{} {}{}{outcome}",
                rules.email,
                claim(self.token.at(&rules.email)),
                self.said_of_addresses()
            ),
        )
    }

    /// What the token says of the addresses in it.
    fn said_of_addresses(&self) -> String {
        let said = |name: &str| Some(format!(", {name} {}", value(self.token.claim(name)?)));
        ["email_verified", "xms_edov"].into_iter().filter_map(said).collect()
    }

    pub(super) fn groups(&self) -> Facts {
        let Some(rules) = self.identity_rules() else { return Facts::default() };
        let (name, found) = self.first_of(&rules.groups, &OTHER_GROUPS_CLAIMS);
        let named: Vec<String> = match found {
            Some(Value::String(text)) => text.split(',').map(str::to_owned).collect(),
            Some(Value::Array(items)) => items.iter().map(text_or_json).collect(),
            Some(Value::Object(members)) => members.keys().cloned().collect(),
            Some(other @ (Value::Null | Value::Bool(_) | Value::Number(_))) => vec![value(other)],
            None => Vec::new(),
        };
        let named = named.iter().map(|group| group.trim()).filter(|group| !group.is_empty());
        let expected = format!("{}, optional: a string, an array or an object", rules.groups);
        let Some(verified) = self.verified() else {
            return Facts::new(expected, format!("{name} {}", claim(found)));
        };
        let identity = verified.identity();
        let kept: Vec<&str> = match identity.on_behalf_of() {
            Some(of) => of.groups().collect(),
            None => identity.groups().collect(),
        };
        let fill = rules.groups_prefix.as_deref().unwrap_or_default();
        let fill = fill.replace("{tid}", self.token.text("tid").unwrap_or_default());
        let dropped: Vec<String> = named
            .filter(|group| !kept.contains(&&*format!("{fill}{group}")))
            .map(|group| format!("{} ({})", group, self.why_dropped(group, &fill, kept.len())))
            .collect();
        let said = if found.is_none() && kept.is_empty() {
            format!("{name} absent")
        } else {
            let prefix = prefix(rules.groups_prefix.as_deref());
            format!("{name}{prefix} → {}", list(kept.iter().copied()))
        };
        let dropped = if dropped.is_empty() {
            String::new()
        } else {
            format!("; left out: {}", list(dropped.iter().map(String::as_str)))
        };
        let overage = if identity.losses.group_overage {
            "; the token says that it has too many groups to list (overage): they are unknown"
        } else {
            ""
        };
        Facts::new(expected, format!("{said}{dropped}{overage}"))
    }

    pub(super) fn scopes(&self) -> Facts {
        let Some(rules) = self.identity_rules() else { return Facts::default() };
        let said = ["scope", "scp"]
            .into_iter()
            .filter_map(|name| Some(format!("{name} {}", value(self.token.claim(name)?))))
            .collect::<Vec<_>>();
        let said = if said.is_empty() { "scope absent".to_owned() } else { said.join(", ") };
        let prefix = match &rules.scope_prefix {
            Some(prefix) => format!(" without the prefix `{prefix}`"),
            None => String::new(),
        };
        let roles = match &rules.roles {
            Some(path) => format!(", {path} {}", claim(self.token.at(path))),
            None => String::new(),
        };
        // A denial by the route has no identity any more; then the claims speak.
        let held = match self.verified() {
            Some(verified) => {
                format!(" → {}", list(verified.identity().scopes()))
            }
            None => String::new(),
        };
        let lost = match self.verified().map_or(0, |verified| verified.identity().losses.scopes) {
            0 => String::new(),
            lost => format!("; left out: {lost} that cannot be read, or do not fit into a header"),
        };
        Facts::new(
            "scope and scp, optional: a string or an array",
            format!("{said}{roles}{prefix}{held}{lost}"),
        )
    }

    fn why_dropped(&self, group: &str, prefix: &str, kept: usize) -> &'static str {
        let headers = &self.asked.authorizer.header_rules();
        let full = format!("{prefix}{group}");
        let wanted = &headers.groups_only;
        if !wanted.is_empty() && !wanted.iter().any(|only| only.matches(group)) {
            "not in `headers.groups_only`"
        } else if is_reserved(&full) {
            "reserved"
        } else if kept >= headers.profile.max_groups() {
            "too many"
        } else {
            "it does not fit into a header"
        }
    }

    pub(super) fn identity_rules(&self) -> Option<&IdentityRules> {
        self.issuer.map(doorward_core::issuers::Issuer::identity)
    }

    /// The configured claim, or the first of others that is there; with its name.
    fn first_of<'s>(&'s self, path: &ClaimPath, others: &[&str]) -> (String, Option<&'s Value>) {
        let configured = (path.to_string(), self.token.at(path));
        if configured.1.is_some() {
            return configured;
        }
        let other =
            others.iter().find_map(|name| Some(((*name).to_owned(), self.token.claim(name)?)));
        other.map_or(configured, |(name, found)| (name, Some(found)))
    }
}

/// Whose addresses are believed, where not everybody's are.
fn domains(rules: &IdentityRules) -> String {
    match &rules.email_domains {
        EmailDomains::Any => String::new(),
        EmailDomains::OneOf(domains) => {
            format!("; of addresses those at {}", list(domains.iter().map(String::as_str)))
        }
        EmailDomains::OwnedByTenant => {
            "; of addresses those at a domain of the tenant's own (`xms_edov`)".to_owned()
        }
    }
}

/// Where a principal also is, the more lasting first.
const LIKE_SUBJECT: [&str; 8] =
    ["oid", "uid", "user_id", "preferred_username", "username", "upn", "email", "client_id"];

/// What a value is that is not a string.
fn kind_of_no_string(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) | Value::Null => None,
        Value::Number(_) => Some("a number"),
        Value::Bool(_) => Some("true or false"),
        Value::Array(_) => Some("a list"),
        Value::Object(_) => Some("an object"),
    }
}

fn prefix(prefix: Option<&str>) -> String {
    prefix.map_or_else(String::new, |prefix| format!(" with the prefix `{prefix}`"))
}

fn text_or_json(item: &Value) -> String {
    item.as_str().map_or_else(|| item.to_string(), str::to_owned)
}

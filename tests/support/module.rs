//! Doorward inside Envoy: the module, in the host of `crates/envoy-host`, asked as `Check` is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward_envoy_host::{Config, Refused, Reply, Route, Value, violations};
use serde_json::json;

use super::check::{Ask, Outcome};
use super::{PATIENCE, eventually};

/// Where dynamic metadata is, whichever filter it comes from.
const NAMESPACE: &str = "envoy.filters.http.ext_authz";
/// A module with its configuration, which an update may change.
#[derive(Clone)]
pub struct Module(Arc<Mutex<Config>>);

impl Module {
    /// Puts this configuration to work (YAML or JSON) but for what only a server has.
    pub async fn start(config: &str) -> Self {
        Self(Arc::new(Mutex::new(configured(config).await.unwrap())))
    }

    /// What the module says to a configuration that it does not serve.
    pub async fn refusal(config: &str) -> String {
        configured(config).await.map(drop).unwrap_err().log.join("\n")
    }

    /// What a listener update does, or why Envoy refuses it: then the old one serves on.
    pub async fn try_update(&self, config: &str) -> Result<(), Refused> {
        let new = configured(config).await?;
        // Envoy drops the old one when its last request has ended.
        let old = std::mem::replace(&mut *self.0.lock().unwrap(), new);
        tokio::task::spawn_blocking(move || drop(old)).await.unwrap();
        Ok(())
    }

    /// `None`: the route cannot be configured like that.
    pub async fn try_ask(&self, ask: Ask) -> Option<Outcome> {
        let config = self.0.lock().unwrap().clone();
        let decided = tokio::task::spawn_blocking(move || {
            let (request, route) = ask.inside();
            let request = match route {
                Some(route) => request.on(&Route::new(&route).ok()?),
                None => request,
            };
            let sent = ask.inside_headers();
            let reply = config.send(request);
            assert_composed(&sent, &reply);
            Some(outcome(&reply))
        });
        let outcome = decided.await.unwrap();
        assert_eq!(violations(), [], "what a module may not do");
        outcome
    }

    pub async fn ask(&self, ask: Ask) -> Outcome {
        self.try_ask(ask).await.expect("a route that can be configured")
    }

    /// Waits until the statistics are those of now, unless nothing changes.
    pub async fn told(&self) {
        let config = self.0.lock().unwrap().clone();
        let (before, since) = (config.told(), Instant::now());
        eventually("a second is over", PATIENCE, async || {
            let is_told = config.told() > before || since.elapsed() > Duration::from_millis(1100);
            is_told.then_some(())
        })
        .await;
    }

    /// The value of a statistic of all modules of this process, its labels written out as in Prometheus' text format.
    pub fn statistic(name: &str) -> Option<u64> {
        doorward_envoy_host::statistics().get(name).copied()
    }

    /// Waits until every issuer of the configuration has keys, or was asked for them.
    pub async fn ready(issuers: &[String]) {
        eventually("the module is ready", PATIENCE, async || {
            // Told once a second.
            let fetched = |issuer: &String| {
                ["ok", "error"].iter().any(|outcome| {
                    let labels = format!("{{issuer=\"{issuer}\",outcome=\"{outcome}\"}}");
                    Self::statistic(&format!("doorward_key_set_fetches_total{labels}")) >= Some(1)
                })
            };
            issuers.iter().all(fetched).then_some(())
        })
        .await;
    }
}

async fn configured(config: &str) -> Result<Config, Refused> {
    let config = match serde_json::from_str::<serde_json::Value>(config) {
        Ok(mut config) => {
            config.as_object_mut().unwrap().remove("server");
            for of_servers in ["level", "format"] {
                config.get_mut("log").map(|log| log.as_object_mut().unwrap().remove(of_servers));
            }
            config.to_string()
        }
        Err(_) => config.to_owned(), // YAML
    };
    tokio::task::spawn_blocking(move || Config::new(&config)).await.unwrap()
}

/// The same as of `Check`.
fn outcome(reply: &Reply) -> Outcome {
    let told = reply.metadata.get(NAMESPACE).cloned().unwrap_or_default();
    let (mut metadata, mut lists) = (BTreeMap::new(), BTreeMap::new());
    for (key, value) in told {
        match value {
            Value::Text(text) => drop(metadata.insert(key, text)),
            Value::List(values) => {
                let texts = values.into_iter().map(|value| match value {
                    Value::Text(text) => text,
                    other => panic!("{other:?} in {key}"),
                });
                lists.insert(key.clone(), texts.collect());
            }
            other => panic!("{key}: {other:?}"),
        }
    }
    let reason = metadata.get("reason").cloned().unwrap_or_default();
    let (status, headers, body) = match &reply.response {
        Some(response) => {
            let headers = response.headers.iter().cloned().collect();
            (i32::from(response.status), headers, response.body.clone())
        }
        None => (200, texts(&reply.set), String::new()),
    };
    Outcome { status, reason, headers, removed: reply.removed.clone(), body, metadata, lists }
}

fn texts(headers: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    let text = |value: &Vec<u8>| String::from_utf8(value.clone()).unwrap();
    headers.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

/// What the upstream sees is what the client sent, without what was removed and with what was set:
/// nothing is changed by the way, and no name is both.
fn assert_composed(sent: &[(String, Vec<u8>)], reply: &Reply) {
    if reply.response.is_some() {
        assert!(reply.set.is_empty() && reply.removed.is_empty(), "{reply:?}");
        return;
    }
    let changed = |name: &String| reply.set.contains_key(name) || reply.removed.contains(name);
    let kept = sent.iter().filter(|(name, _)| !changed(name)).cloned();
    let set = reply.set.iter().map(|(name, value)| (name.clone(), value.clone()));
    let (mut expected, mut seen) = (kept.chain(set).collect::<Vec<_>>(), reply.headers.clone());
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);
}

/// The module says of this request what `Check` says. It removes what was sent, also where ours takes
/// its place, and need not name what was not.
pub fn assert_same(inside: &Outcome, check: &Outcome, ask: &Ask) {
    let parts = |outcome: &Outcome| {
        let Outcome { status, reason, headers, body, metadata, lists, .. } = outcome.clone();
        (status, reason, headers, body, metadata, lists)
    };
    assert_eq!(parts(inside), parts(check), "inside Envoy, and as `Check` has it: {ask:?}");
    let sent: BTreeSet<_> = ask.inside_headers().into_iter().map(|(name, _)| name).collect();
    // The headers of a denial are the client's to see.
    let set = check.headers.keys().filter(|_| check.status == 200);
    let named = check.removed.iter().chain(set);
    let named: BTreeSet<_> = named.map(|name| name.to_lowercase()).collect();
    let removed: BTreeSet<_> = inside.removed.iter().cloned().collect();
    assert_eq!(removed, &sent & &named, "{ask:?}");
}

/// `{mode, scopes, audience}`, as a route of Envoy's is configured.
pub fn route(extensions: &std::collections::HashMap<String, String>) -> Option<String> {
    let own =
        extensions.iter().filter_map(|(key, value)| Some((key.strip_prefix("doorward.")?, value)));
    let own: BTreeMap<_, _> = own.collect();
    (!own.is_empty()).then(|| json!(own).to_string())
}

//! One issuer examined over the network: the questions of the checklist, asked of what it
//! publishes.

mod clock;
mod device;
mod keys;
mod login;
mod metadata;

use std::sync::Arc;
use std::time::Duration;

use doorward_core::clock::Clock;
use doorward_core::keys::KeySet;
use doorward_core::scope_prefix::asked_for;
use serde_json::Value;
use url::Url;

use super::report::{Finding, Section};
use crate::config::{IssuerSettings, Settings};
use crate::discovery::{EmptySet, HttpFetcher, KeyLocation, well_known_url};
use crate::loopback::is_loopback;
use crate::product::Product;

/// An issuer to be examined, and what is expected of it.
#[derive(Clone, Debug)]
pub struct Examination {
    /// What the configuration says of the issuer.
    pub settings: IssuerSettings,
    /// Where its discovery document should be; `None` when its name is no URL to be asked.
    pub discovery_url: Option<Url>,
    /// How people log in, when they do so here.
    pub login: Option<Login>,
    /// How long one request may take.
    pub timeout: Duration,
    /// What servers make of a key set without keys.
    pub empty_set: EmptySet,
}

/// How people get a token from a command line.
#[derive(Clone, Debug)]
pub struct Login {
    /// The public client they do it with.
    pub client_id: Option<String>,
    /// What they ask for, separated by spaces, `scope_prefix` in front where it belongs.
    pub scopes: String,
    /// As configured; otherwise the one of the discovery document counts.
    pub device_authorization_endpoint: Option<Url>,
    /// As configured; otherwise the one of the discovery document counts.
    pub token_endpoint: Option<Url>,
}

/// An issuer, examined.
#[derive(Debug)]
pub struct Examined {
    /// What was found.
    pub section: Section,
    /// What product it is.
    pub provider: Product,
    /// Its keys, when they could be had.
    pub keys: Option<Arc<KeySet>>,
    /// Its discovery document, when one came, whatever is wrong with it.
    pub document: Option<Value>,
}

impl Examination {
    /// Every issuer of a configuration, in its order. People log in at the primary one.
    #[must_use]
    pub fn all(settings: &Settings) -> Vec<Self> {
        let platform = &settings.platform;
        let prefix = platform.scope_prefix.as_deref();
        let scopes = platform.default_scopes.split_whitespace().map(|it| asked_for(it, prefix));
        let login = Login {
            client_id: platform.client_id.clone(),
            scopes: scopes.collect::<Vec<_>>().join(" "),
            device_authorization_endpoint: platform.device_authorization_endpoint.clone(),
            token_endpoint: platform.token_endpoint.clone(),
        };
        // Without a document of the platform's there is no primary issuer, only further ones.
        let primary = platform.discovery_url.as_ref();
        let all = settings.issuers.iter().enumerate().map(|(index, issuer)| {
            let primary = primary.filter(|_| index == 0);
            let discovery_url = match (&issuer.keys, primary) {
                (KeyLocation::Discovery(url), _) | (_, Some(url)) => Some(url.clone()),
                (KeyLocation::Borrowed, None) => None,
                (_, None) => well_known_url(&issuer.token.issuer)
                    .ok()
                    .filter(|url| url.scheme() == "https" || is_loopback(url)),
            };
            Self {
                settings: issuer.clone(),
                discovery_url,
                login: primary.map(|_| login.clone()),
                timeout: settings.fetch.timeout,
                empty_set: settings.fetch.empty_set,
            }
        });
        all.collect()
    }

    /// The issuer's name as configured.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.token.issuer
    }

    /// The client that people log in with.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.login.as_ref()?.client_id.as_deref()
    }

    fn product(&self) -> Product {
        Product::recognise(self.issuer(), None)
    }

    /// Examines the issuer. Takes at most four times [`timeout`](Self::timeout), and changes
    /// nothing there.
    pub async fn run(&self, clock: &dyn Clock) -> Examined {
        let mut findings = Vec::new();
        let (mut provider, mut keys, mut document) = (self.product(), None, None);
        match HttpFetcher::new(&self.settings.access, self.timeout).await {
            Ok(http) => {
                let published = metadata::examine(self, &http, clock, &mut findings).await;
                let metadata = published.as_ref().and_then(|it| it.metadata.as_ref());
                document = published.as_ref().map(|published| published.document.clone());
                provider = Product::recognise(self.issuer(), document.as_ref());
                keys = keys::examine(self, provider, metadata, &http, &mut findings).await;
                if let (Some(login), Some(metadata)) = (&self.login, metadata) {
                    login::examine(login, provider, metadata, &http, &mut findings).await;
                }
                let sample = published.as_ref().map(|published| &published.sample);
                let leeway = self.settings.token.leeway;
                findings.extend(sample.map(|sample| clock::examine(sample, leeway)));
            }
            Err(error) => {
                let remedy = "put the PEM certificates of the authority, or of the issuer itself, \
                              into it, or remove ca_file";
                findings.push(Finding::fail("discovery", error.to_string(), remedy));
            }
        }
        let title = format!("issuer {} ({})", self.issuer(), provider.name());
        let section = Section { findings, ..Section::new(&title) };
        Examined { section, provider, keys: keys.map(Arc::new), document }
    }
}

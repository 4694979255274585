//! `doorward.yaml`, with a comment beside every line that was chosen.

use doorward_core::token::{TENANT_PLACEHOLDER, is_guid};
use serde_json::{Value, json};
use url::Url;

use crate::advice::token_advice;
use crate::config::EDITORS;
use crate::printable::printable;
use crate::product::Product;

/// Comments end before this column.
const WIDTH: usize = 98;
/// In front of claims of one's own in Auth0. Only a name: nobody ever asks it.
const NAMESPACE: &str = "https://doorward/";

/// What a configuration is made from.
#[derive(Clone, Debug)]
pub struct Choices {
    /// The provider's name for itself: what `iss` of its tokens is.
    pub issuer: String,
    /// The client that people log in with.
    pub client_id: String,
    /// What `aud` of a token has to hold, where that is known.
    pub audience: Option<String>,
    /// PEM file of certificates to trust for the provider, besides the system's.
    pub ca_file: Option<String>,
    /// Where Doorward runs.
    pub runs: Runs,
    /// What product the provider is.
    pub product: Product,
}

/// The issuer to configure where the provider's discovery document says another name than the
/// one that it was found by: one that differs in the slash at the end, or Entra's tenant by
/// its id. `None`: the given name is right, or the document is somebody else's.
#[must_use]
pub fn published_issuer(given: &str, product: Product, document: &Value) -> Option<String> {
    let published = document.get("issuer")?.as_str()?;
    let slash = published.trim_end_matches('/') == given.trim_end_matches('/');
    let host = |url: &str| Url::parse(url).ok()?.host_str().map(str::to_owned);
    let tenant = product == Product::EntraId
        && tenant_id(published).is_some()
        && tenant_id(given).is_none()
        && host(published) == host(given);
    (published != given && (slash || tenant)).then(|| published.to_owned())
}

/// Whether the document is that of every tenant of Entra's (`common`, `organizations`), whose
/// tokens no single issuer signs.
#[must_use]
pub fn every_tenant(document: &Value) -> bool {
    let issuer = document.get("issuer").and_then(Value::as_str);
    issuer.is_some_and(|issuer| issuer.contains(TENANT_PLACEHOLDER))
}

/// The tenant in the first segment of the path of an issuer of Entra's.
fn tenant_id(issuer: &str) -> Option<String> {
    let url = Url::parse(issuer).ok()?;
    let segment = url.path_segments()?.next()?;
    is_guid(segment).then(|| segment.to_ascii_lowercase())
}

/// Where Doorward runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// On this machine; it listens on loopback.
    Here,
    /// In a pod, where others reach it by its address.
    InCluster,
    /// Inside Envoy, which has the listeners.
    InsideEnvoy,
}

impl Choices {
    /// The text of `doorward.yaml`. `document` is the provider's discovery document.
    #[must_use]
    pub fn configuration(&self, document: &Value) -> String {
        let mut page = Page { text: format!("{EDITORS}\n"), depth: 0 };
        page.comment(&format!(
            "Doorward for {} at {}, made by `doorward init`. All settings: docs/configuration.md. \
             After a change: doorward config check {}FILE",
            self.product.name(),
            self.issuer,
            if self.runs == Runs::InsideEnvoy { "--module " } else { "" },
        ));
        page.section(0, "auth");
        match self.tenant() {
            Some(tenant) => self.entra(&tenant, &mut page),
            None => self.oidc(&mut page),
        }
        self.claims(document, &mut page);
        self.login(document, &mut page);
        if self.product == Product::Auth0 {
            page.section(0, "headers");
            page.comment(
                "Auth0's subjects are auth0|…, and the default profile does not allow |. NeMo \
                 Platform rejects it, too: see docs/providers/auth0.md.",
            );
            page.key("profile", "plain");
        }
        self.listeners(&mut page);
        page.text
    }

    /// The tenant, where `auth.preset.entra` fits: B2C's tokens do not say it.
    fn tenant(&self) -> Option<String> {
        let is_b2c = self.issuer.contains(".b2clogin.com");
        tenant_id(&self.issuer).filter(|_| self.product == Product::EntraId && !is_b2c)
    }

    fn entra(&self, tenant: &str, page: &mut Page) {
        const CLOUDS: [&str; 2] =
            ["https://login.microsoftonline.com/", "https://sts.windows.net/"];
        page.section(1, "preset");
        page.comment(
            "Expands to Entra's two issuers (v1 and v2), their audiences and claims; `doorward \
             config show` prints them.",
        );
        page.section(2, "entra");
        page.comment("Overview > Directory (tenant) ID: users of other tenants are denied.");
        page.key("tenant", tenant);
        page.comment("App registrations > app > Overview > Application (client) ID.");
        page.key("client_id", &*self.client_id);
        page.section(1, "oidc");
        if !CLOUDS.iter().any(|known| self.issuer.starts_with(known)) {
            page.comment("Not the cloud of the preset.");
            page.key("issuer", &*self.issuer);
        }
        if let Some(audience) = &self.audience {
            page.comment("What a token's `aud` must contain (--audience).");
            page.key("audience", &**audience);
        }
    }

    fn oidc(&self, page: &mut Page) {
        let (client, audience) = (&*self.client_id, self.audience());
        page.section(1, "oidc");
        page.comment(
            "What a token's `iss` must be, exactly. Keys and endpoints are discovered from it.",
        );
        page.key("issuer", &*self.issuer);
        page.comment("The client that users log in with: public, without a secret.");
        page.key("client_id", client);
        if self.product == Product::Cognito {
            page.comment(
                "Cognito's access tokens have no `aud`; their client is in `client_id` instead.",
            );
            page.key("verify_audience", false);
            page.comment("The clients whose tokens are accepted.");
            page.key("allowed_clients", json!([client]));
            return;
        }
        let advice = token_advice(self.product, client, &audience, "").audience;
        page.comment(&format!("What a token's `aud` must contain. {}: {advice}.", self.place()));
        page.key("audience", audience);
        if self.product == Product::Google {
            page.comment(
                "Google signs tokens for any audience for anyone with a service account: this \
                 lists the clients that are accepted (azp).",
            );
            page.key("allowed_clients", json!([client]));
        }
    }

    /// What `aud` has to hold: as given, else what the product puts there by itself.
    #[must_use]
    pub fn audience(&self) -> String {
        let okta_default =
            self.product == Product::Okta && self.issuer.ends_with("/oauth2/default");
        let known = okta_default.then(|| "api://default".to_owned());
        self.audience.clone().or(known).unwrap_or_else(|| self.client_id.clone())
    }

    /// Where the advice applies.
    fn place(&self) -> String {
        if self.product == Product::Other {
            return "At the provider".to_owned();
        }
        format!("In {}", self.product.name())
    }

    /// Where groups and addresses are.
    fn claims(&self, document: &Value, page: &mut Page) {
        let groups = self.groups_claim(document);
        let advice = token_advice(self.product, &self.client_id, &self.audience(), groups);
        let named = |text: String| text.replace("https://<you>/", NAMESPACE);
        if self.product == Product::Auth0 {
            let said = named(advice.email);
            page.comment(&format!("Custom claims need a namespace. In Auth0: {said}."));
            page.key("email_claim", format!("{NAMESPACE}email"));
        }
        let said = named(advice.groups);
        page.comment(&format!("The claim with the groups. {}: {said}.", self.place()));
        page.key("groups_claim", groups);
    }

    /// The claim that this product puts groups into, or is told to by our advice. `document`
    /// is its discovery document.
    #[must_use]
    pub fn groups_claim(&self, document: &Value) -> &'static str {
        let claims = |name| lists(document, "claims_supported", name);
        match self.product {
            Product::Cognito => "cognito:groups",
            Product::Zitadel => "urn:zitadel:iam:org:project:roles",
            Product::Auth0 => "https://doorward/groups",
            Product::Other if claims("roles") == Some(true) && claims("groups") == Some(false) => {
                "roles"
            }
            Product::EntraId | Product::Okta | Product::Keycloak => "groups",
            Product::Google | Product::Authentik | Product::Other => "groups",
        }
    }

    /// What `doorward auth login` asks for, where the defaults will not do, and the
    /// authority to trust.
    fn login(&self, document: &Value, page: &mut Page) {
        const DEFAULTS: [&str; 4] = ["openid", "profile", "email", "offline_access"];
        if self.product == Product::EntraId {
            let scopes = format!("{} api://{}/.default", DEFAULTS.join(" "), self.client_id);
            page.comment(
                "Without a scope of your own API, Entra's token is for Microsoft Graph, and only \
                 Graph can verify it. In Entra: Expose an API > Add a scope.",
            );
            page.key("default_scopes", scopes);
        } else {
            let taken = |scope: &&str| lists(document, "scopes_supported", scope) != Some(false);
            let scopes: Vec<_> = DEFAULTS.into_iter().filter(taken).collect();
            if !scopes.is_empty() && scopes.len() < DEFAULTS.len() {
                page.comment("What a login requests: the default scopes that the provider lists.");
                page.key("default_scopes", scopes.join(" "));
            }
        }
        if let Some(file) = &self.ca_file {
            page.comment("Certificates to trust for this provider (--ca-file).");
            page.key("ca_file", &**file);
        }
    }

    fn listeners(&self, page: &mut Page) {
        page.depth = 0;
        let (host, reach) = match self.runs {
            Runs::InCluster => {
                ("0.0.0.0", "Every address of the pod: a network policy limits who can connect.")
            }
            Runs::Here => ("127.0.0.1", "Loopback: Envoy runs on this machine."),
            Runs::InsideEnvoy => {
                page.section(0, "module");
                page.comment("Login discovery (/apis/auth/discovery), at Envoy's own address.");
                page.key("documents", true);
                return;
            }
        };
        page.comment(reach);
        page.section(0, "server");
        for (name, port, what) in [
            ("grpc", 9191, "Envoy's checks, over gRPC."),
            ("http", 8181, "Login discovery (/apis/auth/discovery), and Envoy's checks over HTTP."),
            ("admin", 9192, "Health and metrics."),
        ] {
            page.comment(what);
            page.text.push_str(&format!("  {name}: {{ listen: \"{host}:{port}\" }}\n"));
        }
    }
}

/// Whether a list of the discovery document holds this word; `None`: it has no such list.
fn lists(document: &Value, name: &str, word: &str) -> Option<bool> {
    let list = document.get(name)?.as_array()?;
    Some(list.iter().any(|it| it == word))
}

/// YAML that grows line by line.
struct Page {
    text: String,
    /// How deep what follows is.
    depth: usize,
}

impl Page {
    fn section(&mut self, depth: usize, name: &str) {
        self.text.push_str(&format!("{:1$}{name}:\n", "", 2 * depth));
        self.depth = depth + 1;
    }

    /// A key and its value. JSON is YAML, and needs no rules of its own for texts that look like
    /// something else.
    fn key(&mut self, name: &str, value: impl Into<Value>) {
        self.text.push_str(&format!("{:1$}{name}: {2}\n", "", 2 * self.depth, value.into()));
    }

    fn comment(&mut self, text: &str) {
        let start = format!("{:1$}#", "", 2 * self.depth);
        let mut at = 0;
        // What came from elsewhere must not end the comment.
        for word in printable(text).split_whitespace() {
            if at == 0 || at + 1 + word.chars().count() > WIDTH {
                self.text.push_str(if at == 0 { "" } else { "\n" });
                self.text.push_str(&start);
                at = start.len();
            }
            self.text.push(' ');
            self.text.push_str(word);
            at += 1 + word.chars().count();
        }
        self.text.push('\n');
    }
}

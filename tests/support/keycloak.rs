//! A real Keycloak with the realm of `tests/support/keycloak/realm.json`.

use std::path::Path;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use super::process::{Process, free_port, script};
use super::{eventually, http_within, tools};

pub struct Keycloak {
    base: String,
    client: Client,
    process: Process,
    _dir: tempfile::TempDir,
}

impl Keycloak {
    /// `None`: there is no Keycloak, and the test is skipped.
    pub async fn start() -> Option<Self> {
        let home = tools::tool("keycloak").await?;
        let (port, dir) = (free_port(), tempfile::tempdir().unwrap());
        let mut process = Process::start(
            script(Path::new("tests/support/keycloak/start"))
                .env("DOORWARD_KEYCLOAK", home)
                .arg(port.to_string())
                .arg(dir.path())
                .arg("--until-eof"),
        );
        let base = format!("http://127.0.0.1:{port}");
        // It takes its time to make a realm, more of it on a busy machine.
        let client = http_within(Duration::from_secs(60));
        let ready = format!("{base}/realms/doorward/.well-known/openid-configuration");
        eventually("Keycloak is ready", Duration::from_secs(120), async || {
            process.assert_alive();
            let answer = client.get(&ready).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Some(Self { base, client, process, _dir: dir })
    }

    pub fn issuer(&self) -> String {
        self.issuer_of("doorward")
    }

    /// The issuer of a realm.
    pub fn issuer_of(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.base)
    }

    /// Makes another realm: that of `realm.json`, altered.
    pub async fn add_realm(&self, name: &str, alter: impl FnOnce(&mut Value)) {
        let mut realm: Value =
            serde_json::from_str(&tools::file("tests/support/keycloak/realm.json")).unwrap();
        realm["realm"] = json!(name);
        alter(&mut realm);
        self.import(&realm).await;
    }

    async fn import(&self, realm: &Value) {
        let url = format!("{}/admin/realms", self.base);
        let admin = self.admin().await;
        let answer = self.client.post(url).bearer_auth(admin).json(realm).send().await.unwrap();
        let status = answer.status();
        assert_eq!(status, 201, "{}", answer.text().await.unwrap());
    }

    /// Where it is, without a realm.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Makes a realm as a new one is, with nobody in it but alice and her groups.
    pub async fn add_realm_with_alice(&self, name: &str) {
        let ours: Value =
            serde_json::from_str(&tools::file("tests/support/keycloak/realm.json")).unwrap();
        let mut alice = ours["users"][0].clone();
        alice["realmRoles"] = json!([]);
        let realm = json!({
            "realm": name, "enabled": true, "groups": ours["groups"], "users": [alice],
        });
        self.import(&realm).await;
    }

    /// Logs alice in at a realm and returns the whole answer of the token endpoint.
    pub async fn login_at(&self, realm: &str) -> Value {
        self.tokens(
            realm,
            &[
                ("grant_type", "password"),
                ("client_id", "nmp"),
                ("username", "alice"),
                ("password", "wonderland"),
                ("scope", "openid profile email platform:read"),
            ],
        )
        .await
    }

    /// Logs a person in with this scope and returns the access token.
    pub async fn login(&self, client: &str, user: &str, password: &str, scope: &str) -> String {
        self.token(
            "doorward",
            &[
                ("grant_type", "password"),
                ("client_id", client),
                ("username", user),
                ("password", password),
                ("scope", scope),
            ],
        )
        .await
    }

    pub async fn login_alice(&self) -> String {
        self.login("nmp", "alice", "wonderland", "openid profile email platform:read").await
    }

    /// Logs alice in by the client `nmp-job`, which has a secret, and returns the access token.
    pub async fn login_by_api(&self) -> String {
        self.token(
            "doorward",
            &[
                ("grant_type", "password"),
                ("client_id", "nmp-job"),
                ("client_secret", "nmp-job-secret"),
                ("username", "alice"),
                ("password", "wonderland"),
            ],
        )
        .await
    }

    /// Makes a token of `nmp-job` worthless (RFC 7009).
    pub async fn revoke(&self, token: &str) {
        let url = format!("{}/protocol/openid-connect/revoke", self.issuer());
        let job = [("client_id", "nmp-job"), ("client_secret", "nmp-job-secret")];
        let form = [job[0], job[1], ("token", token)];
        let answer = self.client.post(url).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// The token of a machine.
    pub async fn client_credentials(&self) -> String {
        self.token(
            "doorward",
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "nmp-job"),
                ("client_secret", "nmp-job-secret"),
            ],
        )
        .await
    }

    /// Signs with a new key from now on; the one before is published on.
    pub async fn add_key(&self) {
        let admin = self.admin().await;
        let answer = self.client.post(self.components()).bearer_auth(admin).json(&json!({
            "name": "rotated", "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {"priority": ["200"], "keySize": ["2048"]},
        }));
        assert_eq!(answer.send().await.unwrap().status(), 201);
    }

    /// Takes the first key away.
    pub async fn remove_old_key(&self) {
        let admin = self.admin().await;
        let all = self.client.get(self.components()).bearer_auth(&admin).send().await.unwrap();
        let all: Vec<Value> = all.json().await.unwrap();
        let old = all.iter().find(|component| component["name"] == "rsa-generated").unwrap();
        let url = format!("{}/{}", self.components(), old["id"].as_str().unwrap());
        let answer = self.client.delete(url).bearer_auth(admin).send().await.unwrap();
        assert_eq!(answer.status(), 204);
    }

    /// Access tokens of the realm live so many seconds from now on.
    pub async fn access_tokens_live(&self, seconds: u64) {
        self.configure("", &json!({ "accessTokenLifespan": seconds })).await;
    }

    /// Notes every refresh from now on.
    pub async fn count_refreshes(&self) {
        let events = json!({"eventsEnabled": true, "enabledEventTypes": ["REFRESH_TOKEN"]});
        self.configure("/events/config", &events).await;
    }

    /// How many refreshes it noted.
    pub async fn refreshes(&self) -> usize {
        let url = format!("{}/admin/realms/doorward/events?type=REFRESH_TOKEN", self.base);
        let answer = self.client.get(url).bearer_auth(self.admin().await).send().await.unwrap();
        answer.json::<Vec<Value>>().await.unwrap().len()
    }

    async fn configure(&self, what: &str, changes: &Value) {
        let url = format!("{}/admin/realms/doorward{what}", self.base);
        let answer = self.client.put(url).bearer_auth(self.admin().await).json(changes);
        assert_eq!(answer.send().await.unwrap().status(), 204);
    }

    /// Ends the process.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    async fn admin(&self) -> String {
        self.token(
            "master",
            &[
                ("grant_type", "password"),
                ("client_id", "admin-cli"),
                ("username", "admin"),
                ("password", "admin"),
            ],
        )
        .await
    }

    fn components(&self) -> String {
        format!("{}/admin/realms/doorward/components", self.base)
    }

    async fn token(&self, realm: &str, form: &[(&str, &str)]) -> String {
        let answer = self.tokens(realm, form).await;
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    async fn tokens(&self, realm: &str, form: &[(&str, &str)]) -> Value {
        let url = format!("{}/realms/{realm}/protocol/openid-connect/token", self.base);
        let answer = self.client.post(url).form(form).send().await.unwrap();
        answer.json().await.unwrap()
    }
}

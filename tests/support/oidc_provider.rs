//! panva's oidc-provider as an issuer of RS256 and ES256 tokens of type `at+jwt`.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::Process;
use super::{http, tools};

pub struct OidcProvider {
    issuer: String,
    process: Process,
}

/// The audience of its tokens.
pub const RESOURCE: &str = "urn:doorward:test";

impl OidcProvider {
    /// `None`: there is none, and the test is skipped.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// One with a fault of those that `server.mjs` knows.
    pub async fn start_broken(fault: &str) -> Option<Self> {
        Self::start_with(&["--broken", fault]).await
    }

    async fn start_with(arguments: &[&str]) -> Option<Self> {
        let modules = tools::tool("oidc-provider").await?;
        // Node was once seen to say nothing for a minute, on a machine with three times the
        // load it has cores for: then another one is started.
        for _ in 0..3 {
            let mut process = Process::start(
                Command::new("node")
                    .env("DOORWARD_OIDC_PROVIDER", &modules)
                    .arg(tools::root().join("tests/support/oidc-provider/server.mjs"))
                    .args(["0", "--until-eof"])
                    .args(arguments),
            );
            let started = tokio::time::timeout(Duration::from_secs(25), first_line(&mut process));
            let Ok(line) = started.await else { continue };
            let ready: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(ready["resource"], RESOURCE);
            let issuer = ready["issuer"].as_str().unwrap().to_owned();
            return Some(Self { issuer, process });
        }
        panic!("oidc-provider does not start");
    }

    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The token of a machine: `nmp-job` gets RS256, `nmp-job-es256` ES256.
    pub async fn token(&self, client: &str) -> String {
        let request = http()
            .post(format!("{}/token", self.issuer))
            .basic_auth(client, Some("nmp-job-secret"))
            .form(&[("grant_type", "client_credentials"), ("scope", "platform:read")]);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// The token of a person, who logs in by the device flow and its pages: any name will do.
    pub async fn login(&self, person: &str) -> String {
        self.login_with("nmp", person).await
    }

    /// Makes a token worthless (RFC 7009).
    pub async fn revoke(&self, client: &str, token: &str) {
        let form = [("client_id", client), ("token", token)];
        let url = format!("{}/token/revocation", self.issuer);
        let answer = http().post(url).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// The same by this client: the tokens of `nmp-opaque` are opaque.
    pub async fn login_with(&self, client: &str, person: &str) -> String {
        let post = |path: &str, form: Vec<(&str, &str)>| {
            http().post(format!("{}{path}", self.issuer)).form(&form).send()
        };
        let scope = "openid profile email platform:read";
        let answer = post("/device/auth", vec![("client_id", client), ("scope", scope)]).await;
        let device: Value = answer.unwrap().json().await.unwrap();
        let page = device["verification_uri_complete"].as_str().unwrap();
        Visitor::default().click_through(page, person).await;
        let form = vec![
            ("client_id", client),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", device["device_code"].as_str().unwrap()),
        ];
        let answer: Value = post("/token", form).await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Ends the process.
    pub fn stop(&mut self) {
        self.process.kill();
    }
}

async fn first_line(process: &mut Process) -> String {
    loop {
        process.assert_alive();
        if let Some((line, _)) = process.stdout().split_once('\n') {
            return line.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A browser of the simplest kind: cookies, redirects, and the one form of each page.
#[derive(Default)]
struct Visitor {
    cookies: std::collections::BTreeMap<String, String>,
}

impl Visitor {
    /// Submits form after form until a page has none.
    async fn click_through(&mut self, url: &str, person: &str) {
        let mut page = self.open(url, None).await;
        for _ in 0..8 {
            let Some(form) =
                page.split_once("<form").and_then(|(_, rest)| rest.split_once("</form>"))
            else {
                return;
            };
            let action = attribute(form.0, "action").unwrap();
            let mut fields = vec![("login".to_owned(), person.to_owned())];
            fields.push(("password".into(), "any".into()));
            for input in form.0.split("<input").skip(1) {
                if let (Some(name), Some(value)) =
                    (attribute(input, "name"), attribute(input, "value"))
                {
                    fields.push((name, value));
                }
            }
            page = self.open(&action, Some(&fields)).await;
        }
        panic!("there is no end to the forms: {page}");
    }

    async fn open(&mut self, url: &str, form: Option<&[(String, String)]>) -> String {
        let mut request = match form {
            Some(form) => http().post(url).form(form),
            None => http().get(url),
        };
        for _ in 0..8 {
            let cookies: Vec<_> = self.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
            let answer = request.header("cookie", cookies.join("; ")).send().await.unwrap();
            for cookie in answer.headers().get_all("set-cookie") {
                let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = cookie.split_once('=').unwrap();
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
            let Some(next) = answer.headers().get("location") else {
                return answer.text().await.unwrap();
            };
            request = http().get(answer.url().join(next.to_str().unwrap()).unwrap());
        }
        panic!("{url} redirects without end");
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    // A field without a value must not take that of the next.
    (!value.contains('<')).then(|| value.replace("&amp;", "&"))
}

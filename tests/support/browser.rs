//! A real browser without a window, for the pages where people log in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use thirtyfour::prelude::*;
use thirtyfour::{ChromeCapabilities, DesiredCapabilities};

use super::process::Process;
use super::{eventually, tools};

/// A page takes a while on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Browser {
    driver: WebDriver,
    _chromedriver: Process,
    home: tempfile::TempDir,
}

impl Drop for Browser {
    /// A test that fails has not said good-bye, and chromedriver takes no browser with it.
    fn drop(&mut self) {
        // Else the driver would ask a browser that is gone to end itself, for minutes. An
        // error says that it has ended as it should.
        let _ = self.driver.clone().leak();
        // "host-pid", there for as long as the browser runs.
        let lock = std::fs::read_link(self.home.path().join("profile/SingletonLock"));
        let lock = lock.ok().and_then(|lock| lock.to_str().map(str::to_owned));
        if let Some((_, pid)) = lock.as_deref().and_then(|lock| lock.rsplit_once('-')) {
            let _ = Command::new("kill").args(["-KILL", pid]).status();
        }
    }
}

impl Browser {
    /// `None`: there is none, and the test is skipped.
    pub async fn start() -> Option<Self> {
        let chromium = tools::tool("chromium").await?;
        let chromedriver = tools::tool("chromedriver").await?;
        let home = tempfile::tempdir().unwrap();
        // The browser it starts finds its way home in there, not in the user's.
        let start =
            || Process::start(Command::new(&chromedriver).arg("--port=0").env("HOME", home.path()));
        let mut process = start();
        let port = eventually("chromedriver listens", PATIENCE, async || {
            let said = process.stdout();
            if said.contains("IPv4 port not available") {
                // It has chosen one of version 6, and somebody else has the same of version 4.
                process = start();
                return None;
            }
            process.assert_alive();
            let (_, after) = said.split_once("started successfully on port ")?;
            after.split_once('.').map(|(port, _)| port.to_owned())
        })
        .await;
        let capabilities = capabilities(&chromium, &home.path().join("profile"));
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await;
        Some(Self { driver: driver.unwrap(), _chromedriver: process, home })
    }

    pub async fn open(&self, url: &str) {
        self.driver.goto(url).await.unwrap();
    }

    /// Waits for these fields (CSS selector → text), fills them in, presses `button`, and
    /// waits until the page is left.
    pub async fn fill(&self, fields: &[(&str, &str)], button: &str) {
        for (field, text) in fields {
            let field = self.find(field).await;
            field.clear().await.unwrap();
            field.send_keys(*text).await.unwrap();
        }
        let button = self.find(button).await;
        button.click().await.unwrap();
        // The next page may have a button of the same name: this one has to be gone first.
        eventually("the page goes on", PATIENCE, async || {
            button.tag_name().await.is_err().then_some(())
        })
        .await;
    }

    /// Fills fields in, presses `button`, and stays on the page.
    pub async fn ask(&self, fields: &[(&str, &str)], button: &str) {
        for (field, text) in fields {
            let field = self.find(field).await;
            field.clear().await.unwrap();
            field.send_keys(*text).await.unwrap();
        }
        self.find(button).await.click().await.unwrap();
    }

    /// Waits until one of these elements shows this text.
    pub async fn shows(&self, selector: &str, text: &str) {
        eventually(&format!("{selector} shows {text}"), PATIENCE, async || {
            for element in self.driver.find_all(By::Css(selector)).await.ok()? {
                if element.text().await.is_ok_and(|shown| shown.contains(text)) {
                    return Some(());
                }
            }
            None
        })
        .await;
    }

    /// What the first such element shows.
    pub async fn text(&self, selector: &str) -> String {
        self.driver.find(By::Css(selector)).await.unwrap().text().await.unwrap()
    }

    /// How many such elements there are.
    pub async fn count(&self, selector: &str) -> usize {
        self.driver.find_all(By::Css(selector)).await.unwrap().len()
    }

    /// Presses these keys, one after the other, on whatever has the focus.
    pub async fn press(&self, keys: impl Into<TypingData>) {
        self.driver.action_chain().send_keys(keys).perform().await.unwrap();
    }

    /// What the body of a function, in JavaScript, returns on the page.
    pub async fn run(&self, script: &str) -> Value {
        self.driver.execute(script, Vec::new()).await.unwrap().json().clone()
    }

    /// Tells the browser to be another one, by the protocol of its developer tools.
    pub async fn be(&self, command: &str, how: Value) -> Value {
        self.driver.cdp().send_raw(command, how).await.unwrap()
    }

    pub async fn title(&self) -> String {
        self.driver.title().await.unwrap()
    }

    pub async fn screenshot(&self, path: &Path) {
        self.driver.set_window_rect(0, 0, 1280, 1400).await.unwrap();
        self.driver.execute("scrollTo(0, 0)", Vec::new()).await.unwrap();
        self.driver.screenshot(path).await.unwrap();
    }

    /// Waits until the page shows this text.
    pub async fn sees(&self, text: &str) {
        let shown = eventually("the page is there", PATIENCE, async || {
            let body = self.driver.find(By::Tag("body")).await.ok()?.text().await.ok()?;
            body.contains(text).then_some(())
        });
        shown.await;
    }

    /// Enters the code that `auth login` shows, as alice at Keycloak, and agrees.
    pub async fn approve_at_keycloak(&self, (page, code): &(String, String)) {
        self.open(page).await;
        self.fill(&[("#device_user_code", code)], "#kc-login").await;
        self.fill(&[("#username", "alice"), ("#password", "wonderland")], "#kc-login").await;
        self.fill(&[], "[name=accept]").await;
        self.sees("Device Login Successful").await;
    }

    /// Ends the browser.
    pub async fn quit(self) {
        self.driver.clone().quit().await.unwrap();
    }

    async fn find(&self, selector: &str) -> WebElement {
        let find = eventually(selector, PATIENCE * 2, async || {
            let element = self.driver.find(By::Css(selector)).await.ok()?;
            element.is_clickable().await.ok()?.then_some(element)
        });
        match tokio::time::timeout(PATIENCE, find).await {
            Ok(element) => element,
            // What is there instead says more than what is not.
            Err(_) => panic!("no {selector} in {}", self.driver.source().await.unwrap()),
        }
    }
}

/// The URL to open and the code to enter, as `auth login` shows them to a person.
pub async fn prompt(login: &mut Process) -> (String, String) {
    eventually("the code is shown", PATIENCE, async || {
        login.assert_alive();
        let said = login.stderr();
        let page = said.lines().find_map(|line| line.strip_prefix("    http"))?;
        let (_, code) = said.split_once("enter the code ")?;
        Some((format!("http{page}"), code.split_once('\n')?.0.to_owned()))
    })
    .await
}

fn capabilities(chromium: &Path, profile: &Path) -> ChromeCapabilities {
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities.set_binary(chromium.to_str().unwrap()).unwrap();
    for flag in [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
    ] {
        capabilities.add_arg(flag).unwrap();
    }
    capabilities.add_arg(&format!("--user-data-dir={}", profile.display())).unwrap();
    capabilities
}

//! The console's page for those who have no mouse, a small screen, a dark room or weak eyes: in a
//! real Chromium.

use serde_json::{Value, json};
use thirtyfour::prelude::Key;

use crate::support::browser::Browser;
use crate::support::check::get;
use crate::support::console::config;
use crate::support::doorward::Doorward;
use crate::support::idp::Idp;
use crate::support::signer::{RSA, claims};
use crate::support::{PATIENCE, eventually};

/// What Tab should reach, from the first to the last. `label` is how the test tells them apart.
const CONTROLS: &str = "
    const label = (it) => it.id || it.textContent.trim();
    const all = document.querySelectorAll('a, button, input, select, textarea, summary, [tabindex]');
    return [...all].filter((it) => it.checkVisibility()).map(label);";

/// What has the focus, and whether anybody can see that.
const FOCUSED: &str = "
    const it = document.activeElement;
    const [at, style] = [it.getBoundingClientRect(), getComputedStyle(it)];
    const shown = at.width > 0 && at.left >= 0 && at.right <= innerWidth && at.bottom > 0 && at.top < innerHeight;
    return {
      label: it.id || it.textContent.trim(),
      shown,
      outlined: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
    };";

/// The lowest contrast of any text with what is behind it (WCAG 2.2, 1.4.3).
const CONTRAST: &str = "
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgba = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data;
    };
    const luminance = (color) => {
      const [r, g, b] = [...rgba(color)].slice(0, 3).map((it) => it / 255)
        .map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (it) => {
      for (; it; it = it.parentElement) {
        const color = getComputedStyle(it).backgroundColor;
        if (rgba(color)[3] === 255) return color;
      }
      return 'rgb(255, 255, 255)';
    };
    const measured = [];
    const measure = (it, color, text) => {
      for (let up = it; up; up = up.parentElement) {
        if (getComputedStyle(up).opacity !== '1') throw new Error('translucent: ' + text);
      }
      const [one, other] = [luminance(color), luminance(ground(it))].sort((a, b) => b - a);
      measured.push({ratio: (one + 0.05) / (other + 0.05), text});
    };
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const it = texts.currentNode.parentElement;
      const text = texts.currentNode.data.trim();
      if (text && it.checkVisibility()) measure(it, getComputedStyle(it).color, text);
    }
    for (const it of document.querySelectorAll('input, textarea, select')) {
      measure(it, getComputedStyle(it).color, it.id);
      measure(it, getComputedStyle(it, '::placeholder').color, it.id + ' (placeholder)');
    }
    measured.sort((a, b) => a.ratio - b.ratio);
    return {lowest: measured[0], count: measured.length, ground: ground(document.body)};";

/// What reaches beyond the right edge of the page, where nothing scrolls for it.
const OVERFLOWING: &str = "
    const scrolls = (it) => it && (getComputedStyle(it).overflowX !== 'visible' || scrolls(it.parentElement));
    const beyond = [...document.body.querySelectorAll('*')].filter((it) => it.checkVisibility()
      && it.className !== 'skip' && it.getBoundingClientRect().right > innerWidth + 0.5 && !scrolls(it.parentElement));
    return {
      width: document.documentElement.scrollWidth,
      beyond: beyond.map((it) => `${it.tagName} ${it.id} ${it.className}`),
    };";

/// A page with something in every place: an issuer that serves, one that never did, denials with long
/// paths, and a decision that was explained, each check included.
async fn full(browser: &Browser) -> (Doorward, Idp) {
    let (idp, down) = (Idp::start([&*RSA]).await, Idp::down([&*RSA]).await);
    let mut config: Value = serde_json::from_str(&config(&idp)).unwrap();
    let name =
        format!("{}/realms/a-name-that-is-long-and-has-no-break-at-all-anywhere", down.issuer());
    config["auth"]["issuers"] = json!([{"issuer": name, "audience": "nmp"}]);
    let doorward = Doorward::start(&config.to_string()).await;
    doorward.ready().await;
    let old = json!({"exp": 1_700_000_000, "iat": 1_699_999_000});
    let token = RSA.token("RS256", &claims(&idp.issuer(), old));
    let path = format!("/v1/{}", "long".repeat(60));
    assert_eq!(doorward.ask(get(&path).bearer(&token)).await.reason, "expired");
    browser.open(&doorward.console("/")).await;
    browser.shows("#issuers .down", "fix: ").await;
    browser.shows("#denials", &path).await;
    browser.ask(&[("#token", &token), ("#path", &path)], "#question button").await;
    browser.shows("#cause", "fix: ").await;
    browser.run("document.querySelectorAll('details').forEach((it) => { it.open = true; })").await;
    browser.shows("#answer .steps", "expected: ").await;
    (doorward, idp)
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    let Some(browser) = Browser::start().await else { return };
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    browser.open(&doorward.console("/")).await;
    browser.shows("#issuers", "rsa-1").await;

    // Every control has its turn, in the order of the page, and shows it.
    let controls = browser.run(CONTROLS).await;
    let controls: Vec<_> =
        controls.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let wanted = [
        "Skip to explain",
        "1 key",
        "token",
        "method",
        "path",
        "Host, and what the gateway’s route says",
        "Explain",
        "denials",
    ];
    assert_eq!(controls, wanted);
    for control in controls {
        browser.press(Key::Tab).await;
        let focused = browser.run(FOCUSED).await;
        assert_eq!(focused, json!({"label": control, "shown": true, "outlined": true}));
    }

    // A token is typed and asked about by Enter; the other way is the button.
    browser.run("document.activeElement.blur(); document.querySelector('.skip').focus()").await;
    browser.press(Key::Enter).await;
    browser.press(Key::Tab).await;
    assert_eq!(browser.run(FOCUSED).await["label"], "token");
    browser.press("a.b.c").await;
    browser.press(Key::Enter).await;
    browser.shows("#verdict", "deny: malformed_token (401)").await;
    assert_eq!(browser.run("return document.getElementById('token').value").await, "a.b.c");
    let token = RSA.token("RS256", &claims(&idp.issuer(), json!({})));
    for _ in 0..5 {
        browser.press(Key::Backspace).await;
    }
    browser.press(&*token).await;
    for _ in 0..3 {
        browser.press(Key::Tab).await;
    }
    assert_eq!(browser.run(FOCUSED).await["label"], "Host, and what the gateway’s route says");
    browser.press(" ").await;
    for text in ["", "", "models:write", ""] {
        browser.press(Key::Tab).await;
        browser.press(text).await;
    }
    browser.press(Key::Tab).await;
    assert_eq!(browser.run(FOCUSED).await["label"], "Explain");
    browser.press(Key::Enter).await;
    browser.shows("#verdict", "deny: insufficient_scope (403)").await;
    browser.quit().await;
}

/// The page is told anew all the time: nobody loses the focus, what was selected or what was opened.
#[tokio::test]
async fn what_somebody_does_is_left_alone() {
    let Some(browser) = Browser::start().await else { return };
    let idp = Idp::start([&*RSA]).await;
    let doorward = Doorward::start(&config(&idp)).await;
    doorward.ready().await;
    assert_eq!(doorward.ask(get("/one")).await.status, 401);
    browser.open(&doorward.console("/")).await;
    browser.shows("#denials", "/one").await;
    let held = "
        const [summary, code] = [document.querySelector('.issuer summary'), document.querySelector('.issuer code')];
        return [document.activeElement === summary, summary.parentElement.open, getSelection().toString()];";
    browser
        .run(
            "document.querySelector('.issuer summary').focus();
         getSelection().selectAllChildren(document.querySelector('.issuer code'));",
        )
        .await;
    assert_eq!(browser.run(held).await, json!([true, true, "rsa-1"]));
    let about = browser.text("#about").await;
    assert_eq!(doorward.ask(get("/two")).await.status, 401);
    browser.shows("#denials tbody tr", "/two").await;
    eventually("time has gone by", PATIENCE, async || {
        (browser.text("#about").await != about).then_some(())
    })
    .await;
    assert_eq!(browser.run(held).await, json!([true, true, "rsa-1"]));
    browser.press(Key::Enter).await;
    let about = browser.text("#about").await;
    eventually("time has gone by", PATIENCE, async || {
        (browser.text("#about").await != about).then_some(())
    })
    .await;
    assert_eq!(browser.run(held).await[1], false, "it was closed");
    browser.quit().await;
}

/// As programs that read pages out see it: whatever can be used has a name and says what it is.
#[tokio::test]
async fn every_control_has_a_name() {
    let Some(browser) = Browser::start().await else { return };
    let (_doorward, _idp) = full(&browser).await;
    let tree = browser.be("Accessibility.getFullAXTree", json!({})).await;
    let mut named = Vec::new();
    for node in tree["nodes"].as_array().unwrap() {
        let properties = node["properties"].as_array().cloned().unwrap_or_default();
        let is = |name: &str| {
            properties.iter().any(|it| it["name"] == name && it["value"]["value"] == true)
        };
        let (role, name) =
            (&node["role"]["value"], node["name"]["value"].as_str().unwrap_or_default());
        let is_picture = role == "image" || role == "img";
        if node["ignored"] == false && role != "RootWebArea" && (is("focusable") || is_picture) {
            assert!(!name.trim().is_empty(), "{node}");
            named.push(format!("{} {name}", role.as_str().unwrap()));
        }
    }
    for control in [
        "textbox Token, or the Authorization line",
        "textbox Method",
        "textbox Path",
        "textbox Host",
        "combobox doorward.mode",
        "textbox doorward.scopes",
        "textbox doorward.audience",
        "button Explain",
        "region Last denials",
        "image fail",
    ] {
        assert!(named.iter().any(|it| it == control), "{control} is not in {named:#?}");
    }
    assert!(named.iter().any(|it| it.starts_with("image Last 15 minutes: ")), "{named:#?}");
    browser.quit().await;
}

#[tokio::test]
async fn a_phone_is_wide_enough() {
    let Some(browser) = Browser::start().await else { return };
    browser
        .be(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true}),
        )
        .await;
    let (_doorward, _idp) = full(&browser).await;
    assert_eq!(browser.run("return innerWidth").await, 360);
    assert_eq!(browser.run(OVERFLOWING).await, json!({"width": 360, "beyond": []}));
    // Not by scrolling inside either: what was asked for is read from top to bottom.
    let inside = browser.run("const it = document.getElementById('denials'); return [it.scrollWidth, it.clientWidth]").await;
    assert_eq!(inside[0], inside[1]);
    browser.quit().await;
}

#[tokio::test]
async fn light_and_dark_can_be_read() {
    let Some(browser) = Browser::start().await else { return };
    let (_doorward, _idp) = full(&browser).await;
    let mut grounds = Vec::new();
    for scheme in ["light", "dark"] {
        let feature = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        browser.be("Emulation.setEmulatedMedia", json!({"features": feature})).await;
        let measured = browser.run(CONTRAST).await;
        assert!(measured["count"].as_u64().unwrap() > 100, "{scheme}: {measured}");
        assert!(measured["lowest"]["ratio"].as_f64().unwrap() >= 4.5, "{scheme}: {measured}");
        grounds.push(measured["ground"].as_str().unwrap().to_owned());
    }
    assert_ne!(grounds[0], grounds[1]);
    browser.quit().await;
}

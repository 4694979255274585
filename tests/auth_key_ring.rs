//! A real desktop key ring: tokens are there and not in the file, and when it is gone that
//! is said.

use std::process::Command;

use serde_json::json;

use crate::support::cli::Cli;
use crate::support::oauth::{Answer, OAuth, tokens};
use crate::support::process::Process;
use crate::support::tools;

/// A session bus with an unlocked key ring on it, as a desktop has. Both end with the shell.
const SESSION: &str = r#"
echo -n sesame | "$KEY_RING" --unlock --components=secrets --foreground >"$HOME/ring.log" &
ring=$!
trap 'kill $ring' EXIT
for attempt in $(seq 100); do
    grep -q CONTROL "$HOME/ring.log" && break
    sleep 0.1
done
run() { echo "$ $*"; "$DOORWARD" auth "$@" 2>&1; echo "exit $?"; }
run login "$PROVIDER" --username alice --password x --store key-ring
run token
run refresh
run token
cp "$HOME/doorward/logins.json" "$HOME/while-logged-in.json"
run logout
run login "$PROVIDER" --username alice --password x
kill $ring
wait $ring
unset DBUS_SESSION_BUS_ADDRESS
run token
run logout
"#;

#[tokio::test]
async fn tokens_live_in_the_key_ring() {
    let Some(key_ring) = tools::tool("gnome-keyring").await else { return };
    let provider = OAuth::start().await;
    let answer = |name: &str| {
        let refresh_token = format!("{name}-refresh");
        tokens(json!({"access_token": format!("{name}-access"), "refresh_token": refresh_token}))
    };
    provider.say("/token", [answer("one"), answer("two"), answer("three")]);
    provider.say("/revoke", [Answer::Json(200, json!({}))]);
    let cli = Cli::new();
    let mut session = Process::start(
        Command::new("dbus-run-session")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", cli.home())
            .env("XDG_CONFIG_HOME", cli.home())
            .env("KEY_RING", key_ring)
            .env("DOORWARD", env!("CARGO_BIN_EXE_doorward"))
            .env("PROVIDER", provider.url())
            .args(["--", "sh", "-c", SESSION]),
    );
    session.ended().await;
    let said = session.stdout();
    let steps: Vec<_> = said.split("$ ").skip(1).collect();
    let expected: [&[&str]; 8] = [
        &["kept in  the key ring", "exit 0"],
        &["token\none-access\nexit 0"],
        &["Refreshed", "exit 0"],
        &["token\ntwo-access\nexit 0"],
        &["revoked and deleted", "exit 0"],
        &["kept in  the key ring", "exit 0"],
        &["key ring", "--store file", "exit 1"],
        &["the tokens are deleted, but not revoked", "exit 1"],
    ];
    assert_eq!(steps.len(), expected.len(), "{said}\n{}", session.stderr());
    for (step, parts) in steps.iter().zip(expected) {
        assert!(parts.iter().all(|part| step.contains(part)), "{parts:?} in {step:?} of\n{said}");
    }
    let file = std::fs::read_to_string(cli.home().join("while-logged-in.json")).unwrap();
    assert!(file.contains("key_ring") && !file.contains("two-"), "{file}");
}

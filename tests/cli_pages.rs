//! What the command line says about itself: help, completions, man pages, colour.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::cli::Cli;
use crate::support::oauth::{OAuth, refusal, tokens};
use crate::support::process::Process;
use crate::support::tools;

const VERBS: [&[&str]; 16] = [
    &[],
    &["serve"],
    &["config"],
    &["auth"],
    &["auth", "login"],
    &["auth", "status"],
    &["auth", "use"],
    &["auth", "token"],
    &["auth", "refresh"],
    &["auth", "logout"],
    &["completions"],
    &["demo"],
    &["doctor"],
    &["explain"],
    &["init"],
    &["man"],
];

#[tokio::test]
async fn every_verb_shows_examples() {
    for verb in VERBS {
        let help = Cli::new().run(&[verb, &["--help"]].concat()).await;
        assert!(help.assert(0, &[]).stdout.contains("Examples:\n  "), "{verb:?}: {help:?}");
    }
}

/// The options of a verb stand under headings, those that every verb has under none.
#[tokio::test]
async fn options_stand_under_headings() {
    for (verb, headings) in [
        (&["serve"][..], &["Configuration:", "Output:"][..]),
        (&["config", "check"], &["Configuration:", "Output:"]),
        (&["doctor"], &["Configuration:", "Identity provider:", "Token:", "Gateway:", "Output:"]),
        (&["explain"], &["Request:", "Output:", "Configuration:"]),
        (&["init"], &["Identity provider:", "Gateway:", "Output:"]),
        (&["demo"], &["What to run:", "Output:"]),
        (
            &["auth", "login"],
            &[
                "Where to log in:",
                "What to ask for:",
                "How to log in:",
                "Where to keep the tokens:",
            ],
        ),
    ] {
        let help = Cli::new().run(&[verb, &["--help"]].concat()).await;
        let help = &help.assert(0, &[]).stdout;
        let lines: Vec<_> = help.lines().collect();
        for heading in headings {
            assert!(lines.contains(heading), "{verb:?} without {heading}: {help}");
        }
        let options = lines.iter().skip_while(|line| **line != "Options:").skip(1);
        let options: Vec<_> = options.take_while(|line| !line.is_empty()).collect();
        assert!(options.iter().all(|line| !line.contains("      --")), "{verb:?}: {help}");
    }
}

#[tokio::test]
async fn completions_are_what_each_shell_reads() {
    let cli = Cli::new();
    let script = |shell| {
        let cli = &cli;
        async move { cli.run(&["completions", shell]).await.assert(0, &[]).stdout.clone() }
    };
    let bash = script("bash").await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("doorward.bash");
    std::fs::write(&path, &bash).unwrap();
    // It parses, and completes a verb of a verb.
    let complete = |words: &[&str]| {
        let (typed, last) = (words.join(" "), words.len() - 1);
        let ask = format!(
            "source \"$1\"; COMP_WORDS=({typed}); COMP_CWORD={last}; COMP_TYPE=9; \
             _clap_complete_doorward doorward {}; echo \"${{COMPREPLY[@]}}\"",
            words[last]
        );
        let mut bash = Command::new("bash");
        // The script calls `doorward` back.
        let program = Path::new(env!("CARGO_BIN_EXE_doorward")).parent().unwrap();
        bash.env("PATH", format!("{}:/usr/bin:/bin", program.display()));
        bash.env("HOME", cli.home()).env("XDG_CONFIG_HOME", cli.home());
        let reply = bash.args(["-c", &ask, "bash"]).arg(&path).output().unwrap();
        String::from_utf8_lossy(&reply.stdout).trim_end().to_owned()
    };
    assert_eq!(complete(&["doorward", "auth", "lo"]), "login logout");
    // Names that exist at run time only.
    let provider = OAuth::start().await;
    for name in ["work", "home"] {
        provider.say("/token", [tokens(json!({}))]);
        let login = ["auth", "login", provider.url(), "--context", name];
        let by_password = ["--username", "alice", "--password", "x"];
        cli.run(&[&login[..], &by_password].concat()).await.assert(0, &[]);
    }
    assert_eq!(complete(&["doorward", "auth", "token", "--context", "''"]), "home work");
    assert_eq!(complete(&["doorward", "auth", "login", "--context", "wo"]), "work");
    assert!(script("zsh").await.starts_with("#compdef doorward"));
    assert!(script("fish").await.contains("--command doorward"));
    cli.run(&["completions", "tcsh"]).await.assert(2, &["possible values"]);
}

#[tokio::test]
async fn there_is_a_man_page_for_every_verb() {
    let cli = Cli::new();
    let page = cli.run(&["man"]).await;
    assert!(page.assert(0, &[]).stdout.contains(".TH doorward 1"), "{page:?}");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("man1");
    cli.run(&["man", "--out", out.to_str().unwrap()]).await.assert(0, &[]);
    for verb in VERBS {
        let name = [&["doorward"], verb].concat().join("-");
        let page = std::fs::read_to_string(out.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{name}");
        assert!(page.contains("Examples:"), "{name}");
    }
    let under_a_file = tools::root().join("Cargo.toml/man1");
    let ended = cli.run(&["man", "--out", under_a_file.to_str().unwrap()]).await;
    ended.assert(1, &["error:", "fix:"]);
}

#[tokio::test]
async fn colour_is_for_those_who_can_see_it() {
    let cli = Cli::new();
    let coloured = async |environment: &[(&str, &str)]| {
        let ended = cli.run_with(&["auth", "token"], environment, "").await;
        ended.assert(1, &["error:"]).stderr.contains('\u{1b}')
    };
    assert!(!coloured(&[]).await, "a pipe is no terminal");
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]).await, "colour there is");
    assert!(!coloured(&[("NO_COLOR", "1"), ("TERM", "xterm")]).await);
}

/// The chain of an error's causes is tested where it is made, in `cli`.
#[tokio::test]
async fn verbose_says_who_is_asked_and_for_what() {
    let provider = OAuth::start().await;
    provider.say("/token", [refusal("invalid_grant", "no")]);
    let login = ["auth", "login", provider.url(), "--username", "alice", "--password", "x"];
    let details = ["token endpoint: http", "device endpoint: http", "asking for: openid"];
    for arguments in [[&login[..], &["--verbose"]].concat(), [&["-v"], &login[..]].concat()] {
        Cli::new().run(&arguments).await.assert(1, &details);
    }
    assert!(!Cli::new().run(&login).await.assert(1, &[]).stderr.contains(details[0]));
}

/// `script` gives the command a terminal.
#[tokio::test]
#[cfg(target_os = "linux")]
async fn on_a_terminal_there_is_a_spinner_and_colour_unless_told_otherwise() {
    let provider = OAuth::start().await;
    for no_color in [false, true] {
        provider.say("/token", [refusal("authorization_pending", ""), tokens(json!({}))]);
        let cli = Cli::new();
        let doorward = env!("CARGO_BIN_EXE_doorward");
        let login = format!("{doorward} auth login --no-browser {}", provider.url());
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &login, "/dev/null"]);
        command.env("TERM", "xterm").env("DOORWARD_CLI_STORE", "file");
        command.env("HOME", cli.home()).env("XDG_CONFIG_HOME", cli.home());
        command.env_remove("NO_COLOR").env_remove("NMP_OIDC_USERNAME");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let mut terminal = Process::start(&mut command);
        let ended = tokio::time::timeout(Duration::from_secs(60), terminal.ended()).await.unwrap();
        let shown = terminal.stdout();
        assert_eq!(ended.code(), Some(0), "{shown}");
        assert!(shown.contains("waiting for you to log in, 9:5"), "{shown}");
        assert!(!shown.contains("at most"), "that is for pipes: {shown}");
        assert!(shown.contains("Logged in"), "{shown}");
        assert_eq!(shown.contains("\u{1b}[1m"), !no_color, "{shown:?}");
    }
}

/// Pipes whose other end is closed: `| head`, a terminal that is gone.
#[tokio::test]
async fn output_that_nobody_reads_changes_no_exit_code() {
    let cli = Cli::new();
    let taken = cli.home().join("taken.yaml");
    std::fs::write(&taken, "").unwrap();
    let init = ["init", "--issuer", "https://a", "--client-id", "a", "--out"];
    for (arguments, code) in [
        (&["config", "schema"][..], 0),
        (&["completions", "bash"], 0),
        (&["man"], 0),
        (&["config", "check"], 2),
        (&["auth", "status"], 1),
        (&["auth", "refresh"], 1),
        (&["auth", "logout", "--all"], 0),
        (&["doctor"], 2),
        (&[&init[..], &[taken.to_str().unwrap()]].concat(), 2),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        command.env_clear().env("HOME", cli.home()).env("DOORWARD_CLI_STORE", "file");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        let ended = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(code), "{arguments:?}");
    }
}

//! What the command line says about itself: help, completions, man pages, colour.

use std::process::Command;

use crate::support::cli::Cli;
use crate::support::tools;

const VERBS: [&[&str]; 10] = [
    &[],
    &["serve"],
    &["config"],
    &["auth"],
    &["auth", "login"],
    &["auth", "status"],
    &["auth", "token"],
    &["auth", "refresh"],
    &["auth", "logout"],
    &["man"],
];

#[tokio::test]
async fn every_verb_shows_examples() {
    for verb in VERBS {
        let help = Cli::new().run(&[verb, &["--help"]].concat()).await;
        assert!(help.assert(0, &[]).stdout.contains("Examples:\n  "), "{verb:?}: {help:?}");
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
    let ask = "source \"$1\"; COMP_WORDS=(doorward auth lo); COMP_CWORD=2; \
               _doorward doorward lo auth; echo \"${COMPREPLY[@]}\"";
    let reply = Command::new("bash").args(["-c", ask, "bash"]).arg(&path).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&reply.stdout), "login logout\n", "{reply:?}");
    assert!(script("zsh").await.starts_with("#compdef doorward"));
    assert!(script("fish").await.contains("complete -c doorward"));
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
    ended.assert(1, &["error:", "next:"]);
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

#[tokio::test]
async fn verbose_shows_the_whole_chain() {
    let cli = Cli::new();
    let parent = cli.logins().parent().unwrap().to_owned();
    std::fs::write(&parent, "a file where a directory should be").unwrap();
    let login = ["auth", "login", "http://127.0.0.1:1"];
    for arguments in [&[&login[..], &["--verbose"]].concat()[..], &[&["-v"], &login[..]].concat()] {
        let ended = cli.run(arguments).await;
        ended.assert(1, &["cannot use", "because: ", "next: "]);
    }
}

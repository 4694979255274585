//! What the library asks of the system that it is loaded into.

use std::process::Command;

use crate::support::library;

fn readelf(arguments: &[&str]) -> String {
    let output = Command::new("readelf").args(arguments).arg(library()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Images with an Envoy and no more lack all else.
#[test]
fn it_needs_the_c_library_alone() {
    let dynamic = readelf(&["--dynamic", "--wide"]);
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    for line in needed {
        let known =
            ["[libc.so.6]", "[libm.so.6]", "[ld-linux-x86-64.so.2]", "[ld-linux-aarch64.so.1]"];
        assert!(known.iter().any(|known| line.ends_with(known)), "{line}");
    }
    // Its thread outlives the last filter by a moment.
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
}

/// What it has inside meets nothing of the same name in Envoy, or in another module.
#[test]
fn it_shows_its_hooks_alone() {
    let symbols = readelf(&["--dyn-syms", "--wide"]);
    let shown: Vec<_> = symbols
        .lines()
        .filter(|line| line.contains(" GLOBAL ") && !line.contains(" UND "))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert!(shown.len() > 20, "{shown:?}");
    for name in shown {
        assert!(name.starts_with("envoy_dynamic_module_on_"), "{name}");
    }
}

//! How the module is linked: so that it stays where its thread is, and needs nothing that an image
//! with no more than Envoy lacks.

use std::path::PathBuf;
use std::{env, fs, io};

/// Rust asks for the shared library that unwinds; this has the static one take its place.
const UNWIND_STATICALLY: &str = "GROUP(-lgcc_eh -lgcc)\n";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("libgcc_s.so"), UNWIND_STATICALLY)?;
    let link = |argument: &str| println!("cargo::rustc-cdylib-link-arg={argument}");
    link(&format!("-L{}", out.display()));
    // A thread of ours may still be in it when Envoy lets go.
    link("-Wl,-z,nodelete");
    // What is missing at run time is told by the loader at once, not by the first request.
    link("-Wl,-z,now");
    Ok(())
}

//! Compiles Envoy's own definition of its service, without `protoc`, to the descriptor that server
//! reflection serves.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");

    let envoy = protox::compile(["envoy/service/auth/v3/external_auth.proto"], ["proto/vendor"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    std::fs::write(out.join("envoy.service.auth.v3.bin"), envoy.encode_to_vec())?;
    Ok(())
}

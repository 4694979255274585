//! Placeholder until `proto/` lands.
fn main() {}

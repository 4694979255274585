//! Any text as a configuration file.
#![no_main]

use doorward::config::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(faults) = Settings::from_yaml("fuzz.yaml", text) {
        assert!(!faults.to_string().is_empty());
    }
});

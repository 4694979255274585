//! Any bytes as a JWKS document.
#![no_main]

use doorward_core::keys::{Algorithm, KeySet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    if let Ok(set) = KeySet::parse(document) {
        assert!(set.same_keys(&set));
        for &algorithm in Algorithm::ALL {
            for key in set.candidates(None, algorithm) {
                assert!(!key.verifies(algorithm, b"message", b"signature"));
            }
        }
    }
});

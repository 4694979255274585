//! Any bytes as a token, and as the JSON inside one.
#![no_main]

use doorward_core::bearer::BearerToken;
use doorward_core::token::{Claims, CompactJws, UnsignedTokens, UnverifiedToken};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|token: &[u8]| {
    if let Ok(jws) = CompactJws::decode(BearerToken::new(token), 16 * 1024)
        && let Ok(unverified) = UnverifiedToken::parse(&jws, UnsignedTokens::Accepted)
    {
        let _ = (unverified.issuer(), unverified.tenant(), unverified.kid(), unverified.kind());
    }
    if let Ok(claims) = Claims::parse(token) {
        for name in claims.names() {
            let _ = (claims.value(name), claims.string(name), claims.numeric_date(name));
        }
    }
});

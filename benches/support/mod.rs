//! What benchmarks, the load and the allocation test share: an issuer that does not exist,
//! tokens of a realistic size, and requests as Envoy sends them.

#[path = "../../tests/support/signer.rs"]
pub mod signer;

pub mod request;

use serde_json::{Value, json};

use self::signer::{Curve, Signer, claims, from_now};

/// The issuer of every token, and the `n`-th of many.
pub const ISSUER: &str = "https://idp.example/realms/research";

/// One private key for each kind of signature.
pub struct Keys {
    pub rsa: Signer,
    pub ec: Signer,
    pub ed: Signer,
    /// A key that nobody publishes, under a name that nobody publishes.
    pub stranger: Signer,
}

impl Keys {
    pub fn generate() -> Self {
        Self {
            rsa: Signer::rsa("2026-01-rsa-signing-key"),
            ec: Signer::ec("2026-01-ec-signing-key", Curve::P256),
            ed: Signer::ed_from_seed("2026-01-ed-signing-key", &[7; 32]),
            stranger: Signer::rsa("somebody-elses-key"),
        }
    }

    /// The key set that the issuer publishes.
    pub fn jwks(&self) -> Value {
        signer::jwks([&self.rsa, &self.ec, &self.ed])
    }
}

/// What the `number`-th user's token claims: with RS256 a token of 1.2 kB. The same all day,
/// so that an EdDSA token can be made again by another process.
pub fn user(issuer: &str, number: usize) -> Value {
    const DAY: i64 = 24 * 3600;
    let today = from_now(0) / DAY * DAY;
    let groups: Vec<_> =
        (0..6).map(|group| format!("team-{:04}-research-europe", number % 100 + group)).collect();
    claims(
        issuer,
        json!({
            "sub": format!("6f9619ff-8b86-d011-b42d-{number:012x}"),
            "jti": format!("0e4c2b1a-7d3f-4a55-9c1e-{number:012x}"),
            "email": format!("user{number}@research.example.com"),
            "preferred_username": format!("user{number}"),
            "name": "Alice Example Liddell",
            "aud": "nmp",
            "azp": "nmp-studio",
            "groups": groups,
            "scope": "openid profile email models:read models:write",
            "iat": today,
            "exp": today + 2 * DAY,
        }),
    )
}

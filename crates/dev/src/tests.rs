//! The signer, held against another implementation. Apart from it, as tests of other crates read that file
//! alone.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::signer::{Curve, Signer};

#[test]
fn another_implementation_verifies_the_tokens_and_those_of_no_other_key() {
    let (rsa, ed) = (|| Signer::rsa("k"), || Signer::ed("k"));
    let ec = |curve| move || Signer::ec("k", curve);
    for (makes, algorithms) in [
        (&rsa as &dyn Fn() -> Signer, &["RS256", "RS384", "RS512", "PS256", "PS512"][..]),
        (&ec(Curve::P256), &["ES256"]),
        (&ec(Curve::P384), &["ES384"]),
        (&ed, &["EdDSA"]),
    ] {
        let (signer, stranger) = (makes(), makes());
        assert_eq!(signer.alg(), algorithms[0]);
        let key = serde_json::from_value(signer.jwk()).unwrap();
        let key = DecodingKey::from_jwk(&key).unwrap();
        for alg in algorithms {
            let validation = Validation::new(alg.parse::<Algorithm>().unwrap());
            let verdict = |by: &Signer| {
                let token = by.token(alg, &json!({"exp": u32::MAX}));
                jsonwebtoken::decode::<Value>(token, &key, &validation).is_ok()
            };
            assert!(verdict(&signer) && !verdict(&stranger), "{alg}");
        }
    }
}

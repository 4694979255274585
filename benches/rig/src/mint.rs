//! Keys, tokens and requests, written as files. The private keys are forgotten.
//!
//! `NAME.requests` holds `CheckRequest`s, each with its length in front: what ghz calls
//! count-prefixed. ghz reads such a file once as long as it sends no more requests than
//! the file has, so every file has as many.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::support::signer::{self, Curve, Signer, from_now};
use super::support::{ISSUER, Keys, request, user};

/// How many issuers, and keys in one set, the largest case has.
const MANY: usize = 1000;

pub fn write(out: &Path, tokens: usize) {
    fs::create_dir_all(out).unwrap();
    let keys = Keys::generate();
    let write_json = |name: &str, value: &Value| {
        fs::write(out.join(name), value.to_string()).unwrap();
    };
    write_json("jwks.json", &keys.jwks());
    let fillers: Vec<_> =
        (1..MANY).map(|n| Signer::ec(&format!("retired-{n}"), Curve::P256)).collect();
    write_json("jwks-1000.json", &signer::jwks(fillers.iter().chain([&keys.rsa])));

    let requests = |name: &str, of: &dyn Fn(usize) -> Vec<u8>, distinct: usize| {
        let made: Vec<_> = (0..distinct).map(of).collect();
        let mut file = Vec::new();
        for message in made.iter().cycle().take(tokens.max(distinct)) {
            prost::encode_length_delimiter(message.len(), &mut file).unwrap();
            file.extend_from_slice(message);
        }
        fs::write(out.join(format!("{name}.requests")), file).unwrap();
    };
    let signed =
        |key: &Signer, alg: &str, claims: &Value| request::with_token(&key.token(alg, claims));
    let rs256 = |number| signed(&keys.rsa, "RS256", &user(ISSUER, number));
    requests("hot", &rs256, 1);
    requests("distinct", &rs256, tokens);
    requests("es256", &|n| signed(&keys.ec, "ES256", &user(ISSUER, n)), tokens);
    requests("eddsa", &|n| signed(&keys.ed, "EdDSA", &user(ISSUER, n)), tokens);
    requests("groups", &|_| signed(&keys.rsa, "RS256", &of_many_groups()), 1);
    requests("ten-groups", &|_| signed(&keys.rsa, "RS256", &of_ten_groups()), 1);
    let ten_groups = format!("Bearer {}", keys.rsa.token("RS256", &of_ten_groups()));
    let elsewhere = |n| {
        let path = format!("/apis/inference/v1/chat/completions-{n}");
        request::at_path(request::check_request(Some(&ten_groups), &[]), &path)
    };
    requests("ten-groups-paths", &|n| prost::Message::encode_to_vec(&elsewhere(n)), tokens);
    for issuers in [10, MANY] {
        let of_issuer = |n| signed(&keys.rsa, "RS256", &user(&issuer(n % issuers), n));
        requests(&format!("issuers-{issuers}"), &of_issuer, tokens);
    }
    let unknown_key = |n| signed(&keys.stranger, "RS256", &user(ISSUER, n));
    requests("unknown-key", &unknown_key, tokens.min(500));
    requests(
        "unknown-issuer",
        &|n| signed(&keys.rsa, "RS256", &user("https://evil.example", n)),
        1,
    );
    requests(
        "expired",
        &|n| {
            let mut claims = user(ISSUER, n);
            claims["exp"] = from_now(-3600).into();
            signed(&keys.rsa, "RS256", &claims)
        },
        tokens.min(500),
    );
    requests("garbage", &|n| request::with_token(&"eyJhbGciOiJub25lIn0x.".repeat(58 + n % 3)), 3);
    requests("no-token", &|_| prost::Message::encode_to_vec(&request::check_request(None, &[])), 1);
    requests(
        "forged-headers",
        &|n| {
            let token = format!("Bearer {}", keys.rsa.token("RS256", &user(ISSUER, n)));
            let message = request::check_request(Some(&token), &request::FORGED);
            prost::Message::encode_to_vec(&message)
        },
        1,
    );
    let lines = |distinct: usize| -> String {
        (0..distinct).map(|n| keys.rsa.token("RS256", &user(ISSUER, n)) + "\n").collect()
    };
    fs::write(out.join("hot.tokens"), lines(1)).unwrap();
    fs::write(out.join("distinct.tokens"), lines(tokens.min(500))).unwrap();
    println!("{}", json!({"message": rs256(1).len(), "token": lines(1).len() - 1}));
}

/// The name of the `n`-th of many issuers.
fn issuer(n: usize) -> String {
    format!("https://idp-{n}.example/realms/research")
}

/// Somebody in ten groups, of which one has a role in the policy of the measurement.
fn of_ten_groups() -> Value {
    let mut claims = user(ISSUER, 0);
    claims["groups"] = (0..10).map(|n| format!("team-{n:04}-research-europe")).collect();
    claims
}

/// Somebody in 200 groups, as Entra allows before it speaks of overage.
fn of_many_groups() -> Value {
    let mut claims = user(ISSUER, 200);
    claims["groups"] = (0..200).map(|n| format!("6f9619ff-8b86-d011-b42d-{n:012x}")).collect();
    claims
}

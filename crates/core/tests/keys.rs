//! What verifies a signature: kinds of keys, which are tried, and which are left out.

use std::time::Duration;

use doorward_core::decision::{Decision, Fault};
use doorward_core::keys::{Algorithm, AlgorithmSet, KeyKind, KeySet, UnusableKey as U};
use doorward_core::token::TokenFault as T;
use serde_json::{Value, json};

use crate::support::{
    Curve, ISSUER, Setup, Signer, Source, claims, ed, encode, from_now, get, key_set, snapshot,
};

/// What a token comes to with these keys.
fn judged(setup: Setup, keys: &Value, token: &str) -> Result<(), Fault> {
    let source = Source::empty();
    let set = std::sync::Arc::new(key_set(keys));
    let until = doorward_core::clock::UnixTime(from_now(60));
    source.publish(doorward_core::keys::Snapshot::new(set, crate::support::NOW, until));
    match get("/").bearer(token).decision(&setup.with_keys(source)) {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(denial) => Err(denial.fault),
    }
}

fn with(mut jwk: Value, more: Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            jwk.as_object_mut().unwrap().remove(name);
        } else {
            jwk[name] = value.clone();
        }
    }
    jwk
}

/// Why a key is left out, if it is.
fn left_out(jwk: &Value) -> Option<U> {
    let set = key_set(&json!([jwk]));
    assert_eq!(set.keys().len() + set.left_out().len(), 1, "{jwk}");
    set.left_out().first().map(|left_out| left_out.reason.clone())
}

#[test]
fn every_algorithm_verifies_and_no_other_does() {
    const RSA: [&str; 6] = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    let ec = [
        (Signer::ec("k", Curve::P256), "P-256"),
        (Signer::ec("k", Curve::P384), "P-384"),
        (Signer::ec("k", Curve::P521), "P-521"),
    ];
    let (rsa, ed) = (Signer::rsa("k"), ed("k", 1));
    let mut kinds: Vec<(&Signer, KeyKind, &[&str])> = vec![
        (&rsa, KeyKind::Rsa(2048), &RSA),
        (&ed, KeyKind::Curve("Ed25519"), &["EdDSA", "Ed25519"]),
    ];
    for ((signer, curve), algorithm) in ec.iter().zip([["ES256"], ["ES384"], ["ES512"]].iter()) {
        kinds.push((signer, KeyKind::Curve(curve), algorithm));
    }
    let claims = claims(json!({}));
    for (signer, kind, algorithms) in &kinds {
        let jwk = signer.jwk();
        let set = key_set(&json!([jwk]));
        assert_eq!(set.keys()[0].kind(), *kind);
        assert_eq!(set.keys()[0].kid(), Some("k"));
        let served: AlgorithmSet = algorithms.iter().map(|name| name.parse().unwrap()).collect();
        assert_eq!(set.keys()[0].algorithms(), served);
        for algorithm in *algorithms {
            let token = signer.token(algorithm, &claims);
            assert_eq!(judged(Setup::new(), &json!([jwk]), &token), Ok(()), "{algorithm}");
            let strict = |algorithms: AlgorithmSet| {
                let mut setup = Setup::new();
                setup.tokens.algorithms = algorithms;
                judged(setup, &json!([jwk]), &token)
            };
            let this: Algorithm = algorithm.parse().unwrap();
            assert_eq!(strict([this].into_iter().collect()), Ok(()));
            let others = Algorithm::ALL.iter().copied().filter(|other| *other != this);
            let refused = Err(Fault::Token(T::AlgorithmNotAllowed));
            assert_eq!(strict(others.collect()), refused, "{algorithm}");
            // `alg` of the key binds it.
            let bound = with(jwk.clone(), json!({ "alg": algorithm }));
            assert_eq!(judged(Setup::new(), &json!([bound]), &token), Ok(()));
            assert_eq!(key_set(&json!([bound])).keys()[0].algorithms().iter().count(), 1);
        }
        assert!(!set.keys()[0].verifies(Algorithm::ES256, b"", b""));
    }
    // The signature of one algorithm is none of another.
    let as_other = rsa.token("RS256", &claims);
    let header = encode(json!({"alg": "PS256", "kid": "k"}).to_string());
    let as_other = format!("{header}{}", &as_other[as_other.find('.').unwrap()..]);
    let bad = Err(Fault::Token(T::BadSignature));
    assert_eq!(judged(Setup::new(), &json!([rsa.jwk()]), &as_other), bad);
    // A key of another algorithm than its own is none of its name.
    let bound = with(rsa.jwk(), json!({"alg": "RS512"}));
    let none = Err(Fault::Token(T::NoSuchKey));
    assert_eq!(judged(Setup::new(), &json!([bound]), &rsa.token("RS256", &claims)), none);
    assert_eq!(KeyKind::Rsa(2048).to_string(), "RSA of 2048 bits");
    assert_eq!(KeyKind::Curve("P-256").to_string(), "P-256");
    assert_eq!(Algorithm::EdDSA.to_string(), "EdDSA");
}

#[test]
fn which_keys_are_tried() {
    let (one, two) = (ed("one", 1), ed("two", 2));
    let nameless = |signer: &Signer| with(signer.jwk(), json!({"kid": null}));
    let renamed = |signer: &Signer, kid: &str| with(signer.jwk(), json!({ "kid": kid }));
    let claims = claims(json!({}));
    let of = |kid: Option<&str>| match kid {
        Some(kid) => one.token_with(json!({"alg": "EdDSA", "kid": kid}), &claims),
        None => one.token_with(json!({"alg": "EdDSA"}), &claims),
    };
    let (none, bad) = (Err(Fault::Token(T::NoSuchKey)), Err(Fault::Token(T::BadSignature)));
    for (keys, kid, expected) in [
        (vec![one.jwk(), two.jwk()], Some("one"), Ok(())),
        (vec![one.jwk(), two.jwk()], Some("two"), bad),
        (vec![one.jwk(), two.jwk()], Some("other"), none),
        // Two share a name.
        (vec![renamed(&two, "x"), renamed(&one, "x")], Some("x"), Ok(())),
        // A token that names none may be of any; an empty name names none.
        (vec![two.jwk(), one.jwk()], None, Ok(())),
        (vec![two.jwk(), one.jwk()], Some(""), Ok(())),
        (vec![two.jwk()], None, bad),
        (vec![], None, none),
        // Keys without a name are tried for a name that no key has, and for no other.
        (vec![two.jwk(), nameless(&one)], Some("other"), Ok(())),
        (vec![two.jwk(), nameless(&one)], Some("two"), bad),
        (vec![nameless(&two)], Some("other"), none),
        (vec![with(one.jwk(), json!({"kid": ""}))], Some("other"), Ok(())),
    ] {
        let keys = json!(keys);
        assert_eq!(judged(Setup::new(), &keys, &of(kid)), expected, "{kid:?} {keys}");
    }
    // Eight of one name are tried, and no ninth.
    let others: Vec<Value> = (10..17).map(|seed| renamed(&ed("", seed), "x")).collect();
    let eighth = json!([others.clone(), vec![renamed(&one, "x")]].concat());
    assert_eq!(judged(Setup::new(), &eighth, &of(Some("x"))), Ok(()));
    let ninth = json!([others, vec![renamed(&two, "x"), renamed(&one, "x")]].concat());
    assert_eq!(judged(Setup::new(), &ninth, &of(Some("x"))), bad);
}

/// A key that names its issuer signs for no other (Azure's).
#[test]
fn a_key_of_one_issuer_signs_for_no_other() {
    let signer = ed("k", 1);
    let named = |issuer: &str| json!([with(signer.jwk(), json!({ "issuer": issuer }))]);
    let tenant = |tid: &str| signer.token("EdDSA", &claims(json!({ "tid": tid })));
    let none = Err(Fault::Token(T::NoSuchKey));
    for (keys, token, expected) in [
        (named(ISSUER), signer.token("EdDSA", &claims(json!({}))), Ok(())),
        (named(ISSUER), tenant("example"), Ok(())),
        (named("https://other.example"), signer.token("EdDSA", &claims(json!({}))), none),
        (named("https://idp.{tenantid}"), tenant("example"), Ok(())),
        (named("https://idp.{tenantid}"), tenant("other"), none),
        (named("https://idp.{tenantid}"), signer.token("EdDSA", &claims(json!({}))), none),
    ] {
        assert_eq!(judged(Setup::new(), &keys, &token), expected, "{keys}");
    }
    assert_eq!(key_set(&named("x")).keys()[0].issuer(), Some("x"));
}

#[test]
fn keys_that_are_left_out_and_why() {
    let (ed, ec) = (ed("k", 1).jwk(), Signer::ec("k", Curve::P256).jwk());
    let long = encode([1; 33]);
    for (jwk, expected) in [
        (with(ed.clone(), json!({})), None),
        (with(ed.clone(), json!({"use": "sig", "key_ops": ["sign", "verify"]})), None),
        (with(ed.clone(), json!({"use": "jwt-svid", "key_ops": []})), None),
        (with(ed.clone(), json!({"use": ""})), None),
        (with(ed.clone(), json!({"use": "enc"})), Some(U::NotForSignatures)),
        (with(ed.clone(), json!({"use": ["sig"]})), Some(U::Malformed("use"))),
        (with(ed.clone(), json!({"key_ops": ["encrypt"]})), Some(U::NotForSignatures)),
        (with(ed.clone(), json!({"key_ops": "verify"})), Some(U::Malformed("key_ops"))),
        (with(ed.clone(), json!({"alg": ""})), None),
        (with(ed.clone(), json!({"alg": "HS256"})), Some(U::UnknownAlgorithm)),
        (with(ed.clone(), json!({"alg": "ES256"})), Some(U::WrongType)),
        (with(ed.clone(), json!({"alg": 5})), Some(U::Malformed("alg"))),
        (with(ed.clone(), json!({"kty": null})), Some(U::Missing("kty"))),
        (with(ed.clone(), json!({"kty": "oct"})), Some(U::Symmetric)),
        (with(ed.clone(), json!({"kty": "AKP"})), Some(U::UnknownType)),
        (with(ed.clone(), json!({"kid": 5})), Some(U::Malformed("kid"))),
        (with(ed.clone(), json!({"issuer": 5})), Some(U::Malformed("issuer"))),
        (with(ed.clone(), json!({"crv": null})), Some(U::Missing("crv"))),
        (with(ed.clone(), json!({"crv": "Ed448"})), Some(U::UnknownCurve)),
        (with(ed.clone(), json!({"x": null})), Some(U::Missing("x"))),
        (with(ed.clone(), json!({"x": "a+b"})), Some(U::Malformed("x"))),
        (with(ed, json!({ "x": &long })), Some(U::Malformed("x"))),
        (with(ec.clone(), json!({})), None),
        (with(ec.clone(), json!({"alg": "ES256"})), None),
        (with(ec.clone(), json!({"alg": "ES384"})), Some(U::WrongType)),
        (with(ec.clone(), json!({"crv": "secp256k1"})), Some(U::UnknownCurve)),
        (with(ec.clone(), json!({"crv": null})), Some(U::Missing("crv"))),
        (with(ec.clone(), json!({ "x": &long })), Some(U::Malformed("x"))),
        (with(ec.clone(), json!({ "y": &long })), Some(U::Malformed("y"))),
        (with(ec.clone(), json!({"y": null})), Some(U::Missing("y"))),
        (with(ec, json!({"y": encode([1; 32])})), Some(U::InvalidNumbers)),
        (json!("x"), Some(U::NotAnObject)),
    ] {
        assert_eq!(left_out(&jwk), expected, "{jwk}");
    }
}

/// The points of small order and those beyond the field are weak, and no neighbour of theirs is.
#[test]
fn weak_points_and_their_neighbours() {
    let weak = |lowest: u8, between: u8, highest: u8| {
        let mut y = [between; 32];
        (y[0], y[31]) = (lowest, highest);
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(y)});
        left_out(&jwk) == Some(U::WeakPoint)
    };
    for sign in [0, 0x80] {
        for (lowest, between, highest) in
            [(0, 0, 0), (1, 0, 0), (0xec, 0xff, 0x7f), (0xed, 0xff, 0x7f), (0xff, 0xff, 0x7f)]
        {
            assert!(weak(lowest, between, highest | sign), "{lowest} {between} {highest} {sign}");
        }
        for (lowest, between, highest) in
            [(2, 0, 0), (0, 0, 1), (1, 0, 5), (9, 0, 9), (0, 1, 0), (1, 1, 0), (0xeb, 0xff, 0x7f)]
        {
            assert!(!weak(lowest, between, highest | sign), "{lowest} {between} {highest} {sign}");
        }
    }
}

/// A modulus has as many bits as are behind its first one.
#[test]
fn the_size_of_an_rsa_key_is_counted_in_bits() {
    let of = |first: u8, bytes: usize| {
        let n = [vec![first], vec![0xff; bytes - 1]].concat();
        left_out(&json!({"kty": "RSA", "n": encode(n), "e": "AQAB"}))
    };
    assert_eq!((of(0x80, 256), of(0xff, 1024)), (None, None));
    assert_eq!(of(0x7f, 256), Some(U::RsaSize(2047)));
    assert_eq!(of(0x01, 1025), Some(U::RsaSize(8193)));
    assert_eq!(of(0x01, 256), Some(U::RsaSize(2041)));
}

/// Coordinates come with leading zeros, without, and with more of them than there are.
#[test]
fn numbers_with_zeros_in_front() {
    use base64::Engine as _;
    let ec = Signer::ec("k", Curve::P256);
    let token = ec.token("ES256", &claims(json!({})));
    let padded = |name: &str| {
        let bytes = ec.jwk()[name]
            .as_str()
            .map(|text| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap());
        encode([vec![0, 0], bytes.unwrap()].concat())
    };
    let jwk = with(ec.jwk(), json!({"x": padded("x"), "y": padded("y")}));
    assert_eq!(judged(Setup::new(), &json!([jwk]), &token), Ok(()));
    // One in 256 has a coordinate that begins with zero, which some issuers cut off.
    let short = (0..20_000).map(|_| Signer::ec("k", Curve::P256)).find_map(|signer| {
        let x = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(signer.jwk()["x"].as_str().unwrap())
            .unwrap();
        (x[0] == 0).then_some((signer, encode(&x[1..])))
    });
    let (signer, x) = short.unwrap();
    let jwk = with(signer.jwk(), json!({ "x": x }));
    let token = signer.token("ES256", &claims(json!({})));
    assert_eq!(judged(Setup::new(), &json!([jwk]), &token), Ok(()));
}

#[test]
fn what_a_key_set_says_of_itself() {
    let (one, two) = (ed("one", 1), ed("two", 2));
    let set = key_set(&json!([{"kty": "oct", "kid": "secret"}, one.jwk(), 5, two.jwk()]));
    assert_eq!(set.keys().len(), 2);
    assert!(set.knows("one") && set.knows("two") && !set.knows("secret"));
    let left_out: Vec<_> =
        set.left_out().iter().map(|one| (one.position, one.kid.as_deref())).collect();
    assert_eq!(left_out, [(0, Some("secret")), (2, None)]);
    assert!(!set.holds_private_keys());
    let private = |jwk: Value| key_set(&json!([one.jwk(), jwk])).holds_private_keys();
    assert!(private(with(two.jwk(), json!({"d": "AA"}))) && !private(two.jwk()));
    assert!(key_set(&json!([with(two.jwk(), json!({"d": "AA"})), one.jwk()])).holds_private_keys());

    let set = |jwks: &[Value]| key_set(&json!(jwks));
    let both = set(&[one.jwk(), two.jwk()]);
    assert!(both.same_keys(&set(&[two.jwk(), one.jwk()])));
    assert_ne!(both.id(), set(&[one.jwk(), two.jwk()]).id());
    for others in [
        vec![one.jwk()],
        vec![one.jwk(), one.jwk()],
        vec![one.jwk(), with(two.jwk(), json!({"kid": "2"}))],
        vec![one.jwk(), with(two.jwk(), json!({"issuer": "x"}))],
        vec![one.jwk(), with(two.jwk(), json!({"x": ed("", 3).jwk()["x"]}))],
    ] {
        assert!(!both.same_keys(&set(&others)), "{others:?}");
    }
    let ec = Signer::rsa("k").jwk();
    assert!(!set(std::slice::from_ref(&ec)).same_keys(&set(&[with(ec, json!({"alg": "RS256"}))])));
    assert!(KeySet::parse(b"{}").is_err());
}

#[test]
fn sets_of_algorithms() {
    let none = AlgorithmSet::default();
    let all: AlgorithmSet = Algorithm::ALL.iter().copied().collect();
    assert!(none.is_empty() && !all.is_empty() && all == AlgorithmSet::ALL);
    for &one in Algorithm::ALL {
        let set: AlgorithmSet = [one, one].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [one]);
        assert!(set.contains(one) && !none.contains(one) && all.contains(one));
    }
    let debug = format!("{:?}", [Algorithm::RS256].into_iter().collect::<AlgorithmSet>());
    assert_eq!(debug, "{RS256}");
}

/// What stays for a time stays for that time.
#[test]
fn a_moment_and_a_span() {
    use doorward_core::clock::{Clock as _, SystemClock, UnixTime};
    assert_eq!(UnixTime(5).plus(Duration::from_secs(3)), UnixTime(8));
    assert_eq!(UnixTime(u64::MAX).plus(Duration::from_secs(3)), UnixTime(u64::MAX));
    assert_eq!(UnixTime(5).since(UnixTime(3)), Duration::from_secs(2));
    assert_eq!(UnixTime(3).since(UnixTime(5)), Duration::ZERO);
    let end = UnixTime::END_OF_YEAR_9999.0;
    for (date, meant) in [
        (end, None),
        (end + 1, Some(253_402_300)),
        (1_700_000_000_000, Some(1_700_000_000)),
        (end * 1000 + 999, Some(end)),
        ((end + 1) * 1000, None),
    ] {
        assert_eq!(UnixTime(date).meant_as_milliseconds(), meant.map(UnixTime), "{date}");
    }
    assert!(SystemClock.now() > crate::support::NOW);
    assert!(SystemClock.now() < UnixTime::END_OF_YEAR_9999);
    assert!(snapshot([]).set().keys().is_empty());
}

//! Which members of a key set are keys, and why the others are not.

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{KeySet, KeySetError, UnusableKey};

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "kid": "odd", "n": encode(n), "e": encode(e)})
}

/// A modulus of so many bytes.
fn modulus(bytes: usize) -> Vec<u8> {
    vec![0xff; bytes]
}

fn ed25519(y: [u8; 32]) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "kid": "odd", "x": encode(&y)})
}

/// A number below 2^255, little-endian, from its lowest bytes.
fn y(lowest: &[u8], rest: u8, highest: u8) -> [u8; 32] {
    let mut y = [rest; 32];
    y[..lowest.len()].copy_from_slice(lowest);
    y[31] = highest;
    y
}

/// Every encoding of every point whose order divides 8, canonical or not, both signs.
fn small_order() -> Vec<[u8; 32]> {
    let order_8 = [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ]
    .map(|hex| {
        let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    });
    // 0 and 1; p - 1; p and p + 1, which are 0 and 1 again.
    let others = [
        y(&[0], 0, 0),
        y(&[1], 0, 0),
        y(&[0xec], 0xff, 0x7f),
        y(&[0xed], 0xff, 0x7f),
        y(&[0xee], 0xff, 0x7f),
    ];
    let positive: Vec<_> = order_8.into_iter().chain(others).collect();
    let negative = positive.iter().map(|y| {
        let mut y = *y;
        y[31] |= 0x80;
        y
    });
    let negative: Vec<_> = negative.collect();
    [positive, negative].concat()
}

fn reason(jwk: &Value) -> Option<UnusableKey> {
    let set = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
    assert_eq!(set.keys().len() + set.left_out().len(), 1);
    set.left_out().first().map(|left_out| left_out.reason.clone())
}

#[test]
fn rsa_keys_have_an_odd_exponent_and_a_modulus_of_some_size() {
    for (n, e, expected) in [
        (modulus(256), &[3][..], None),
        (modulus(256), &[1, 0, 1], None),
        (modulus(256), &[0, 0, 1, 0, 1], None),
        (modulus(1024), &[1, 0, 1], None),
        // 2^33 - 1 is the largest that the crypto library verifies with.
        (modulus(256), &[1, 0xff, 0xff, 0xff, 0xff], None),
        (modulus(256), &[2, 0, 0, 0, 1], Some(UnusableKey::RsaExponent)),
        (modulus(256), &[1; 9], Some(UnusableKey::RsaExponent)),
        (modulus(256), &modulus(256), Some(UnusableKey::RsaExponent)),
        (modulus(256), &modulus(300), Some(UnusableKey::RsaExponent)),
        (modulus(256), &[], Some(UnusableKey::RsaExponent)),
        (modulus(256), &[0], Some(UnusableKey::RsaExponent)),
        (modulus(256), &[1], Some(UnusableKey::RsaExponent)),
        (modulus(256), &[2], Some(UnusableKey::RsaExponent)),
        (modulus(256), &[1, 0, 0], Some(UnusableKey::RsaExponent)),
        (modulus(255), &[1, 0, 1], Some(UnusableKey::RsaSize(2040))),
        (modulus(1025), &[1, 0, 1], Some(UnusableKey::RsaSize(8200))),
        (vec![], &[1, 0, 1], Some(UnusableKey::RsaSize(0))),
        ([modulus(255), vec![0xfe]].concat(), &[1, 0, 1], Some(UnusableKey::InvalidNumbers)),
    ] {
        assert_eq!(reason(&rsa(&n, e)), expected, "{} bytes, {e:?}", n.len());
    }
}

#[test]
fn points_that_anybody_can_sign_for_are_no_keys() {
    let encodings = small_order();
    assert_eq!(encodings.len(), 14);
    for y in &encodings {
        assert_eq!(reason(&ed25519(*y)), Some(UnusableKey::WeakPoint), "{y:x?}");
    }
    // Why: R the neutral element, s zero, a signature that nobody made.
    let mut signature = [0; 64];
    signature[0] = 1;
    for y in encodings.iter().take(5) {
        let key = ParsedPublicKey::new(&ED25519, y).unwrap();
        let forged = (0..=u8::MAX).any(|text| key.verify_sig(&[text], &signature).is_ok());
        assert!(forged, "the crypto library has begun to look at it: {y:x?}");
    }
    // Beyond the field, whatever its order.
    assert_eq!(reason(&ed25519([0xff; 32])), Some(UnusableKey::WeakPoint));
    let good = y(&[0x58], 0x66, 0x66); // the base point
    assert_eq!(reason(&ed25519(good)), None);
    for length in [0, 31, 33] {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(&vec![0x66; length])});
        assert_eq!(reason(&jwk), Some(UnusableKey::Malformed("x")));
    }
}

#[test]
fn what_cannot_be_read_is_left_out_by_itself() {
    let good = ed25519(y(&[0x58], 0x66, 0x66));
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let odd: Vec<Vec<u8>> = vec![
        br#"{"kty": "RSA", "kid": "odd", "x": "\ud800"}"#.to_vec(),
        br#"{"kty": "RSA", "kid": "odd", "\udfff": 1}"#.to_vec(),
        format!(r#"{{"kty": "RSA", "kid": "odd", "x": {}}}"#, deep(200)).into_bytes(),
        format!(r#"{{"kty": "RSA", "kid": "odd", "x": {}}}"#, deep(100_000)).into_bytes(),
        br#"{"kty": "RSA", "kid": "odd", "x": 1e999}"#.to_vec(),
        b"{\"kty\": \"RSA\", \"kid\": \"odd\", \"n\": \"\xff\", \"e\": \"AQAB\"}".to_vec(),
        deep(200).into_bytes(),
        b"[{}]".to_vec(),
        b"\"\\ud800\"".to_vec(),
        b"null".to_vec(),
    ];
    for odd in odd {
        let document = [
            b"{\"about\": \"\\ud800\", \"keys\": [".to_vec(),
            odd.clone(),
            b", ".to_vec(),
            good.to_string().into_bytes(),
            b"], \"deep\": ".to_vec(),
            deep(200).into_bytes(),
            b"}".to_vec(),
        ]
        .concat();
        let shown = String::from_utf8_lossy(&odd[..odd.len().min(60)]).into_owned();
        let set = KeySet::parse(&document).unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!((set.keys().len(), set.left_out().len()), (1, 1), "{shown}");
        let named = odd.starts_with(b"{") && !shown.contains("udfff");
        assert_eq!(set.left_out()[0].kid.as_deref(), named.then_some("odd"), "{shown}");
    }
}

#[test]
fn what_is_no_key_set_says_why() {
    let error = |document: &str| KeySet::parse(document.as_bytes()).unwrap_err();
    for document in ["", "<html>", "{", "{\"keys\": [}", "{\"keys\": []} x"] {
        assert!(matches!(error(document), KeySetError::NotJson(_)), "{document}");
    }
    // A list is no object, whatever is in it.
    for document in ["{}", "[]", "[[]]", "[{\"keys\": []}]", "null", "\"keys\""] {
        assert!(matches!(error(document), KeySetError::NoKeys), "{document}");
    }
    for document in ["{\"keys\": {}}", "{\"keys\": null}", "{\"keys\": \"[]\"}"] {
        assert!(matches!(error(document), KeySetError::KeysNotAnArray), "{document}");
    }
    for document in ["{\"keys\": []}", "\u{feff}{\"keys\": []}", " {\"a\": 1, \"keys\": [ ] }\n"] {
        assert!(KeySet::parse(document.as_bytes()).unwrap().keys().is_empty(), "{document}");
    }
}

#[test]
fn private_keys_are_noticed() {
    let holds = |jwk: Value| {
        let set = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        set.holds_private_keys()
    };
    assert!(holds(json!({"kty": "EC", "d": "AA"})));
    assert!(!holds(json!({"kty": "EC", "x": {"d": 1}})) && !holds(json!(["d"])));
}

//! The form of a token: three parts, two objects, and a header that asks for nothing odd.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_core::authorizer::Authorizer;
use doorward_core::bearer::BearerToken;
use doorward_core::decision::{Decision, Fault, Reason};
use doorward_core::identity::{HeaderRules, IdentityRules};
use doorward_core::issuers::{Issuer, Issuers};
use doorward_core::keys::{KeySet, StaticKeys};
use doorward_core::token::{
    AudienceRule, Claims, CompactJws, Signing, TokenFault as T, TokenRules, UnsignedTokens,
    UnverifiedToken,
};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{ISSUER, Setup, Source, claims, ed, encode, from_now, get, signer, token};

/// What a token comes to.
fn judged(token: &str) -> Option<T> {
    match get("/").bearer(token).decision(&Setup::new().authorizer()) {
        Decision::Allow(_) => None,
        Decision::Deny(denial) => match denial.fault {
            Fault::Token(fault) => Some(fault),
            fault => panic!("{fault}"),
        },
    }
}

fn of_header(header: &str) -> String {
    signer().raw_token("EdDSA", header.as_bytes(), claims(json!({})).to_string().as_bytes())
}

fn of_claims(claims: &str) -> String {
    signer().raw_token("EdDSA", br#"{"alg":"EdDSA","kid":"ed-1"}"#, claims.as_bytes())
}

#[test]
fn three_parts_of_base64url() {
    let good = token(json!({}));
    let [header, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!() };
    for (token, fault) in [
        (good.clone(), None),
        ("a".into(), Some(T::NotThreeParts)),
        ("a.b".into(), Some(T::NotThreeParts)),
        (format!("{good}."), Some(T::NotThreeParts)),
        (format!("{good}.x.y"), Some(T::NotThreeParts)),
        (format!("{header}=.{claims}.{signature}"), Some(T::NotBase64Url)),
        (format!("{header}.{claims}=.{signature}"), Some(T::NotBase64Url)),
        (format!("{header}.{claims}.{signature}="), Some(T::NotBase64Url)),
        (format!("{header}.{claims}.+{}", &signature[1..]), Some(T::NotBase64Url)),
        (format!(".{claims}.{signature}"), Some(T::HeaderNotAnObject)),
        (format!("{header}..{signature}"), Some(T::ClaimsNotAnObject)),
        (format!("{header}.{claims}."), Some(T::BadSignature)),
        ("..".into(), Some(T::HeaderNotAnObject)),
    ] {
        assert_eq!(judged(&token), fault, "{token}");
    }
    let jws = CompactJws::decode(BearerToken::new(good.as_bytes()), good.len()).ok().unwrap();
    assert_eq!(jws.signing_input(), format!("{header}.{claims}").as_bytes());
    assert_eq!((encode(jws.header()), encode(jws.claims())), (header.into(), claims.into()));
    assert_eq!(encode(jws.signature()), signature);
}

proptest! {
    /// Read many characters at a time, a token is what it is one by one: of any length, with any one
    /// byte wrong, and with bits behind the last whole byte.
    #[test]
    fn base64url_is_read_as_the_plain_engine_reads_it(
        claims in "[A-Za-z0-9_-]{0,300}",
        odd in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let mut claims = claims.into_bytes();
        if let Some((at, byte)) = odd.filter(|(_, byte)| *byte != b'.' && !claims.is_empty()) {
            let at = at.index(claims.len());
            claims[at] = byte;
        }
        let token = [b"e30.", claims.as_slice(), b".e30"].concat();
        let read = CompactJws::decode(BearerToken::new(&token), token.len());
        let plain = URL_SAFE_NO_PAD.decode(&claims).map_err(|_| T::NotBase64Url);
        prop_assert_eq!(read.map(|read| read.claims().to_vec()), plain);
    }
}

#[test]
fn headers_that_are_understood() {
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"alg":"EdDSA","kid":"ed-1","x":{open}{close}}}"#)
    };
    for (header, fault) in [
        (r#"{"alg":"EdDSA","kid":"ed-1"}"#, None),
        (r#"{"alg":"EdDSA"}"#, None),
        (r#"{"alg":"EdDSA","kid":null,"typ":null}"#, None),
        (r#"{"alg":"EdDSA","kid":""}"#, None),
        (r#"{"alg":"EdDSA","kid":"ed\u002d1","typ":"JWT"}"#, None),
        (r#"{"alg":"EdDSA","kid":"ed-1","typ":"application/at+JWT"}"#, None),
        (r#"{"alg":"EdDSA","jwk":{},"x5c":5,"jku":[]}"#, None),
        (r#"{"alg":"EdDSA","kid":"ed-1","typ":"dpop+jwt"}"#, Some(T::WrongType)),
        (r#"{"alg":"EdDSA","kid":"ed-1","typ":""}"#, Some(T::WrongType)),
        (r#"{"alg":"EdDSA","kid":"ed-1","typ":"publication/JWT"}"#, Some(T::WrongType)),
        (r#"{"alg":"EdDSA","kid":"ed-1","typ":"xpplication/JWT"}"#, Some(T::WrongType)),
        (r#"{"alg":"EdDSA","kid":"ed-1","typ":5}"#, Some(T::HeaderNotAnObject)),
        (r#"{"alg":"EdDSA","kid":7}"#, Some(T::HeaderNotAnObject)),
        (r#"{"alg":["EdDSA"]}"#, Some(T::HeaderNotAnObject)),
        (r#"{"alg":"EdDSA","alg":"EdDSA"}"#, Some(T::HeaderNotAnObject)),
        (r#"["EdDSA","ed-1"]"#, Some(T::HeaderNotAnObject)),
        (r#"{"kid":"ed-1"}"#, Some(T::HeaderNotAnObject)),
        (r#"{"alg":"HS256"}"#, Some(T::UnknownAlgorithm)),
        (r#"{"alg":"eddsa"}"#, Some(T::UnknownAlgorithm)),
        (r#"{"alg":"none"}"#, Some(T::Unsigned)),
        (r#"{"alg":"EdDSA","crit":["exp"]}"#, Some(T::Critical)),
        (r#"{"alg":"EdDSA","crit":null}"#, Some(T::Critical)),
        (r#"{"alg":"ES256","kid":"ed-1"}"#, Some(T::NoSuchKey)),
    ] {
        assert_eq!(judged(&of_header(header)), fault, "{header}");
    }
    assert_eq!(judged(&of_header(&deep(31))), None);
    assert_eq!(judged(&of_header(&deep(32))), Some(T::NestedTooDeep));
}

#[test]
fn claims_that_are_an_object() {
    let plain = claims(json!({})).to_string();
    let and = |more: &str| format!("{{{more},{}", &plain[1..]);
    let nested =
        |levels: usize| and(&format!(r#""x":{}{}"#, "[".repeat(levels), "]".repeat(levels)));
    for (claims, fault) in [
        (plain.clone(), None),
        (and(r#""a":{"b":[{}]}"#), None),
        (plain.replace("my-api", r"my\u002dapi"), None),
        (and(&format!(r#""x":"{}""#, r#"\"[{"#.repeat(400))), None),
        (and(&format!(r#""x":[{}0]"#, "[],".repeat(400))), None),
        (and(&format!(r#""x":[{}{{}}]"#, "{},".repeat(400))), None),
        (nested(31), None),
        (and(&format!(r#""x":{}{},"y":[]"#, "[".repeat(31), "]".repeat(31))), None),
        (nested(32), Some(T::NestedTooDeep)),
        (nested(300), Some(T::NestedTooDeep)),
        // What closes in a text closes nothing, and what is no JSON is not read at all.
        (
            and(&format!(r#""x":{}0{}"#, r#"["]","#.repeat(32), "]".repeat(32))),
            Some(T::NestedTooDeep),
        ),
        (and(&format!(r#""x":\{}"#, "[".repeat(32))), Some(T::NestedTooDeep)),
        (and(&format!(r#""x":{}{}"#, "[".repeat(31), "]]".repeat(31))), Some(T::ClaimsNotAnObject)),
        ("[]".into(), Some(T::ClaimsNotAnObject)),
        (String::new(), Some(T::ClaimsNotAnObject)),
        (and(r#""sub":"b""#), Some(T::ClaimsNotAnObject)),
        (and(r#""\u0073ub":"b""#), Some(T::ClaimsNotAnObject)),
        (format!("{plain}x"), Some(T::ClaimsNotAnObject)),
    ] {
        assert_eq!(judged(&of_claims(&claims)), fault, "{claims}");
    }
    let read = Claims::parse(br#"{"b":1,"a":null,"c":{"d":null}}"#).ok().unwrap();
    assert_eq!(read.names().collect::<BTreeSet<_>>(), BTreeSet::from(["a", "b", "c"]));
    assert_eq!((read.json("a"), read.json("b"), read.json("x")), (None, Some("1"), None));
    assert_eq!((read.json_at("c", "/d"), read.json_at("c", "")), (None, Some(r#"{"d":null}"#)));
    // Names that are alike in all but the middle.
    let alike =
        r#"{"resource_1_of_account":1,"resource_3_of_account":3,"resource_2_of_account":2}"#;
    let read = Claims::parse(alike.as_bytes()).ok().unwrap();
    let found = [1, 2, 3, 4].map(|n| read.json(&format!("resource_{n}_of_account")));
    assert_eq!(found, [Some("1"), Some("2"), Some("3"), None]);
    let twice = alike.replace('3', "1");
    assert_eq!(Claims::parse(twice.as_bytes()).err(), Some(T::ClaimsNotAnObject));
}

/// Local development only: no signature at all, where that is said.
/// An authorizer with somebody who stands for tokens without a signature.
fn with_development(alone: bool) -> Authorizer {
    let mut issuers = Issuers::default();
    if !alone {
        let rules = TokenRules::new(ISSUER, ["my-api"]);
        issuers.add(rules, IdentityRules::default(), Source::of([&signer()]));
    }
    let rules = TokenRules::new("unsigned tokens", [""; 0]);
    let rules = TokenRules { audience: AudienceRule::NotChecked, ..rules };
    let keys = Arc::new(StaticKeys::new(KeySet::default()));
    let nobody = Issuer::new(rules, IdentityRules::default(), keys);
    issuers.push(nobody.for_unsigned_tokens());
    Authorizer::new(issuers, HeaderRules::default())
}

#[test]
fn unsigned_tokens() {
    let header = encode(r#"{"alg":"none"}"#);
    let unsigned = format!("{header}.{}.", encode(claims(json!({})).to_string()));
    let lenient = || Setup::new().authorizer().with_unsigned(UnsignedTokens::Accepted);
    assert_eq!(get("/").bearer(&unsigned).allowed(&lenient()).principal(), "alice");
    assert_eq!(judged(&unsigned), Some(T::Unsigned));
    // Without `iss`, and without `aud`, it is nobody's, unless somebody stands for such tokens.
    let of = |more| format!("{header}.{}.", encode(claims(more).to_string()));
    let nobodys = of(json!({"iss": null, "aud": null}));
    let strangers = of(json!({"iss": "https://other", "aud": null}));
    assert_eq!(get("/").bearer(&nobodys).fault(&lenient()), Fault::Token(T::NoIssuer));
    let development = |alone| with_development(alone).with_unsigned(UnsignedTokens::Accepted);
    for alone in [false, true] {
        let authorizer = development(alone);
        assert_eq!(get("/").bearer(&nobodys).allowed(&authorizer).principal(), "alice");
        let stranger = get("/").bearer(&strangers).decision(&authorizer);
        let is_allowed = matches!(stranger, Decision::Allow(_));
        assert_eq!(is_allowed, alone, "any issuer where there is none");
        let expired = of(json!({"iss": null, "aud": null, "exp": from_now(-120)}));
        assert_eq!(get("/").bearer(&expired).fault(&authorizer), Fault::Token(T::Expired));
    }
    // One of ours is held to its rules, and no signed token is nobody's.
    let no_audience = of(json!({"aud": null}));
    let fault = get("/").bearer(&no_audience).fault(&development(false));
    assert_eq!(fault, Fault::Token(T::WrongAudience));
    let signed = token(json!({"iss": null}));
    assert_eq!(get("/").bearer(&signed).fault(&development(false)), Fault::Token(T::NoIssuer));
    let by_name = token(json!({"iss": "unsigned tokens"}));
    let fault = get("/").bearer(&by_name).fault(&development(false));
    assert_eq!(fault, Fault::Token(T::UnknownIssuer));
    let refused = get("/").bearer(&nobodys).fault(&with_development(true));
    assert_eq!(refused, Fault::Token(T::Unsigned));
    let signed = format!("{unsigned}AAAA");
    assert_eq!(get("/").bearer(&signed).fault(&lenient()), Fault::Token(T::Unsigned));
    // All else is checked as ever, signatures too.
    let expired = format!("{header}.{}.", encode(claims(json!({"exp": 1})).to_string()));
    assert_eq!(get("/").bearer(&expired).fault(&lenient()), Fault::Token(T::Expired));
    let forged = ed("ed-1", 9).token("EdDSA", &claims(json!({})));
    assert_eq!(get("/").bearer(&forged).fault(&lenient()), Fault::Token(T::BadSignature));
    let jws = CompactJws::decode(BearerToken::new(unsigned.as_bytes()), 4096).ok().unwrap();
    let parsed = UnverifiedToken::parse(&jws, UnsignedTokens::Accepted).ok().unwrap();
    assert_eq!((parsed.signing(), parsed.kid()), (Signing::Unsigned, None));
}

#[test]
fn what_a_token_says_before_it_is_believed() {
    let good = signer().token("EdDSA", &claims(json!({"tid": "t", "nonce": "n"})));
    let jws = CompactJws::decode(BearerToken::new(good.as_bytes()), 4096).ok().unwrap();
    let parsed = UnverifiedToken::parse(&jws, UnsignedTokens::Refused).ok().unwrap();
    assert_eq!(parsed.kid(), Some("ed-1"));
    assert_eq!(
        (parsed.issuer().unwrap(), parsed.tenant().unwrap()),
        ("https://idp.example".into(), "t".into())
    );
    assert_eq!(parsed.kind(), doorward_core::token::TokenKind::LikeId("nonce"));
    assert_eq!(parsed.claims().json("sub"), Some("\"alice\""));
    for (token, reason) in [("a", Reason::MalformedToken), ("..", Reason::MalformedToken)] {
        let denial = get("/").bearer(token).denial(&Setup::new().authorizer());
        assert_eq!(denial.reason(), reason);
    }
}

#[test]
fn a_fault_names_the_kind_and_shows_no_secret() {
    use doorward_core::token::OtherKind as K;
    for (kind, name) in [
        (K::Id, "an ID token"),
        (K::Refresh, "a refresh token"),
        (K::Offline, "an offline token"),
        (K::Logout, "a logout token"),
        (K::Event, "a security event token"),
    ] {
        let expected = format!("the token identifies itself as {name}, not an access token");
        assert_eq!(T::AnotherKind(kind).to_string(), expected);
    }
    get("/").with_token(json!({})).view(|request, _| {
        let shown = format!("{request:?} {:?}", BearerToken::new(b"secret"));
        assert!(shown.contains("[authorization]") && shown.contains("BearerToken(6 bytes)"));
        assert!(!shown.contains("Bearer ") && !shown.contains("eyJ"), "{shown}");
    });
}

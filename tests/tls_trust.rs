//! Which certificates of an issuer are believed, and what is said of the others: the same by
//! the server, `config check`, `doctor` and `auth login`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward::config::Settings;
use doorward::discovery::{Access, HttpFetcher};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::CertificateDer;

use crate::support::cli::Cli;
use crate::support::doctor::{examine, oidc};
use crate::support::signer::{RSA, jwks};
use crate::support::tls::{Asked, TlsServer};

const AUTHORITY: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

/// A certificate for the address of every server here, of an authority or not, but for what
/// `alter` makes of it.
fn params(is_ca: IsCa, alter: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    params.is_ca = is_ca;
    alter(&mut params);
    params
}

/// As most tools make a self-signed one.
fn self_signed(key: &KeyPair) -> Certificate {
    params(AUTHORITY, |_| {}).self_signed(key).unwrap()
}

/// An issuer.
fn answer(asked: &Asked) -> (u16, String) {
    let issuer = format!("https://{}", asked.at);
    let document = match asked.path.as_str() {
        "/keys" => jwks([&*RSA]),
        "/token" => json!({"access_token": "a", "token_type": "Bearer", "expires_in": 300}),
        "/device" => json!({
            "device_code": "d", "user_code": "u", "expires_in": 60,
            "verification_uri": format!("{issuer}/enter"),
        }),
        _ => json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/keys"),
            "token_endpoint": format!("{issuer}/token"),
            "device_authorization_endpoint": format!("{issuer}/device"),
        }),
    };
    (200, document.to_string())
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn file(&self, pem: &str) -> PathBuf {
        let path = self.0.path().join("ca.pem");
        std::fs::write(&path, pem).unwrap();
        path
    }
}

/// How fetching from a server that shows this comes out, with this `ca_file`.
async fn fetched(chain: Vec<CertificateDer<'static>>, key: &KeyPair, ca_file: &str) -> String {
    let dir = Dir(tempfile::tempdir().unwrap());
    let server = TlsServer::start(chain, key, answer).await;
    let access = Access { ca_file: Some(dir.file(ca_file)), ..Access::default() };
    let http = HttpFetcher::new(&access, Duration::from_secs(10)).await.unwrap();
    match http.get(&server.url("/keys").parse().unwrap()).await {
        Ok(_) => "trusted".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn the_very_certificate_that_a_server_shows_may_be_named_and_is_still_examined() {
    let key = KeyPair::generate().unwrap();
    let own = |is_ca: IsCa, alter: &dyn Fn(&mut CertificateParams)| {
        let certificate = params(is_ca, alter).self_signed(&key).unwrap();
        (vec![certificate.der().clone()], certificate.pem())
    };
    let unaltered = |_: &mut CertificateParams| {};
    let authority = params(AUTHORITY, unaltered);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let signed = params(IsCa::NoCa, unaltered).signed_by(&key, &authority).unwrap();
    let signed_chain = vec![signed.der().clone(), authority.der().clone()];
    for (chain, ca_file) in [
        own(AUTHORITY, &unaltered),
        own(IsCa::NoCa, &unaltered),
        (signed_chain.clone(), authority.pem()),
        (signed_chain, signed.pem()),
        (vec![signed.der().clone()], signed.pem()),
    ] {
        assert_eq!(fetched(chain, &key, &ca_file).await, "trusted", "{ca_file}");
    }

    for is_ca in [AUTHORITY, IsCa::NoCa] {
        for (alter, fault) in [
            (
                &(|it: &mut CertificateParams| it.not_after = date_time_ymd(2020, 1, 1))
                    as &dyn Fn(&mut CertificateParams),
                "certificate expired",
            ),
            (&|it| it.not_before = date_time_ymd(4000, 1, 1), "certificate not valid yet"),
            (
                &|it| it.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 2].into())],
                "certificate not valid for name",
            ),
        ] {
            let (chain, ca_file) = own(is_ca, alter);
            let said = fetched(chain, &key, &ca_file).await;
            assert!(said.contains(fault), "{fault}: {said}");
        }
        // A certificate is no secret: whoever shows it has to have its key.
        let (chain, ca_file) = own(is_ca, &unaltered);
        let said = fetched(chain, &KeyPair::generate().unwrap(), &ca_file).await;
        assert!(said.contains("BadSignature"), "{said}");
    }
    // Byte for byte: the same key, names and subject are not enough.
    let (chain, _) = own(AUTHORITY, &unaltered);
    let (_, another) = own(AUTHORITY, &|it| it.serial_number = Some(7.into()));
    let said = fetched(chain, &key, &another).await;
    assert!(said.contains("CaUsedAsEndEntity"), "{said}");
}

#[tokio::test]
async fn doctor_and_login_trust_the_same_and_say_what_is_wanted() {
    let dir = Dir(tempfile::tempdir().unwrap());
    let key = KeyPair::generate().unwrap();
    let certificate = self_signed(&key);
    let server = TlsServer::start(vec![certificate.der().clone()], &key, answer).await;
    let issuer = server.url("");
    let config = |ca_file: Option<&Path>| -> Value {
        oidc(json!({"issuer": issuer, "client_id": "nmp", "ca_file": ca_file}))
    };
    let own = dir.file(&certificate.pem());
    examine(&config(Some(&own)), None).await.assert_well();
    let login = ["--client-id", "nmp", "--username", "alice", "--password-stdin"];
    let login = [&["auth", "login", "--issuer", &issuer], login.as_slice()].concat();
    let trusting = [login.as_slice(), &["--ca-file", own.to_str().unwrap()]].concat();
    Cli::new().run_with(&trusting, &[], "x\n").await.assert(0, &["Logged in"]);
    Cli::new().run_with(&login, &[], "x\n").await.assert(1, &["certificate"]);

    let said = examine(&config(None), None).await;
    said.assert_only("fail tls", "the issuer's own certificate");
    let another =
        params(AUTHORITY, |it| it.serial_number = Some(7.into())).self_signed(&key).unwrap();
    let said = examine(&config(Some(&dir.file(&another.pem()))), None).await;
    said.assert_only("fail tls", "ca.pem nor of an authority that is");
    let nameless = params(AUTHORITY, |it| it.subject_alt_names.clear());
    let nameless = nameless.self_signed(&key).unwrap();
    let ca_file = dir.file(&nameless.pem());
    let server = TlsServer::start(vec![nameless.der().clone()], &key, answer).await;
    let config = oidc(json!({"issuer": server.url(""), "audience": "x", "ca_file": ca_file}));
    examine(&config, None).await.assert_only("fail tls", "subjectAltName");
}

/// The fault names file, block and line, at `config check` and wherever else it is read.
#[tokio::test]
async fn a_bundle_with_a_bad_block_says_which() {
    let dir = Dir(tempfile::tempdir().unwrap());
    let key = KeyPair::generate().unwrap();
    let good = self_signed(&key).pem();
    let lines = good.lines().count();
    let begin = "-----BEGIN CERTIFICATE-----\n";
    let end = "-----END CERTIFICATE-----\n";
    let without_end = good.replace(end.trim_end(), "");
    let second = format!("certificate 2, which begins at line {}", lines + 2);
    for (bundle, which, why) in [
        (format!("{good}#\n{begin}AAAA\n{end}"), second.as_str(), "not an X.509 certificate"),
        (format!("{good}#\n{begin}a(b)\n{end}"), &second, "base64"),
        (format!("{good}#\n{without_end}"), &second, "has no END line"),
        (format!("{good}#\n{without_end}{good}"), &second, "has no END line"),
        (
            format!("\u{feff}{}{good}", without_end),
            "certificate 1, which begins at line 1",
            "has no END line",
        ),
    ] {
        let ca_file = dir.file(&bundle);
        let config =
            oidc(json!({"issuer": "https://idp.example", "client_id": "nmp", "ca_file": ca_file}));
        let fault = Settings::from_yaml("test", &config.to_string()).unwrap_err().to_string();
        let access = Access { ca_file: Some(ca_file.clone()), ..Access::default() };
        let at_work = HttpFetcher::new(&access, Duration::ZERO).await.unwrap_err().to_string();
        for said in [fault, at_work] {
            for part in [ca_file.to_str().unwrap(), which, why] {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
    }
    // Comments in any encoding, keys and a byte order mark are no fault.
    let mut bundle = format!("\u{feff}{good}# ").into_bytes();
    bundle.extend(b"F\xe4hre\n");
    bundle.extend(key.serialize_pem().bytes());
    bundle.extend(good.bytes());
    let ca_file = dir.file("");
    std::fs::write(&ca_file, bundle).unwrap();
    let access = Access { ca_file: Some(ca_file), ..Access::default() };
    assert!(HttpFetcher::new(&access, Duration::ZERO).await.is_ok());
}

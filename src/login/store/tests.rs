//! The store: a file that is whole and private, and key rings of every temper.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use doorward_core::clock::UnixTime;
use url::Url;

use super::*;
use crate::login::error::LoginError;
use crate::login::provider::Provider;
use crate::login::tokens::Tokens;
use crate::secret::Secret;

/// A key ring in memory, with a temper.
struct Fake {
    kept: Mutex<BTreeMap<String, String>>,
    temper: Mutex<Temper>,
}

#[derive(Clone, Copy, PartialEq)]
enum Temper {
    Good,
    Absent,
    Refuses,
    Hangs,
    Forgets,
}

impl Fake {
    fn new(temper: Temper) -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self { kept: Mutex::default(), temper: Mutex::new(temper) })
    }

    fn turn(&self, temper: Temper) {
        *self.temper.lock().unwrap() = temper;
    }

    fn mood(&self) -> Result<Temper, KeyRingError> {
        let temper = *self.temper.lock().unwrap();
        match temper {
            Temper::Good | Temper::Forgets => Ok(temper),
            Temper::Absent => Err(KeyRingError::None("no bus".into())),
            Temper::Refuses => Err(KeyRingError::Failed("locked".into())),
            Temper::Hangs => {
                std::thread::sleep(Duration::from_secs(600));
                Ok(temper)
            }
        }
    }
}

impl SecretStore for Fake {
    fn write(&self, name: &str, secret: &str) -> Result<(), KeyRingError> {
        if self.mood()? == Temper::Good {
            self.kept.lock().unwrap().insert(name.to_owned(), secret.to_owned());
        }
        Ok(())
    }

    fn read(&self, name: &str) -> Result<Option<String>, KeyRingError> {
        self.mood()?;
        Ok(self.kept.lock().unwrap().get(name).cloned())
    }

    fn forget(&self, name: &str) -> Result<(), KeyRingError> {
        self.mood()?;
        self.kept.lock().unwrap().remove(name);
        Ok(())
    }
}

fn logins(directory: &tempfile::TempDir, keep: Option<std::sync::Arc<Fake>>) -> Logins {
    let ring = keep.map(|keep| KeyRing::new(keep, Duration::from_millis(100)));
    Logins::in_directory(directory.path().join("doorward"), ring)
}

fn secrets(text: &str) -> Secrets {
    let refresh_token = Some(Secret::new(format!("{text}-refresh")));
    Secrets { access_token: Secret::new(text), refresh_token, id_token: None, client_secret: None }
}

fn login(kept: Kept) -> Login {
    let provider = Provider {
        base_url: Some("https://nmp.example".into()),
        issuer: "https://idp.example".into(),
        client_id: "nmp".into(),
        token_endpoint: Url::parse("https://idp.example/token").unwrap(),
        device_authorization_endpoint: None,
        revocation_endpoint: None,
        pkce: false,
        default_scopes: String::new(),
        scope_prefix: None,
        parameters: Vec::new(),
        ca_file: None,
        client_secret_file: None,
        secret_in_form: false,
    };
    let tokens = Tokens::new(secrets("t"), None, Some(Duration::from_secs(600)), UnixTime(1000));
    Login::new(provider, vec!["openid".into()], &tokens, kept)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

async fn store(logins: &Logins, name: &str, token: &str, place: Place) -> Result<Kept, StoreError> {
    let changing = logins.lock().await?;
    let mut contexts = changing.read()?;
    let kept = changing.keep(name, &secrets(token), place)?;
    contexts.logins.insert(name.to_owned(), login(kept.clone()));
    changing.write(&contexts)?;
    Ok(kept)
}

#[tokio::test]
async fn the_file_is_private_and_what_was_open_is_closed_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let logins = logins(&dir, None);
    assert_eq!(logins.read().unwrap(), Contexts::default());
    store(&logins, "a", "one", Place::Auto).await.unwrap();
    assert_eq!((mode(&logins.path()), mode(&logins.directory)), (0o600, 0o700));
    assert_eq!(logins.notices(), []);
    let open = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&logins.path(), 0o644);
    open(&logins.directory, 0o755);
    let contexts = logins.read().unwrap();
    assert_eq!(logins.secrets(&contexts.logins["a"]).unwrap(), secrets("one"));
    drop(logins.lock().await.unwrap());
    assert_eq!((mode(&logins.path()), mode(&logins.directory)), (0o600, 0o700));
    let mended = [logins.path(), logins.directory.clone()].map(Notice::Mended);
    assert_eq!(logins.notices(), mended);
    // No half-written file stays behind.
    let names = std::fs::read_dir(&logins.directory).unwrap().count();
    assert_eq!(names, 2, "the file and its lock");
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let logins = logins(&dir, None);
    drop(logins.lock().await.unwrap());
    for (text, part) in [
        ("", "not a logins file"),
        ("{\"version\": 1, \"logins\": {\"a\": 5}}", "not a logins file"),
        ("{\"version\": 2, \"logins\": []}", "version 2"),
    ] {
        std::fs::write(logins.path(), text).unwrap();
        let error = store(&logins, "a", "one", Place::Auto).await.unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(std::fs::read_to_string(logins.path()).unwrap(), text);
    }
}

#[tokio::test]
async fn tokens_are_in_the_key_ring_and_not_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new(Temper::Good);
    let logins = logins(&dir, Some(fake.clone()));
    let kept = store(&logins, "a", "sesame", Place::Auto).await.unwrap();
    assert!(matches!(kept, Kept::KeyRing(_)));
    let text = std::fs::read_to_string(logins.path()).unwrap();
    assert!(!text.contains("sesame"), "{text}");
    assert_eq!(logins.secrets(&login(kept.clone())).unwrap(), secrets("sesame"));
    let changing = logins.lock().await.unwrap();
    assert_eq!(changing.keep_again(&kept, &secrets("next")), kept);
    assert_eq!(logins.secrets(&login(kept.clone())).unwrap(), secrets("next"));
    changing.forget(&kept);
    assert!(fake.kept.lock().unwrap().is_empty());
    assert!(logins.secrets(&login(kept)).is_err());
}

#[tokio::test]
async fn a_key_ring_in_a_bad_temper_costs_no_login_and_little_time() {
    for temper in [Temper::Absent, Temper::Refuses, Temper::Hangs, Temper::Forgets] {
        let dir = tempfile::tempdir().unwrap();
        let logins = logins(&dir, Some(Fake::new(temper)));
        let began = Instant::now();
        let kept = store(&logins, "a", "one", Place::Auto).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5));
        assert_eq!(kept, Kept::File(secrets("one")));
        // That there is none is no news.
        assert_eq!(logins.notices().is_empty(), temper == Temper::Absent);
        assert!(store(&logins, "a", "one", Place::KeyRing).await.is_err());
    }
}

/// The old refresh token is used up by then: nothing but the new one can go on.
#[tokio::test]
async fn a_key_ring_that_locks_itself_later_does_not_lose_a_refreshed_token() {
    for temper in [Temper::Refuses, Temper::Hangs, Temper::Forgets] {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::new(Temper::Good);
        let logins = logins(&dir, Some(fake.clone()));
        let kept = store(&logins, "a", "one", Place::Auto).await.unwrap();
        fake.turn(temper);
        let changing = logins.lock().await.unwrap();
        assert_eq!(changing.keep_again(&kept, &secrets("two")), Kept::File(secrets("two")));
        assert_eq!(logins.notices().len(), 1);
    }
}

#[test]
fn a_token_is_refreshed_five_minutes_or_half_its_life_before_its_end() {
    let near = |life: Option<u64>, age: u64| {
        let mut login = login(Kept::KeyRing("x".into()));
        login.expires_at = life.map(|life| login.obtained_at + life);
        login.is_near_its_end(UnixTime(login.obtained_at + age))
    };
    assert!(!near(Some(3600), 3299) && near(Some(3600), 3300));
    assert!(!near(Some(600), 299) && near(Some(600), 300));
    assert!(!near(Some(300), 149) && near(Some(300), 150));
    assert!(!near(Some(2), 0) && near(Some(2), 1) && near(Some(0), 0));
    assert!(!near(None, u64::MAX / 2));
}

#[test]
fn a_login_is_found_by_name_platform_or_issuer_and_without_a_name_only_when_chosen() {
    let mut contexts = Contexts::default();
    assert!(contexts.find(None).is_err());
    contexts.logins.insert("work".into(), login(Kept::KeyRing("x".into())));
    let names = ["work", "https://nmp.example/", "nmp.example", "https://idp.example"];
    for name in names {
        assert_eq!(contexts.find(Some(name)).unwrap().0, "work", "{name:?}");
    }
    assert!(contexts.find(Some("home")).is_err());
    let next = |error: LoginError| error.next_step().unwrap();
    let error = contexts.find(None).unwrap_err();
    assert_eq!(error.to_string(), "no login is chosen", "one, which may be somebody else's");
    assert!(next(error).ends_with("doorward auth use NAME, or name it with --context: work"));
    contexts.logins.insert("home".into(), login(Kept::KeyRing("y".into())));
    assert!(next(contexts.find(None).unwrap_err()).contains("home, work"));
    let error = contexts.find(Some("https://idp.example")).unwrap_err();
    assert_eq!(error.to_string(), "there are several logins at https://idp.example");
    assert_eq!(next(error), "name the one that is meant: home, work");
    contexts.current = Some("home".into());
    assert_eq!(contexts.find(None).unwrap().0, "home");
}

/// Whoever leaves the key ring alone is told that tokens are still in there.
#[tokio::test]
async fn tokens_in_a_key_ring_that_is_not_used_are_not_forgotten_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::new(Temper::Good);
    let kept = store(&logins(&dir, Some(fake)), "a", "one", Place::Auto).await.unwrap();
    let without = logins(&dir, None);
    let error = without.secrets(&login(kept.clone())).unwrap_err();
    assert!(error.next_step().unwrap().contains("leave out `--store file`"), "{error}");
    without.lock().await.unwrap().forget(&kept);
    assert!(matches!(without.notices().as_slice(), [Notice::LeftInKeyRing(_)]));
}

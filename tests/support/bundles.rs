//! A server of OPA's bundles, as OPA would fetch them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves one bundle at a time, at `/bundle.tar.gz`.
pub struct Bundles {
    port: u16,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    bundle: Mutex<Option<Served>>,
    asked: Mutex<Vec<Asked>>,
}

#[derive(Clone)]
struct Served {
    archive: Vec<u8>,
    etag: Option<String>,
}

/// What a request for it brought, and came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub authorization: Option<String>,
    pub if_none_match: Option<String>,
    pub status: u16,
}

impl Bundles {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let router =
            Router::new().route("/bundle.tar.gz", get(serve)).with_state(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, shared, _server: server }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/bundle.tar.gz", self.port)
    }

    /// Serves this from now on; without an `ETag`, nobody knows it again. `None`: 500.
    pub fn serve(&self, bundle: Option<(&[u8], Option<&str>)>) {
        *self.shared.bundle.lock().unwrap() = bundle.map(|(archive, etag)| Served {
            archive: archive.to_vec(),
            etag: etag.map(|etag| format!("\"{etag}\"")),
        });
    }

    /// What was asked since this was called last.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }
}

async fn serve(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (authorization, if_none_match) = (text(header::AUTHORIZATION), text(header::IF_NONE_MATCH));
    let answer = match shared.bundle.lock().unwrap().clone() {
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Served { etag: Some(etag), .. }) if if_none_match.as_ref() == Some(&etag) => {
            StatusCode::NOT_MODIFIED.into_response()
        }
        Some(Served { archive, etag }) => {
            let mut answer = archive.into_response();
            if let Some(etag) = etag {
                answer.headers_mut().insert(header::ETAG, etag.parse().unwrap());
            }
            answer
        }
    };
    let status = answer.status().as_u16();
    shared.asked.lock().unwrap().push(Asked { authorization, if_none_match, status });
    answer
}

/// A bundle of these files, by `tar`.
pub fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut command = Command::new("tar");
    command.args(["czf", "-", "-C"]).arg(dir.path()).args(files.iter().map(|(name, _)| name));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A bundle of this policy, which calls itself so.
pub fn rego(revision: &str, policy: &str) -> Vec<u8> {
    let manifest = format!("{{\"revision\": \"{revision}\", \"roots\": [\"authz\"]}}");
    archive(&[("authz.rego", policy), (".manifest", &manifest)])
}

/// The same, signed with this private key (PEM) by OPA itself.
pub fn signed(opa: &Path, key: &str, policy: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir(path("policy")).unwrap();
    std::fs::write(path("policy/authz.rego"), policy).unwrap();
    std::fs::write(path("key.pem"), key).unwrap();
    let mut build = Command::new(opa);
    build.current_dir(dir.path()).args(["build", "--bundle", "--signing-key", "key.pem"]);
    build.args(["--signing-alg", "RS256", "-o", "bundle.tar.gz", "policy"]).stdin(Stdio::null());
    let output = build.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read(path("bundle.tar.gz")).unwrap()
}

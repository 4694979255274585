//! What is asked of an Envoy, and what its answers and the upstream's show.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::echo::{Echo, Echoed};
use crate::support::envoy::Envoy;
use crate::support::raw::{RawRequest, Reply, get, lines, request, upgrade};
use serde::Deserialize;

use crate::support::{PATIENCE, eventually};

/// How long a copy of a request may take.
const A_WHILE: Duration = Duration::from_secs(2);

/// What is sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Three requests with forged headers: nobody's, Alice's, and nobody's to a path that needs
    /// no token.
    Requests,
    /// The first of them, while Doorward is out of reach.
    Away,
    /// The three, with a header more.
    With(String, String),
    /// The three, with a body.
    Json,
    /// The three, which ask to go on in another protocol.
    Upgrade(String),
    /// The three, at another listener, and with the wish to go to the upstream.
    At(String),
    /// Nobody's to a path that needs no token, with a bearer that is no token, which some take
    /// for an identity.
    Opaque,
    /// Nobody's to this path, where a copy may arrive a little later.
    Copied(String),
    /// Nobody's at another listener, to this path.
    AtPath(String, String),
    /// Alice's, which arrives twice.
    Mirrored,
    /// Alice's to this path, when hers may not reach `/admin/` in any spelling.
    Path(String),
    /// Nobody's, after Alice has asked for the same.
    AfterAlice,
    /// Nobody's to a path that needs no token, which asks to go on in this protocol, and a forged
    /// request right behind it.
    Smuggled(String),
    /// Alice's, by this method, and a forged request inside of what it may have opened.
    Tunnel(String),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Denials and identities arrive as Doorward answered.
    Holds,
    /// An unauthenticated request, or a forged identity, reaches the upstream.
    Opens,
    /// A denial or an identity arrives otherwise than Doorward answered.
    Alters,
    /// Nobody passes.
    Closes,
    /// Envoy does not start.
    Refused,
}

const ALICE: [(&str, &str); 4] = [
    ("x-nmp-principal-email", "alice@example.com"),
    ("x-nmp-principal-groups", "research,team-b"),
    ("x-nmp-principal-id", "alice"),
    ("x-nmp-scopes", "openid models:read"),
];

const FORGED: [(&str, &str); 7] = [
    ("X-NMP-Principal-Id", "service:forged"),
    ("x_nmp_principal_id", "service:forged"),
    ("x.nmp.principal.id", "service:forged"),
    ("X-NMP-Internal", "forged"),
    ("x-nmp-anything", "forged"),
    // What a configuration may copy from.
    ("X-User", "service:forged"),
    ("X-Path", "/admin/forged"),
];

/// An Envoy with what stands around it.
pub struct Scene<'a> {
    pub envoy: &'a Envoy,
    pub echo: &'a Echo,
    pub token: &'a str,
}

/// An answer, and what the upstream saw meanwhile.
struct Seen {
    reply: Reply,
    arrived: Vec<Echoed>,
}

impl Scene<'_> {
    /// The verdict, and what it rests on.
    pub async fn verdict(&self, probe: &Probe) -> (Verdict, String) {
        self.echo.take();
        let door = self.envoy.address();
        match probe {
            Probe::Requests => self.requests(door, get).await,
            Probe::With(name, value) => {
                self.requests(door, |path| get(path).header(name, value)).await
            }
            Probe::Json => {
                let json = |path| get(path).header("Content-Type", "application/json").body("{}");
                self.requests(door, json).await
            }
            Probe::Upgrade(protocol) => self.requests(door, |path| upgrade(path, protocol)).await,
            Probe::At(listener) => {
                let upstream = format!("127.0.0.1:{}", self.echo.port());
                let wish = |path| get(path).header("X-Envoy-Original-Dst-Host", &upstream);
                self.requests(self.envoy.listener(listener), wish).await
            }
            Probe::Away => {
                let seen = self.send(door, get("/")).await;
                (opens(!seen.arrived.is_empty()), seen.shown())
            }
            Probe::Opaque => {
                let seen = self.send(door, get("/public/x").bearer("service:jobs")).await;
                let opaque = |it: &Echoed| it.header("authorization").is_some();
                (opens(seen.arrived.iter().any(opaque)), seen.shown())
            }
            Probe::Copied(path) => self.copied(door, path).await,
            Probe::AtPath(listener, path) => self.copied(self.envoy.listener(listener), path).await,
            Probe::Mirrored => self.mirrored().await,
            Probe::Path(path) => {
                let seen = self.send(door, get(path).bearer(self.token)).await;
                let admin = |it: &Echoed| resolved(&it.path).starts_with("/admin/");
                (opens(seen.arrived.iter().any(admin)), seen.shown())
            }
            Probe::AfterAlice => {
                let alice = self.send(door, get("/hostname").bearer(self.token)).await;
                let nobody = self.send(door, get("/hostname")).await;
                let shown = format!("{}{}", alice.shown(), nobody.shown());
                (opens(nobody.reply.status == 200), shown)
            }
            Probe::Smuggled(protocol) => {
                let inside = "GET /smuggled HTTP/1.1\r\nHost: platform.example\r\nX-User: a\r\n\
                              X-NMP-Principal-Id: service:forged\r\nConnection: close\r\n\r\n";
                let upgrade = format!("Upgrade: {protocol}");
                let first = ["GET /public/x HTTP/1.1", "Host: a", "Connection: Upgrade", &upgrade];
                // Where it is no tunnel, the connection may stay as it is.
                let answer = lines(&first).followed_by(inside);
                let _ = tokio::time::timeout(A_WHILE, answer.send(door)).await;
                let arrived = self.echo.take();
                let smuggled = arrived.iter().any(|it| it.path == "/smuggled");
                (opens(smuggled), format!("\n{arrived:?}"))
            }
            Probe::Tunnel(method) => self.tunnel(method).await,
        }
    }

    async fn requests(
        &self,
        address: SocketAddr,
        request: impl Fn(&'static str) -> RawRequest,
    ) -> (Verdict, String) {
        let nobody = self.send(address, request("/nobody")).await;
        let alice = self.send(address, request("/alice").bearer(self.token)).await;
        let public = self.send(address, request("/public/x")).await;
        let shown = format!("{}{}{}", nobody.shown(), alice.shown(), public.shown());
        let forged = !nobody.arrived.is_empty()
            || alice.identities().any(|it| it.iter().any(|(_, value)| value.contains("forged")))
            || public.identities().any(|it| !it.is_empty());
        let denied = nobody.reply.status == 401
            && nobody.reply.header("www-authenticate").is_some()
            && nobody.reply.body.contains("\"missing_token\"");
        let known = alice.identities().all(|it| it == ALICE);
        let verdict = if forged {
            Verdict::Opens
        } else if alice.arrived.is_empty() {
            Verdict::Closes
        } else if denied && known && !public.arrived.is_empty() {
            Verdict::Holds
        } else {
            Verdict::Alters
        };
        (verdict, shown)
    }

    async fn mirrored(&self) -> (Verdict, String) {
        let first = self.send(self.envoy.address(), get("/alice").bearer(self.token)).await;
        let mut arrived = first.arrived;
        eventually("the mirror's request", PATIENCE, async || {
            arrived.extend(self.echo.take());
            (arrived.len() == 2).then_some(())
        })
        .await;
        let forged = arrived.iter().any(|it| it.trusted() != ALICE);
        (opens(forged), format!("\n{arrived:?}"))
    }

    async fn copied(&self, address: SocketAddr, path: &str) -> (Verdict, String) {
        let first = self.send(address, get(path)).await;
        let deadline = Instant::now() + A_WHILE;
        let mut arrived = first.arrived;
        while arrived.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(A_WHILE / 40).await;
            arrived.extend(self.echo.take());
        }
        let forged = arrived.iter().any(|it| !it.trusted().is_empty());
        (opens(forged), format!("\n{arrived:?}"))
    }

    async fn tunnel(&self, method: &str) -> (Verdict, String) {
        let inside = forged(get("/tunnelled"));
        let target = if method == "CONNECT" { "platform.example:80" } else { "/alice" };
        let open = request(method, target).bearer(self.token);
        let (opened, answer) = open.tunnel(&inside, self.envoy.address()).await;
        let arrived = self.echo.take();
        let reached = arrived.iter().any(|it| it.path == "/tunnelled");
        (opens(reached), format!("\n{opened}\n{answer}\n{arrived:?}"))
    }

    async fn send(&self, address: SocketAddr, request: RawRequest) -> Seen {
        let reply = forged(request).send(address).await;
        let mut arrived = self.echo.take();
        // What Envoy sends by itself, such as health checks, is none of the client's.
        arrived.retain(|it| it.header("x-user").is_some());
        Seen { reply, arrived }
    }
}

fn forged(request: RawRequest) -> RawRequest {
    FORGED.iter().fold(request, |request, (name, value)| request.header(name, value))
}

fn opens(reached: bool) -> Verdict {
    if reached { Verdict::Opens } else { Verdict::Holds }
}

impl Seen {
    fn identities(&self) -> impl Iterator<Item = Vec<(&str, &str)>> {
        self.arrived.iter().map(Echoed::trusted)
    }

    fn shown(&self) -> String {
        let arrived: Vec<_> = self.arrived.iter().map(|it| (&it.path, it.trusted())).collect();
        format!(
            "\n{} {:?} {}: {arrived:?}",
            self.reply.status,
            self.reply.header("www-authenticate"),
            self.reply.body.chars().take(120).collect::<String>()
        )
    }
}

/// A path as a server that decodes it, takes its parameters away and resolves it reads it.
fn resolved(path: &str) -> String {
    let decoded = path.replace("%2f", "/").replace("%2F", "/");
    let mut parts: Vec<&str> = Vec::new();
    let bare = |part| str::split(part, ';').next().unwrap_or_default();
    for part in decoded.split('/').map(bare).filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    format!("/{}", parts.join("/"))
}

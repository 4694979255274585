//! What is asked of an Envoy, and what its answers and the upstream's show.

use std::net::SocketAddr;

use crate::support::echo::{Echo, Echoed};
use crate::support::envoy::Envoy;
use crate::support::raw::{RawRequest, Reply, get, request, upgrade};

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub enum Probe {
    /// Three requests with forged headers: nobody's, Alice's, and nobody's to a path that needs
    /// no token.
    Requests,
    /// The first of them, while Doorward is out of reach.
    DoorwardAway,
    /// The three, with a header more.
    With(&'static str, &'static str),
    /// The three, with a body.
    Json,
    /// The three, at another listener.
    At(&'static str),
    /// Alice's to this path, when hers may not reach `/admin/` in any spelling.
    Path(&'static str),
    /// Nobody's, after Alice has asked for the same.
    AfterAlice,
    /// Alice's `CONNECT`, or upgrade, and a forged request inside of the tunnel.
    Tunnel(&'static str),
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

const FORGED: [(&str, &str); 6] = [
    ("X-NMP-Principal-Id", "service:forged"),
    ("x_nmp_principal_id", "service:forged"),
    ("X-NMP-Internal", "forged"),
    ("x-nmp-anything", "forged"),
    // What a configuration may copy from.
    ("X-User", "service:forged"),
    ("X-Path", "/admin/forged"),
];

const JSON: (&str, &str) = ("Content-Type", "application/json");

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
        match *probe {
            Probe::Requests => self.requests(self.envoy.door(), None).await,
            Probe::With(name, value) => self.requests(self.envoy.door(), Some((name, value))).await,
            Probe::Json => self.requests(self.envoy.door(), Some(JSON)).await,
            Probe::At(listener) => {
                self.requests(self.envoy.listener(listener), None).await
            }
            Probe::DoorwardAway => {
                let seen = self.send(self.envoy.door(), get("/"), None).await;
                let verdict = if seen.arrived.is_empty() { Verdict::Holds } else { Verdict::Opens };
                (verdict, seen.shown())
            }
            Probe::Path(path) => {
                let request = get(path).bearer(self.token);
                let seen = self.send(self.envoy.door(), request, None).await;
                let reached = seen.arrived.iter().any(|it| resolved(&it.path).starts_with("/admin/"));
                (if reached { Verdict::Opens } else { Verdict::Holds }, seen.shown())
            }
            Probe::AfterAlice => {
                let alice = get("/cached").bearer(self.token);
                let first = self.send(self.envoy.door(), alice, None).await;
                let second = self.send(self.envoy.door(), get("/cached"), None).await;
                let verdict = if second.reply.status == 200 { Verdict::Opens } else { Verdict::Holds };
                (verdict, format!("{}{}", first.shown(), second.shown()))
            }
            Probe::Tunnel(protocol) => self.tunnel(protocol).await,
        }
    }

    async fn requests(&self, address: SocketAddr, more: Option<(&str, &str)>) -> (Verdict, String) {
        let nobody = self.send(address, get("/nobody"), more).await;
        let alice = self.send(address, get("/alice").bearer(self.token), more).await;
        let public = self.send(address, get("/public/x"), more).await;
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

    async fn tunnel(&self, protocol: &str) -> (Verdict, String) {
        let open = match protocol {
            "CONNECT" => request("CONNECT", "platform.example:80"),
            protocol => upgrade("/alice", protocol),
        };
        let inside = FORGED.iter().fold(get("/tunnelled"), |it, (name, value)| it.header(name, value));
        let (opened, answer) = open.bearer(self.token).tunnel(&inside, self.envoy.door()).await;
        let arrived = self.echo.take();
        let reached = arrived.iter().any(|it| it.path == "/tunnelled");
        let verdict = if reached { Verdict::Opens } else { Verdict::Holds };
        (verdict, format!("{opened}\n{answer}\n{arrived:?}"))
    }

    async fn send(
        &self,
        address: SocketAddr,
        request: RawRequest,
        more: Option<(&str, &str)>,
    ) -> Seen {
        let headers = FORGED.iter().copied().chain(more);
        let request = headers.fold(request, |it, (name, value)| it.header(name, value));
        let request = if more == Some(JSON) { request.body("{}") } else { request };
        let reply = request.send(address).await;
        let mut arrived = self.echo.take();
        // What Envoy sends by itself, such as health checks, is none of the client's.
        arrived.retain(|it| it.header("x-user").is_some());
        Seen { reply, arrived }
    }
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

/// A path as a server that decodes and resolves it reads it.
fn resolved(path: &str) -> String {
    let decoded = path.replace("%2f", "/").replace("%2F", "/");
    let mut parts: Vec<&str> = Vec::new();
    for part in decoded.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." { parts.pop(); } else { parts.push(part); }
    }
    format!("/{}", parts.join("/"))
}

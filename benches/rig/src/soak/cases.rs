//! What is sent, and what has to come of it.

use doorward_dev::DevIssuer;
use serde_json::{Value, json};

use crate::support::signer::{Signer, from_now};

/// One request and its answer.
pub struct Case {
    pub kind: &'static str,
    pub request: Vec<u8>,
    status: u16,
    /// The identity that arrives, when the request passes.
    identity: String,
    /// The reason in the body, when it does not.
    reason: &'static str,
}

/// What a client may try, spelled as it likes.
const FORGED: [&str; 4] = [
    "X-NMP-Principal-Id: service:root\r\nx_nmp_principal_id: service:root\r\n",
    "x-nmp-principal-id: a\r\nX-NMP-PRINCIPAL-ID: service:root\r\nX-NMP-Anything: 1\r\n",
    "x.nmp.principal.id: service:root\r\nX-NMP-Scopes: admin:all\r\n",
    "",
];

/// All kinds of requests, with tokens of this key.
pub fn of(issuer: &DevIssuer, signer: &Signer, generation: usize) -> Vec<Case> {
    let stranger = Signer::ed(signer.kid());
    let name = issuer.url("");
    let claims = |number: usize, more: Value| {
        let mut claims = json!({
            "iss": name, "sub": format!("user-{generation}-{number}"), "aud": "nmp", "tid": "t1",
            "iat": from_now(-10), "exp": from_now(3600), "scope": "openid models:read",
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let token = |key: &Signer, claims: &Value| Some(key.token("EdDSA", claims));
    let mut cases = Vec::new();
    for number in 0..400 {
        // Most are seen again and again; every tenth of them is seen by one client alone.
        let user = if number % 10 == 0 { number } else { number % 16 };
        let good = token(signer, &claims(user, json!({})));
        cases.push(Case::passes("allowed", "/v1/models", good, number, user, generation));
        let (kind, bad, reason) = match number % 8 {
            0 => ("no token", None, "missing_token"),
            1 => ("bad signature", token(&stranger, &claims(number, json!({}))), "bad_signature"),
            2 => ("expired", token(signer, &claims(0, json!({"exp": from_now(-900)}))), "expired"),
            3 => ("audience", token(signer, &claims(0, json!({"aud": "x"}))), "bad_audience"),
            4 => ("no JWT", Some("a.b.c".to_owned()), "malformed_token"),
            5 => {
                let service = claims(0, json!({"sub": "service:root"}));
                ("reserved", token(signer, &service), "reserved_identity")
            }
            _ => {
                let path = if number % 2 == 0 { "/public/page" } else { "/open/page" };
                cases.push(Case::anonymous("bypassed", path, number));
                continue;
            }
        };
        cases.push(Case::denied(kind, bad, number, reason));
        if number % 4 == 0 {
            cases.push(Case::anonymous("anonymous", "/optional/page", number));
        }
    }
    cases
}

impl Case {
    fn new(kind: &'static str, path: &str, token: Option<String>, number: usize) -> Self {
        let authorization =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let forged = FORGED[number % FORGED.len()];
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: platform.example\r\n{authorization}{forged}\r\n");
        let request = request.into_bytes();
        Self { kind, request, status: 200, identity: String::new(), reason: "" }
    }

    fn passes(
        kind: &'static str,
        path: &str,
        token: Option<String>,
        number: usize,
        user: usize,
        generation: usize,
    ) -> Self {
        let identity = format!("user-{generation}-{user}");
        Self { identity, ..Self::new(kind, path, token, number) }
    }

    fn anonymous(kind: &'static str, path: &str, number: usize) -> Self {
        Self::new(kind, path, None, number)
    }

    fn denied(
        kind: &'static str,
        token: Option<String>,
        number: usize,
        reason: &'static str,
    ) -> Self {
        let status = if reason == "reserved_identity" { 403 } else { 401 };
        Self { status, reason, ..Self::new(kind, "/v1/models", token, number) }
    }

    /// What is wrong with an answer.
    pub fn judge(&self, answer: &str) -> Result<(), String> {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        let seen = |name: &str| {
            let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.filter(|value| *value != "-").unwrap_or_default().to_owned()
        };
        let reason = match serde_json::from_str::<Value>(body) {
            Ok(problem) => problem["reason"].as_str().unwrap_or_default().to_owned(),
            Err(_) => String::new(),
        };
        let found = (status, seen("x-seen-id"), reason.as_str());
        let expected = (Some(self.status), self.identity.clone(), self.reason);
        if found != expected {
            return Err(format!("{found:?} in place of {expected:?}"));
        }
        match seen("x-seen-forged") {
            forged if forged.is_empty() => Ok(()),
            forged => Err(format!("arrived: {forged}")),
        }
    }
}

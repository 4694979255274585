//! `--once`: two requests through the gateway, and whether they came out right.

use doorward_dev::echo::Echoed;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::setup::{Front, Setup};
use super::words::{self, FORGED, PRINCIPAL};

/// What the token says, and what the client claims.
const SUBJECT: &str = "alice";
const TRUSTED_PREFIX: &str = "x-nmp-";
/// Most of an answer that is read.
const MAX_BODY_CHARS: usize = 300;

/// What did not come out as it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// No answer at all.
    #[error("the {request} request got no answer")]
    NoAnswer {
        /// Which of the two requests.
        request: &'static str,
        /// What came in the way.
        source: reqwest::Error,
    },
    /// The wrong status.
    #[error("the {request} request got {got}, not {wanted}: {body}")]
    Status {
        /// Which of the two requests.
        request: &'static str,
        /// What it should have been.
        wanted: StatusCode,
        /// The status that came.
        got: StatusCode,
        /// What it said.
        body: String,
    },
    /// A forged header got through, or the real one did not.
    #[error(
        "the upstream should have received {PRINCIPAL}: {SUBJECT} and no \"{FORGED}\", but \
         received {0:?}"
    )]
    Identity(Vec<(String, String)>),
}

/// Makes one request that is to pass and one that is not, and shows both.
pub(super) async fn try_both(setup: &Setup) -> Result<(), Wrong> {
    let no_answer = |request| move |source| Wrong::NoAnswer { request, source };
    let http = Client::builder().no_proxy().build().map_err(no_answer("allowed"))?;
    let url = setup.url("/hello");
    let token = http.get(setup.token_url(SUBJECT)).send().await;
    let token = expect("token", StatusCode::OK, token).await?.text().await;
    let token = token.map_err(no_answer("token"))?;
    // Both spellings that an upstream may read as the same name.
    let forged = || http.get(&url).header(PRINCIPAL, FORGED).header("x_nmp_principal_id", FORGED);

    let answer = forged().bearer_auth(token.trim_end()).send().await;
    let answer = expect("allowed", StatusCode::OK, answer).await?;
    let arrived = arrived(setup.front, answer).await.map_err(no_answer("allowed"))?;
    let principals: Vec<_> = values(&arrived, PRINCIPAL).collect();
    let forgery = arrived.iter().any(|(_, value)| value.contains(FORGED));
    if principals != [SUBJECT] || forgery {
        return Err(Wrong::Identity(arrived));
    }
    let identity = arrived.into_iter().filter(|(name, _)| name.starts_with(TRUSTED_PREFIX));
    words::allowed(&url, setup.front, &identity.collect::<Vec<_>>());

    let answer = forged().send().await;
    let answer = expect("denied", StatusCode::UNAUTHORIZED, answer).await?;
    let challenge = header(&answer, "www-authenticate");
    let body: Value = answer.json().await.map_err(no_answer("denied"))?;
    let reason = body.get("reason").and_then(Value::as_str).unwrap_or("without a reason");
    words::denied(&url, StatusCode::UNAUTHORIZED, reason, &challenge);
    Ok(())
}

async fn expect(
    request: &'static str,
    wanted: StatusCode,
    answer: Result<Response, reqwest::Error>,
) -> Result<Response, Wrong> {
    let answer = answer.map_err(|source| Wrong::NoAnswer { request, source })?;
    let got = answer.status();
    if got == wanted {
        return Ok(answer);
    }
    let body = answer.text().await.unwrap_or_default().chars().take(MAX_BODY_CHARS).collect();
    Err(Wrong::Status { request, wanted, got, body })
}

/// The headers as the upstream sees them. Without Envoy: as Doorward's answer makes
/// them, which overwrite what the client sent.
async fn arrived(
    front: Option<Front>,
    answer: Response,
) -> Result<Vec<(String, String)>, reqwest::Error> {
    if front == Some(Front::Envoy) {
        return answer.json::<Echoed>().await.map(|echoed| echoed.headers);
    }
    let headers = answer.headers().iter();
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    Ok(headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect())
}

fn values<'a>(headers: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(have, _)| have.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

fn header(answer: &Response, name: &str) -> String {
    let value = answer.headers().get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

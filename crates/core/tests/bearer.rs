//! How a request shows its one token.

use doorward_core::bearer::BearerFault;
use doorward_core::decision::{Fault, Reason};

use crate::support::{Setup, get, token};

#[test]
fn one_bearer_token_and_nothing_else() {
    let authorizer = Setup::new().authorizer();
    let token = token(serde_json::json!({}));
    for value in [
        format!("Bearer {token}"),
        format!("bEARER {token}"),
        format!("Bearer   {token}  "),
        format!("Bearer {token}\t"),
    ] {
        let allowed = get("/").header("Authorization", &value).allowed(&authorizer);
        assert_eq!(allowed.principal(), "alice", "{value}");
    }
    for (value, fault) in [
        (token.clone(), BearerFault::NotBearer),
        (String::new(), BearerFault::NotBearer),
        (" ".into(), BearerFault::NotBearer),
        (format!("Basic {token}"), BearerFault::NotBearer),
        (format!("Bearer\t{token}"), BearerFault::NotBearer),
        ("Bearer".into(), BearerFault::NoToken),
        ("Bearer  \t".into(), BearerFault::NoToken),
        (format!("Bearer {token},Bearer {token}"), BearerFault::SeveralTokens),
        (format!("Bearer {token},"), BearerFault::SeveralTokens),
        (format!("Bearer {token} {token}"), BearerFault::SeveralTokens),
        (format!("Bearer {token}\t{token}"), BearerFault::SeveralTokens),
    ] {
        let denial = get("/").header("authorization", &value).denial(&authorizer);
        assert_eq!(denial.fault, Fault::Bearer(fault), "{value}");
        assert_eq!(denial.reason(), Reason::MalformedHeader);
    }
    let twice = get("/").bearer(&token).header("AUTHORIZATION", format!("Bearer {token}"));
    assert_eq!(twice.fault(&authorizer), Fault::Bearer(BearerFault::SeveralHeaders));
}

#[test]
fn no_credentials_and_how_that_is_said() {
    let authorizer = Setup::new().authorizer();
    let other = get("/").header("proxy-authorization", "Bearer x").header("cookie", "a=b");
    for (ask, fault) in [
        (get("/"), Fault::NoCredentials),
        (other, Fault::NoCredentials),
        (get("/").method("OPTIONS"), Fault::NoCredentialsForOptions),
        (get("/").method("options"), Fault::NoCredentialsForOptions),
    ] {
        let denial = ask.denial(&authorizer);
        assert_eq!((denial.fault, denial.reason()), (fault, Reason::MissingToken), "{ask:?}");
    }
}

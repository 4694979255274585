//! What to do about a fault, and what else the token's owner should know.

use doorward_core::bearer::BearerFault;
use doorward_core::decision::Fault;
use doorward_core::identity::{AddressFault, IdentityFault};
use doorward_core::issuers::KeysFault;
use doorward_core::request::RequestFault;
use doorward_core::rules::RuleFault;
use doorward_core::token::{TokenFault, TokenKind};
use serde_json::Value;

use super::story::Story;
use super::words::span;

/// Microsoft Graph, by the names that its tokens carry in `aud`.
const MICROSOFT_GRAPH: [&str; 2] =
    ["00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"];

impl Story<'_> {
    pub(super) fn remedy(&self, fault: Fault) -> String {
        if self.is_for_microsoft_graph() {
            return "this token is for Microsoft Graph, whose tokens only Microsoft Graph can \
                    verify: request one with a scope of this API (`api://<client-id>/…`)"
                .to_owned();
        }
        let remedy = match fault {
            Fault::Request(fault) => match fault {
                RequestFault::NoMethod | RequestFault::NoPath | RequestFault::NotAPath => {
                    "send the path as in the request line, beginning with `/`"
                }
                RequestFault::TooMuchToChange => {
                    "send no headers with the trusted prefix, and map fewer or shorter claims \
                     (`headers.claims`)"
                }
                RequestFault::Unreadable => "send fewer headers, or shorter ones",
            },
            Fault::NoCredentials => "send `Authorization: Bearer <access token>`",
            Fault::NoCredentialsForOptions => {
                "if this is a browser's CORS preflight, set `rules.cors_preflight: allow` and \
                 have the gateway send `origin` and `access-control-request-method` to Doorward, \
                 or let the gateway's own CORS filter answer before Doorward is asked \
                 (docs/cors.md); else send `Authorization: Bearer <access token>`"
            }
            Fault::Bearer(BearerFault::NotBearer) if self.repeats_the_name() => {
                "the value begins with the header's own name: leave `Authorization:` out"
            }
            Fault::Bearer(BearerFault::NotBearer) => "put `Bearer ` in front of the token",
            Fault::Bearer(BearerFault::NoToken) => {
                "the token is empty: is the variable that should hold it set?"
            }
            Fault::Bearer(BearerFault::SeveralTokens) => {
                "send one token in one piece: no white space, line break or comma in it"
            }
            Fault::Bearer(BearerFault::SeveralHeaders) => "send one `Authorization` header",
            Fault::Token(fault) => return self.token_remedy(fault),
            Fault::Keys(KeysFault::NeverObtained) => {
                "make the issuer's keys reachable from here; `doorward doctor` shows each step"
            }
            Fault::Keys(KeysFault::TooOld) => {
                "find out why the issuer does not answer, or raise `keys.max_stale`"
            }
            Fault::Keys(KeysFault::StillUnderWay | KeysFault::Crowded) => {
                "try again; if it persists, the issuer is slow"
            }
            Fault::Identity(fault) => match fault {
                IdentityFault::SubjectMissing => {
                    "have the provider add the claim to access tokens, or set `subject_claim` to \
                     another one"
                }
                IdentityFault::SubjectUnfit if self.subject_is_no_string() => {
                    return self.subject_remedy();
                }
                IdentityFault::SubjectUnfit => {
                    "set `subject_claim` to a claim with a simpler value (an id, not a display \
                     name), or set `headers.profile: plain` if the upstream accepts visible ASCII"
                }
                IdentityFault::SubjectAddress(AddressFault::Unverified) => {
                    "have the user confirm the address at the provider, or set `subject_claim` to \
                     a claim that is not an address (an id)"
                }
                IdentityFault::SubjectAddress(_) => {
                    "set `subject_claim` to a claim that is not an address (an id), or add the \
                     domain to this issuer's `email_domains` if the issuer is authoritative for it"
                }
                IdentityFault::SubjectReserved | IdentityFault::EmailReserved => {
                    "the platform reserves `*` and `service:…`: rename the user, or set a \
                     `subject_prefix` for this issuer"
                }
                IdentityFault::TenantMissing => {
                    "remove `{tid}` from `subject_prefix` and `groups_prefix`, or use tokens that \
                     have a `tid`"
                }
            },
            Fault::Rule(fault) => match fault {
                RuleFault::WrongAudience => return self.route_audience_remedy(),
                RuleFault::InsufficientScope => {
                    "get a token with one of the scopes that the route requires"
                }
                RuleFault::InsufficientEndpointScope => {
                    "get a token with one of the scopes that the endpoint requires, or change \
                     `rules.endpoints`"
                }
                RuleFault::EndpointScopeLost => {
                    "have the provider send scopes as one string or an array of strings, at most \
                     200 of them, each of at most 256 visible ASCII characters: one that is lost \
                     may have limited the token, so it counts as one with a `:`"
                }
                RuleFault::ClosedEndpoint => {
                    "this endpoint is closed to everyone; to open it, remove `deny` from \
                     `rules.endpoints`"
                }
                RuleFault::AmbiguousPath => {
                    "send the path without `//`, `\\`, dot segments and segments that end in a \
                     dot or a space, and percent-encode only what needs it"
                }
                RuleFault::StepsAside => {
                    "send the path without `..;` and `/;`: no client means them, and attackers use \
                     them to get around the rules of a gateway"
                }
                RuleFault::EncodedSlash => {
                    "send `/` where slashes separate, and `%2F` only within a name; where names hold \
                     slashes, add the path above them to `rules.encoded_slashes`"
                }
                RuleFault::UnknownMode | RuleFault::UnknownKey | RuleFault::EmptyValue => {
                    "correct `context_extensions` of this route in Envoy's configuration"
                }
            },
            Fault::Overloaded => {
                "look for a client that leaves calls unfinished (`doorward_unfinished_bytes`)"
            }
            Fault::Internal => "this is a bug in Doorward: please report it",
        };
        remedy.to_owned()
    }

    fn token_remedy(&self, fault: TokenFault) -> String {
        if self.token.of_google && super::Check::of(Fault::Token(fault)) == super::Check::Form {
            return "Google's access tokens are for Google's own APIs, and only Google can verify \
                    them: send the ID token (`id_token`; gcloud auth print-identity-token), whose \
                    issuer is https://accounts.google.com"
                .to_owned();
        }
        let remedy = match fault {
            TokenFault::TooLong => {
                "have the provider put less into the token (groups?), or raise \
                 `token.max_token_bytes`; Envoy's own limit on headers is 60 KiB"
            }
            TokenFault::NotThreeParts if self.token.parts == 1 => {
                "have the provider issue JWT access tokens for this API: Auth0 needs an `audience`, \
                 Okta a custom authorization server, Google has none"
            }
            TokenFault::NotThreeParts if self.token.parts == 5 => {
                "have the provider sign access tokens and not encrypt them"
            }
            TokenFault::NotThreeParts
            | TokenFault::NotBase64Url
            | TokenFault::HeaderNotAnObject
            | TokenFault::ClaimsNotAnObject
            | TokenFault::NestedTooDeep => {
                "was the token truncated, or changed in transit? Get a new one"
            }
            TokenFault::Unsigned => {
                "use signed tokens; `auth.allow_unsigned_jwt: true` accepts these, on loopback only"
            }
            TokenFault::UnknownAlgorithm => {
                "have the provider sign with an asymmetric algorithm, RS256 for instance"
            }
            TokenFault::Critical => "have the provider omit `crit`",
            TokenFault::WrongType => "send an access token: this token is for something else",
            TokenFault::NoIssuer | TokenFault::UnknownIssuer => {
                return self.issuer_remedy();
            }
            TokenFault::UnknownTenant => {
                "add the tenant to `allowed_tenants` if it should be \
                                          allowed"
            }
            TokenFault::AlgorithmNotAllowed => {
                "add the algorithm to the issuer's `algorithms`, or have the provider use another"
            }
            TokenFault::NoSuchKey => {
                "is the token from another realm, environment or key of this provider? The issuer \
                 was asked again just now"
            }
            TokenFault::BadSignature => {
                "the token was changed, or signed by somebody else: get a new one"
            }
            TokenFault::AnotherKind(_) | TokenFault::LikeIdToken(_) => {
                "send the access token: `access_token` of the provider's answer, not `id_token` or \
                 `refresh_token`"
            }
            TokenFault::BoundToKey => {
                "have the provider issue this client plain bearer tokens (without DPoP or \
                 certificates); where something in front checks the binding, `bound_tokens: ignore`"
            }
            TokenFault::ExpiryBeyondReason
            | TokenFault::NotYetValid
            | TokenFault::IssuedInFuture
                if self.in_milliseconds().is_some() =>
            {
                "have the provider write dates in seconds (RFC 7519 §2): these look like \
                 milliseconds"
            }
            TokenFault::ExpiryBeyondReason => "have the provider issue tokens that expire (`exp`)",
            TokenFault::LivesTooLong => {
                "have the provider issue shorter-lived tokens, or raise `max_lifetime`"
            }
            TokenFault::NoExpiry => "have the provider issue tokens that expire (`exp`)",
            TokenFault::Expired => "get a new token",
            TokenFault::BadTime => "have the provider write dates as numbers (RFC 7519 §2)",
            TokenFault::NotYetValid | TokenFault::IssuedInFuture => {
                "compare the clocks of the provider and of this machine (`doorward doctor`)"
            }
            TokenFault::WrongAudience => return self.audience_remedy(),
            TokenFault::WrongClient => {
                "add the client to `allowed_clients` if it should be \
                                        allowed"
            }
        };
        remedy.to_owned()
    }

    fn repeats_the_name(&self) -> bool {
        const NAME: &[u8] = b"authorization:";
        let values = self.asked.request.header_values("authorization");
        let mut fronts = values.filter_map(|value| value.split_at_checked(NAME.len()));
        fronts.any(|(front, _)| front.eq_ignore_ascii_case(NAME))
    }

    fn is_for_microsoft_graph(&self) -> bool {
        let for_graph = match self.token.claim("aud") {
            Some(Value::String(audience)) => {
                MICROSOFT_GRAPH.contains(&audience.trim_end_matches('/'))
            }
            Some(_) | None => false,
        };
        self.token.header("nonce").is_some() || for_graph
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let (Some(Fault::Keys(_)), Some(keys)) = (self.fault, self.keys) {
            notes.push(format!(
                "a server that obtained keys before goes on with them for {} (`keys.max_stale`), and \
                 may answer 200 to this token; explain asks no server and has what it can fetch now. \
                 The body of the server's /health/ready names the issuers without keys",
                span(keys.max_stale)
            ));
        }
        if self.token.header("nonce").is_some() {
            notes.push(
                "the header has a `nonce`: Microsoft signs Graph tokens over something other than \
                 what is sent, so only Microsoft Graph can verify them"
                    .to_owned(),
            );
        }
        if let TokenKind::LikeId(name) = self.token_kind() {
            notes.push(format!(
                "the claim {name} suggests that this is an ID token, which is for the client; an \
                 API is sent the access token (`require_access_token` refuses such tokens)"
            ));
        }
        if let Some(name) = self.in_milliseconds() {
            notes.push(format!(
                "{name} looks like milliseconds: a token's dates are in seconds (RFC 7519 §2)"
            ));
        }
        if let Some(header) =
            ["jwk", "jku", "x5u", "x5c"].into_iter().find(|name| self.token.header(name).is_some())
        {
            notes.push(format!("the header's {header} is ignored: a token never chooses its key"));
        }
        notes
    }
}

//! What to do about a fault, and what else the token's owner should know.

use doorward_core::bearer::BearerFault;
use doorward_core::decision::Fault;
use doorward_core::identity::IdentityFault;
use doorward_core::issuers::KeysFault;
use doorward_core::policy::PolicyFault;
use doorward_core::request::RequestFault;
use doorward_core::rules::RuleFault;
use doorward_core::status::StatusFault;
use doorward_core::token::{OtherKind, TokenFault, TokenKind};

use super::steps::Evidence;
use super::words::span;
use crate::advice;
use crate::product::Product;

impl Evidence<'_> {
    pub(super) fn remedy(&self, fault: Fault) -> String {
        if self.token.is_for_microsoft_graph() {
            return advice::token::MICROSOFT_GRAPH.to_owned();
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
                RequestFault::BehalfSent => "send no `X-NMP-Principal-On-Behalf-Of` headers",
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
            Fault::Status(fault) => match fault {
                StatusFault::Inactive => "get a new token: this one does not count any more",
                StatusFault::NoAnswer => {
                    "make `introspection.endpoint`, or `access_keys.status_url`, answer Doorward; \
                     the log of the server says what went wrong"
                }
                StatusFault::StillUnderWay => {
                    "try again; if it persists, whoever is asked about tokens is slow"
                }
                StatusFault::Crowded => {
                    "try again; if it persists, look for a client that sends tokens that nobody has \
                     issued"
                }
                StatusFault::AboutAnother => {
                    "let `introspection.endpoint`, or `access_keys.status_url`, answer on the token \
                     that it is sent: a cache on the way must not"
                }
                StatusFault::Circular => {
                    "set `access_keys.status_url` to the platform's own address, not to the gateway \
                     that asks Doorward"
                }
            },
            Fault::Identity(fault) => match fault {
                IdentityFault::SubjectMissing => {
                    return advice::claims::SUBJECT
                        .for_client(self.product(), &self.registered_client());
                }
                IdentityFault::SubjectUnfit if self.subject_is_no_string() => {
                    return self.subject_remedy();
                }
                IdentityFault::SubjectUnfit => {
                    "set `subject_claim` to a claim with a simpler value (an id, not a display \
                     name), or set `headers.profile: plain` if the upstream accepts visible ASCII"
                }
                IdentityFault::SubjectAddress(fault) => {
                    return format!(
                        "{}; or set `subject_claim` to a claim that is not an address (an id)",
                        advice::claims::address(self.product(), fault)
                    );
                }
                IdentityFault::SubjectReserved | IdentityFault::EmailReserved => {
                    "the platform reserves `*` and `service:…`: rename the user, or set a \
                     `subject_prefix` for this issuer"
                }
                IdentityFault::ActorUnfit => {
                    "have the provider write in `act.sub` who acts: a string of characters that \
                     `headers.profile` allows"
                }
                IdentityFault::ActorReserved => {
                    "the platform reserves `*` and `service:…`: no token may act as one of its \
                     services"
                }
                IdentityFault::TenantMissing => {
                    "remove `{tid}` from `subject_prefix` and `groups_prefix`, or use tokens that \
                     have a `tid`"
                }
            },
            Fault::Policy(fault) => policy(fault),
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
                RuleFault::ClosedRoute => {
                    "this path is closed to everyone; to open it, remove `deny` from its entry in \
                     `rules.routes`, or put a route in front of it"
                }
                RuleFault::AmbiguousPath | RuleFault::AmbiguousRoute => {
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
                RuleFault::BehalfNotPassed => {
                    "have the gateway let the on-behalf-of headers through, and say so \
                     (docs/introspection.md)"
                }
                RuleFault::PolicyHeadersNotPassed => {
                    "have the gateway let the headers of the policy through, and say so (docs/policy.md)"
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
        let (product, client) = (self.product(), self.registered_client());
        if self.token.of_google && super::Check::of(Fault::Token(fault)) == super::Check::Form {
            return advice::token::OPAQUE.of(product).to_owned();
        }
        let remedy = match fault {
            TokenFault::TooLong => {
                "have the provider put less into the token (groups?), or raise \
                 `token.max_token_bytes`; Envoy's own limit on headers is 60 KiB"
            }
            TokenFault::HeaderNotAnObject if self.token.lacks_algorithm() => {
                return advice::keys::CLIENT_ALGORITHM.for_client(product, &client);
            }
            TokenFault::NotThreeParts if self.token.parts == 5 => {
                return advice::token::ENCRYPTED.of(product).to_owned();
            }
            TokenFault::NotThreeParts if self.token.parts < 3 => {
                return advice::token::OPAQUE.of(product).to_owned();
            }
            TokenFault::NotThreeParts
            | TokenFault::NotBase64Url
            | TokenFault::HeaderNotAnObject
            | TokenFault::ClaimsNotAnObject
            | TokenFault::NestedTooDeep => {
                "copy the whole token, without line breaks or quotes: it was truncated, or changed in \
                 transit"
            }
            TokenFault::Unsigned => {
                return format!(
                    "{}; `auth.allow_unsigned_jwt: true` accepts unsigned tokens, on loopback only",
                    advice::keys::CLIENT_ALGORITHM.for_client(product, &client)
                );
            }
            TokenFault::UnknownAlgorithm => {
                return advice::keys::CLIENT_ALGORITHM.for_client(product, &client);
            }
            TokenFault::Critical => "have the provider issue plain JWTs (RFC 9068), without `crit`",
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
            TokenFault::NoSuchKey if product == Product::EntraId => {
                "is the token from another tenant? The issuer was asked again just now; with custom \
                 signing keys set `discovery_url` with ?appid=<client-id>"
            }
            TokenFault::NoSuchKey => {
                "is the token from another realm, environment or key of this provider? The issuer \
                 was asked again just now"
            }
            TokenFault::BadSignature => {
                "the token was changed, or signed by somebody else: get a new one"
            }
            TokenFault::AnotherKind(OtherKind::Refresh | OtherKind::Offline) => {
                "send access_token, and never send refresh_token, which is for the provider's token \
                 endpoint alone"
            }
            TokenFault::AnotherKind(OtherKind::Logout | OtherKind::Event) => {
                "send access_token: this token tells a client what has happened to a session or a user"
            }
            TokenFault::AnotherKind(OtherKind::Unnamed) => "send access_token, and nothing else",
            TokenFault::AnotherKind(OtherKind::Id) | TokenFault::LikeIdToken(_) => {
                return advice::token::ID_TOKEN.of(product).to_owned();
            }
            TokenFault::BoundToKey => {
                "have the provider issue this client plain bearer tokens (without DPoP or \
                 certificates); where something in front checks the binding, `bound_tokens: ignore`"
            }
            TokenFault::WrongUse => {
                "send this token where it is meant to go, or switch on what it needs: \
                 `auth.access_keys.enabled` for access keys, \
                 `auth.oidc.workload_token_exchange_enabled` for workloads' tokens"
            }
            TokenFault::ClaimMissing(_) | TokenFault::NotAKeyId => {
                "get a new token from the platform: all of its own have these claims"
            }
            TokenFault::ExpiryBeyondReason
            | TokenFault::NotYetValid
            | TokenFault::IssuedInFuture
                if self.in_milliseconds().is_some() =>
            {
                "have the provider write dates in seconds (RFC 7519 §2): these look like \
                 milliseconds"
            }
            TokenFault::ExpiryBeyondReason => {
                "have the provider send a realistic exp, in seconds since 1970"
            }
            TokenFault::LivesTooLong => {
                "have the provider issue shorter-lived tokens, or raise `max_lifetime`"
            }
            TokenFault::NoExpiry => {
                "have the provider send exp: a token that never expires cannot be revoked"
            }
            TokenFault::Expired => "get a new token (`doorward auth refresh`)",
            TokenFault::BadTime => "have the provider write dates as numbers (RFC 7519 §2)",
            TokenFault::NotYetValid | TokenFault::IssuedInFuture => {
                "compare the clocks of the provider and of this machine (`clock_skew` of `doorward \
                 doctor`; timedatectl, chronyc tracking)"
            }
            TokenFault::WrongAudience => return self.audience_remedy(),
            TokenFault::WrongClient => {
                "log in with one of those clients, or add this one to `allowed_clients` if it should be \
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
        if let TokenKind::LikeId(name) = self.token.kind() {
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

fn policy(fault: PolicyFault) -> &'static str {
    match fault {
        PolicyFault::Denied => {
            "give the principal, or one of its groups, what the policy asks for here, or change the \
             policy"
        }
        PolicyFault::AmbiguousPath => {
            "send the path in its plain form: no `//`, dot segments, or escapes of letters and digits"
        }
        PolicyFault::NotLoaded => {
            "make `policy.files` or `policy.bundle` a policy that loads; the log says what is wrong"
        }
        PolicyFault::NoAnswer => {
            "make `policy.opa.url` answer Doorward; the log says what went wrong"
        }
        PolicyFault::TookTooLong => {
            "make the policy do less for a request, or raise `policy.timeout`"
        }
        PolicyFault::Failed => "correct the policy; the log says where it failed",
        PolicyFault::Undefined => {
            "give what `policy.query` names a default (`default allow := false`), and look whether the \
             policy engine has loaded the policy"
        }
        PolicyFault::NotAVerdict | PolicyFault::UnfitVerdict => {
            "have the policy answer `true`, `false`, or an object with `allowed` (docs/policy.md)"
        }
        PolicyFault::Crowded => "try again; if it persists, the policy engine is slow",
    }
}

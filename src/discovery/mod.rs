//! What issuers publish: OpenID Connect metadata and key sets, by HTTP, file or inline.
//!
//! The only user of the HTTP client. It hands documents to `keys`, and to `policy` bundles and what an
//! OPA answers. It never sees more of a request than a token that somebody has to be asked about, or
//! a question that `policy` has put together.
//!
//! | file | holds |
//! |---|---|
//! | `location` | where keys are, how to get there, how often: values of the configuration |
//! | `issuer_keys` | [`IssuerKeys`], what requests see of one issuer |
//! | `refresher` | the task that obtains what is published and keeps it fresh |
//! | `jwks_fetcher`, `issuer_metadata` | what it obtains: the key set; the discovery document, the last good one at hand |
//! | `refetch_limiter`, `cool_down` | who may make that task fetch, and when |
//! | `emptied` | whether a key set without usable keys is believed |
//! | `schedule`, `freshness` | when it fetches by itself |
//! | `introspector`, `introspection` | whether a token is active: who may ask, and how |
//! | `left_out` | published keys that are not used |
//! | `http`, `url_policy` | the HTTP client, and which URL may lead to which |
//! | `obtain_error`, `fetch_error`, `obstacle` | why nothing was obtained, why no document came, and by kind what stood in the way |
//! | `trust`, `bearer` | whom it trusts over TLS, and the token that some want to see |
//! | `post` | the same client, sending a form: what logging in needs |
//! | `metadata` | what a discovery document says |
//! | `carrier` | documents that another program fetches, through its clusters |
//! | `cache_file` | the last good document on disk |

mod answering;
mod bearer;
mod cache_file;
mod carrier;
mod cool_down;
mod emptied;
mod fetch_error;
mod freshness;
mod http;
mod introspection;
mod introspector;
mod issuer_keys;
mod issuer_metadata;
mod jwks_fetcher;
mod left_out;
mod location;
mod metadata;
mod no_proxy;
mod obstacle;
mod obtain_error;
mod post;
mod refetch_limiter;
mod refresher;
mod schedule;
mod trust;
mod url_policy;

#[cfg(test)]
mod tests;

pub use self::answering::answer_all;
pub use self::bearer::{BearerError, KeyBearer};
pub(crate) use self::cache_file::CacheFile;
pub use self::carrier::{Answer, Call, Carrier, CarrierFault, Cluster};
pub use self::emptied::EmptySet;
pub use self::fetch_error::{FetchError, FetchErrorKind};
pub use self::freshness::Freshness;
pub use self::http::{Document, HttpFetcher, MAX_DOCUMENT_BYTES};
pub(crate) use self::http::{bare, shown};
pub use self::introspection::{ClientCredentials, Protocol};
pub use self::introspector::{IntrospectionSpec, Introspector, QuestionCounts};
pub use self::issuer_keys::{IssuerKeys, IssuerStatus};
pub use self::issuer_metadata::{IssuerMetadata, MetadataSpec};
pub use self::jwks_fetcher::keys_of;
pub use self::location::{Access, ClientCertFiles, FetchPolicy, KeyLocation, KeysSpec};
pub use self::metadata::{Metadata, MetadataError, well_known_url};
pub use self::obstacle::Obstacle;
pub use self::obtain_error::ObtainError;
pub use self::post::Reply;
pub use self::refresher::FetchCounts;
pub(crate) use self::schedule::{Bounds, Schedule};
pub use self::trust::{BadCertificate, CaFile, ClientCert, SetupError};
pub use self::url_policy::{RefusedUrl, may_lead};

//! What issuers publish: OpenID Connect metadata and key sets, by HTTP, file or inline.
//!
//! The only user of the HTTP client. It hands documents to `keys` and never sees a
//! request.

//!
//! | file | holds |
//! |---|---|
//! | `location` | where keys are, how to get there, how often: values of the configuration |
//! | `issuer_keys` | [`IssuerKeys`], what requests see of one issuer |
//! | `refresher` | the task behind it |
//! | `gate`, `limiter` | who may make that task fetch, and when |
//! | `emptied` | whether a key set without usable keys is believed |
//! | `schedule`, `freshness` | when it fetches by itself |
//! | `origin` | one attempt: location → document → key set |
//! | `http`, `hop` | the HTTP client, and which URL may lead to which |
//! | `fetch_error`, `obstacle` | why no document came, and by kind what stood in the way |
//! | `trust`, `bearer` | whom it trusts over TLS, and the token that some want to see |
//! | `post` | the same client, sending a form: what logging in needs |
//! | `metadata`, `issuer_metadata` | the discovery document, and the last good one at hand |
//! | `cache_file` | the last good document on disk |
//! | `regular_file` | how files are read that may be anything |

mod bearer;
mod cache_file;
mod emptied;
mod fetch_error;
mod freshness;
mod gate;
mod hop;
mod http;
mod issuer_keys;
mod issuer_metadata;
mod limiter;
mod location;
mod metadata;
mod no_proxy;
mod obstacle;
mod origin;
mod post;
mod refresher;
mod regular_file;
mod schedule;
mod trust;

#[cfg(test)]
mod tests;

pub use self::bearer::{BearerError, KeyBearer};
pub use self::emptied::EmptySet;
pub use self::fetch_error::{FetchError, FetchErrorKind};
pub use self::freshness::Freshness;
pub use self::hop::{Astray, may_lead};
pub use self::http::{Document, HttpFetcher, MAX_DOCUMENT_BYTES};
pub use self::issuer_keys::{FetchCounts, IssuerKeys, IssuerStatus};
pub use self::issuer_metadata::{IssuerMetadata, MetadataSpec, Published};
pub use self::location::{Access, FetchPolicy, KeyLocation, KeysSpec};
pub use self::metadata::{Metadata, MetadataError, well_known_url};
pub use self::obstacle::Obstacle;
pub use self::origin::{ObtainError, discover};
pub use self::post::Reply;
pub use self::refresher::keys_of;
pub use self::regular_file::{is_ours_alone, read_file};
pub use self::trust::{BadCertificate, CaFile, SetupError};

//! What issuers publish: OpenID Connect metadata and key sets, by HTTP, file or inline.
//!
//! The only user of the HTTP client. It hands documents to `keys` and never sees a
//! request.

mod freshness;
mod gate;
mod hop;
mod http;
mod location;
mod metadata;
mod schedule;

pub use self::freshness::Freshness;
pub use self::hop::Astray;
pub use self::http::{Document, FetchError, FetchErrorKind, HttpFetcher, SetupError};
pub use self::location::{Access, FetchPolicy, KeyLocation};
pub use self::metadata::{Metadata, MetadataError, well_known_url};

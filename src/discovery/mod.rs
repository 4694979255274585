//! What issuers publish: OpenID Connect metadata and key sets, by HTTP, file or inline.
//!
//! The only user of the HTTP client. It hands documents to `keys` and never sees a
//! request.

mod location;

pub use self::location::{Access, FetchPolicy, KeyLocation};

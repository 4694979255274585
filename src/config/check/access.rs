//! How an issuer is reached: proxy, certificates, the token it wants to see, plain http.

use url::Url;

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::super::warning::Warning;
use super::{Checker, values};
use crate::discovery::{Access, KeyBearer, KeyLocation};
use crate::loopback::is_loopback;

/// How `issuer` is reached. `document` is where its endpoints are looked up, when anybody
/// asks for them.
pub(super) fn check(
    c: &mut Checker,
    section: &KeyPath,
    issuer: &raw::Issuer,
    keys: Option<&KeyLocation>,
    document: Option<&Url>,
) -> Option<Access> {
    let proxy = issuer.proxy.as_deref().map(values::proxy);
    let proxy = c.keep_given(&section.join("proxy"), proxy);
    let ca_file = issuer.ca_file.as_deref().map(values::ca_file);
    let ca_file = c.keep_given(&section.join("ca_file"), ca_file);
    let keys = match keys {
        Some(KeyLocation::Discovery(url) | KeyLocation::JwksUri(url)) => Some(url),
        Some(KeyLocation::File(_) | KeyLocation::Inline(_) | KeyLocation::Borrowed) | None => None,
    };
    let named = || keys.into_iter().chain(document);
    let plain = named().find(|url| is_plain(url));
    let key = section.join("key_bearer_file");
    let bearer = issuer.key_bearer_file.as_deref().map(|file| {
        if let Some(url) = plain {
            let to = url.origin().ascii_serialization();
            return Err(BadValue::BearerInTheClear { to: to.into() });
        }
        KeyBearer::check(file)?;
        Ok(KeyBearer::new(file.to_owned(), named()))
    });
    let key_bearer = c.keep_given(&key, bearer);
    if let Some(url) = plain {
        warn_of_plain_http(c, section, url);
    }
    Some(Access { proxy: proxy?, ca_file: ca_file?, key_bearer: key_bearer?, ..Access::default() })
}

/// Says what `allow_http` means, where it means something.
pub(super) fn warn_of_plain_http(c: &mut Checker, section: &KeyPath, url: &Url) {
    if is_plain(url) {
        let key = section.join("allow_http").to_string();
        c.warnings.push(Warning::PlainHttp { key, url: url.as_str().into() });
    }
}

fn is_plain(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

//! What matters of a `CheckRequest`, borrowed straight from its bytes.
//!
//! This walks over the fields that are read without building messages: a check has some 28 headers,
//! and a reference-counted slice for each name and value costs more than the rest of a cached
//! decision. `tests/wire.rs` holds the reading against Envoy's own types.

use doorward_core::request::{HeaderView, RequestView, RouteView};
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use smallvec::SmallVec;

/// Room for the headers of most requests without an allocation.
pub type Headers<'a> = SmallVec<[HeaderView<'a>; 40]>;

/// The message of a request, ready to make a [`RequestView`] of. What is missing is empty.
#[derive(Default)]
pub struct CheckMessage<'a> {
    /// `http.method`.
    pub method: &'a [u8],
    /// `http.path`: query included, not decoded.
    pub path: &'a [u8],
    /// `http.host`: `:authority`, or `Host`.
    pub host: &'a [u8],
    /// `http.headers`, and those of `http.header_map`.
    pub headers: Headers<'a>,
    /// What `context_extensions` say to Doorward.
    pub route: RouteView<'a>,
}

/// Field numbers of `envoy.service.auth.v3.CheckRequest` and what is in it.
mod field {
    pub(super) const REQUEST_ATTRIBUTES: u32 = 1;
    pub(super) const ATTRIBUTES_REQUEST: u32 = 4;
    pub(super) const ATTRIBUTES_CONTEXT_EXTENSIONS: u32 = 10;
    pub(super) const REQUEST_HTTP: u32 = 2;
    pub(super) const HTTP_METHOD: u32 = 2;
    pub(super) const HTTP_HEADERS: u32 = 3;
    pub(super) const HTTP_PATH: u32 = 4;
    pub(super) const HTTP_HOST: u32 = 5;
    pub(super) const HTTP_HEADER_MAP: u32 = 13;
    pub(super) const HEADER_MAP_HEADERS: u32 = 1;
    pub(super) const ENTRY_KEY: u32 = 1;
    pub(super) const ENTRY_VALUE: u32 = 2;
    pub(super) const ENTRY_RAW_VALUE: u32 = 3;
}

impl<'a> CheckMessage<'a> {
    /// Reads an encoded `CheckRequest` into message that are empty so far: they are large, and
    /// so are not moved. Envoy fills either `headers` or, with `encode_raw_headers`,
    /// `header_map`: both are read.
    ///
    /// # Errors
    /// The bytes are not such a message; the message are empty then.
    pub fn read(&mut self, message: &'a [u8]) -> Result<(), Malformed> {
        let read =
            each_field(message, &[field::REQUEST_ATTRIBUTES], |number, attributes| match number {
                field::REQUEST_ATTRIBUTES => self.read_attributes(attributes),
                _ => Ok(()),
            });
        read.inspect_err(|_| *self = Self::default())
    }

    /// The request, as the authorizer sees it.
    #[must_use]
    pub fn view(&self) -> RequestView<'_> {
        RequestView {
            method: self.method,
            path: self.path,
            authority: self.host,
            headers: &self.headers,
            route: self.route,
        }
    }

    fn read_attributes(&mut self, attributes: &'a [u8]) -> Result<(), Malformed> {
        use field::{ATTRIBUTES_CONTEXT_EXTENSIONS, ATTRIBUTES_REQUEST};
        let known = [ATTRIBUTES_REQUEST, ATTRIBUTES_CONTEXT_EXTENSIONS];
        each_field(attributes, &known, |number, value| {
            match number {
                ATTRIBUTES_REQUEST => {
                    each_field(value, &[field::REQUEST_HTTP], |number, http| match number {
                        field::REQUEST_HTTP => self.read_http(http),
                        _ => Ok(()),
                    })?;
                }
                ATTRIBUTES_CONTEXT_EXTENSIONS => {
                    let entry = Entry::read(value)?;
                    self.route.note(entry.key, entry.value);
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn read_http(&mut self, http: &'a [u8]) -> Result<(), Malformed> {
        use field::{HTTP_HEADER_MAP, HTTP_HEADERS, HTTP_HOST, HTTP_METHOD, HTTP_PATH};
        let known = [HTTP_METHOD, HTTP_HEADERS, HTTP_PATH, HTTP_HOST, HTTP_HEADER_MAP];
        each_field(http, &known, |number, value| {
            match number {
                HTTP_METHOD => self.method = value,
                HTTP_PATH => self.path = value,
                HTTP_HOST => self.host = value,
                HTTP_HEADERS => self.headers.push(Entry::read(value)?.header()),
                HTTP_HEADER_MAP => {
                    each_field(value, &[field::HEADER_MAP_HEADERS], |number, header| {
                        if number == field::HEADER_MAP_HEADERS {
                            self.headers.push(Entry::read(header)?.header());
                        }
                        Ok(())
                    })?;
                }
                _ => {}
            }
            Ok(())
        })
    }
}

/// An entry of a map, or a `HeaderValue`.
#[derive(Default)]
struct Entry<'a> {
    key: &'a [u8],
    value: &'a [u8],
    raw_value: &'a [u8],
}

impl<'a> Entry<'a> {
    #[inline]
    fn read(entry: &'a [u8]) -> Result<Self, Malformed> {
        use field::{ENTRY_KEY, ENTRY_RAW_VALUE, ENTRY_VALUE};
        let mut read = Self::default();
        each_field(entry, &[ENTRY_KEY, ENTRY_VALUE, ENTRY_RAW_VALUE], |number, value| {
            match number {
                ENTRY_KEY => read.key = value,
                ENTRY_VALUE => read.value = value,
                ENTRY_RAW_VALUE => read.raw_value = value,
                _ => {}
            }
            Ok(())
        })?;
        Ok(read)
    }

    fn header(self) -> HeaderView<'a> {
        let value = if self.value.is_empty() { self.raw_value } else { self.value };
        HeaderView { name: self.key, value }
    }
}

/// Calls `visit` for each length-delimited field of `message`, and skips the others. A
/// message field that comes twice is visited twice, which merges the two as Protocol
/// Buffers want it. `known` are the fields of ours, all of them length-delimited: with
/// another type, this is some other message.
#[inline]
fn each_field<'a>(
    mut message: &'a [u8],
    known: &[u32],
    mut visit: impl FnMut(u32, &'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    while !message.is_empty() {
        let (number, value) = if let Some((number, start, length)) = short_head(message) {
            let end = start + length;
            let value = message.get(start..end).ok_or(Malformed)?;
            message = message.get(end..).unwrap_or_default();
            (number, value)
        } else if let Some(field) = any_field(&mut message, known)? {
            field
        } else {
            continue;
        };
        visit(number, value)?;
    }
    Ok(())
}

/// The number of the first field, where its content starts and how long that is: if it is
/// length-delimited, its number is below 16 and the length below 2 to the 14th. In a check
/// all but a few of some 90 fields are.
#[inline]
fn short_head(message: &[u8]) -> Option<(u32, usize, usize)> {
    const MORE: u8 = 0x80;
    let (key, low) = (*message.first()?, *message.get(1)?);
    let number = u32::from(key >> 3);
    if key & (MORE | 7) != WireType::LengthDelimited as u8 || number == 0 {
        return None;
    }
    if low & MORE == 0 {
        return Some((number, 2, low.into()));
    }
    let high = *message.get(2)?;
    (high & MORE == 0).then(|| (number, 3, usize::from(low & !MORE) | usize::from(high) << 7))
}

/// Takes the first field off, whatever it is; `None` when it is not length-delimited.
#[cold]
fn any_field<'a>(
    message: &mut &'a [u8],
    known: &[u32],
) -> Result<Option<(u32, &'a [u8])>, Malformed> {
    let (number, wire_type) = decode_key(message).map_err(|_| Malformed)?;
    if wire_type == WireType::LengthDelimited {
        let length = decode_varint(message).map_err(|_| Malformed)?;
        let length = usize::try_from(length).map_err(|_| Malformed)?;
        let (value, rest) = message.split_at_checked(length).ok_or(Malformed)?;
        *message = rest;
        return Ok(Some((number, value)));
    }
    if known.contains(&number) {
        return Err(Malformed);
    }
    let skipped = skip_field(wire_type, number, message, DecodeContext::default());
    skipped.map(|()| None).map_err(|_| Malformed)
}

/// The bytes are not a `CheckRequest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

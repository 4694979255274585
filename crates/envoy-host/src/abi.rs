//! The types of the ABI, and how what a module has in memory is read.
//!
//! Envoy's `source/extensions/dynamic_modules/abi/abi.h` says what each means.

use std::ffi::c_void;

use crate::registry::violation;

#[cfg(not(feature = "stand-in"))]
mod types {
    /// `envoy_dynamic_module_type_{envoy,module}_buffer`.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub(crate) struct Buffer {
        pub(super) ptr: *const u8,
        pub(super) length: usize,
    }

    /// `envoy_dynamic_module_type_{envoy,module}_http_header`, and `…_module_key_value_pair`.
    #[repr(C)]
    #[derive(Clone, Copy)]
    pub(crate) struct Pair {
        pub(crate) key: Buffer,
        pub(crate) value: Buffer,
    }
}

/// Miri lets no type of one side be taken for one of the other, were it laid out alike.
#[cfg(feature = "stand-in")]
use crate::module_abi as types;
pub(crate) use types::{Buffer, Pair};

/// Envoy's side of a stream, a configuration or a scheduler. Never an address.
pub(crate) type Handle = *mut c_void;
/// The module's side of one.
pub(crate) type Inside = *const c_void;

/// What a module gave for a configuration, a route or a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModulePointer(pub(crate) Inside);

// SAFETY: this host only hands it back to the module, on the threads that Envoy would do it on.
unsafe impl Send for ModulePointer {}
// SAFETY: as above; nothing is read through it here.
unsafe impl Sync for ModulePointer {}

impl Buffer {
    pub(crate) fn nothing() -> Self {
        Self { ptr: std::ptr::null(), length: 0 }
    }

    pub(crate) fn lent((ptr, length): (*const u8, usize)) -> Self {
        Self { ptr, length }
    }

    /// A copy of what the module has there; `None` for its null.
    ///
    /// # Safety
    /// It is null, or so many bytes of the module's that are initialized and nobody writes to.
    pub(crate) unsafe fn read(self) -> Option<Vec<u8>> {
        if self.ptr.is_null() {
            return None;
        }
        // SAFETY: as the caller says.
        Some(unsafe { std::slice::from_raw_parts(self.ptr, self.length) }.to_vec())
    }

    /// The same as text.
    ///
    /// # Safety
    /// As of [`read`](Self::read).
    pub(crate) unsafe fn text(self) -> String {
        // SAFETY: as the caller says.
        let bytes = unsafe { self.read() }.unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_else(|error| {
            violation::<()>(format!("{:?} is no UTF-8", error.as_bytes()));
            String::new()
        })
    }
}

/// Reads `count` of something of the module's.
///
/// # Safety
/// There are so many, initialized, and nobody writes to them; `first` may be null for none.
pub(crate) unsafe fn several<T: Copy>(first: *const T, count: usize) -> Vec<T> {
    if count == 0 {
        return Vec::new();
    }
    // SAFETY: as the caller says.
    unsafe { std::slice::from_raw_parts(first, count) }.to_vec()
}

/// # Safety
/// As of [`several`], and of [`Buffer::read`] for each.
pub(crate) unsafe fn texts(first: *const Buffer, count: usize) -> Vec<String> {
    // SAFETY: as the caller says.
    unsafe { several(first, count) }.into_iter().map(|text| unsafe { text.text() }).collect()
}

/// # Safety
/// As of [`several`], and of [`Buffer::read`] for both of each.
pub(crate) unsafe fn pairs(first: *const Pair, count: usize) -> Vec<(String, String)> {
    // SAFETY: as the caller says.
    let pairs = unsafe { several(first, count) };
    // SAFETY: as the caller says.
    pairs.into_iter().map(|pair| unsafe { (pair.key.text(), pair.value.text()) }).collect()
}

/// As the module has it.
pub(crate) fn handle(number: usize) -> Handle {
    std::ptr::without_provenance_mut(number)
}

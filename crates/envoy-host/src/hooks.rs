//! The hooks that a module exports, each as a safe function.

use std::ffi::CStr;
use std::sync::OnceLock;

use crate::abi::{Buffer, Inside, ModulePointer, Pair, handle};
use crate::config::Called;
use crate::headers::Loans;
use crate::registry::violation;

/// The version that this host is for.
const VERSION: &str = "v0.2.0";

/// `envoy_dynamic_module_type_on_http_filter_request_headers_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Iteration {
    Continue,
    Stop,
    ContinueWithoutEnd,
    StopAllAndBuffer,
    StopAllAndWatermark,
    Unknown,
}

mod of_module {
    use std::ffi::c_char;

    use crate::abi::{Buffer, Handle, Inside, Pair};

    unsafe extern "C" {
        pub(super) fn envoy_dynamic_module_on_program_init() -> *const c_char;
        pub(super) fn envoy_dynamic_module_on_http_filter_config_new(
            config: Handle,
            name: Buffer,
            text: Buffer,
        ) -> Inside;
        pub(super) fn envoy_dynamic_module_on_http_filter_config_destroy(config: Inside);
        pub(super) fn envoy_dynamic_module_on_http_filter_config_scheduled(
            handle: Handle,
            config: Inside,
            event: u64,
        );
        pub(super) fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
            handle: Handle,
            config: Inside,
            call: u64,
            result: u32,
            headers: *const Pair,
            header_count: usize,
            chunks: *const Buffer,
            chunk_count: usize,
        );
        pub(super) fn envoy_dynamic_module_on_http_filter_per_route_config_new(
            name: Buffer,
            text: Buffer,
        ) -> Inside;
        pub(super) fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(route: Inside);
        pub(super) fn envoy_dynamic_module_on_http_filter_new(
            config: Inside,
            filter: Handle,
        ) -> Inside;
        pub(super) fn envoy_dynamic_module_on_http_filter_request_headers(
            handle: Handle,
            filter: Inside,
            is_end: bool,
        ) -> u32;
        pub(super) fn envoy_dynamic_module_on_http_filter_request_body(
            handle: Handle,
            filter: Inside,
            is_end: bool,
        ) -> u32;
        pub(super) fn envoy_dynamic_module_on_http_filter_response_headers(
            handle: Handle,
            filter: Inside,
            is_end: bool,
        ) -> u32;
        pub(super) fn envoy_dynamic_module_on_http_filter_response_body(
            handle: Handle,
            filter: Inside,
            is_end: bool,
        ) -> u32;
        pub(super) fn envoy_dynamic_module_on_http_filter_scheduled(
            handle: Handle,
            filter: Inside,
            event: u64,
        );
        pub(super) fn envoy_dynamic_module_on_http_filter_stream_complete(
            handle: Handle,
            filter: Inside,
        );
        pub(super) fn envoy_dynamic_module_on_http_filter_destroy(filter: Inside);
    }
}

fn some(pointer: Inside) -> Option<ModulePointer> {
    (!pointer.is_null()).then_some(ModulePointer(pointer))
}

/// What the module says of itself when it is loaded: once in a process.
fn check_version() {
    static INIT: OnceLock<()> = OnceLock::new();
    INIT.get_or_init(|| {
        // SAFETY: the hook takes nothing.
        let version = unsafe { of_module::envoy_dynamic_module_on_program_init() };
        if version.is_null() {
            violation::<()>("the module does not want to be loaded".to_owned());
            return;
        }
        // SAFETY: the ABI has it a string that ends with NUL, valid until the hook has returned
        // and, by what all SDKs do, for ever.
        let version = unsafe { CStr::from_ptr(version) }.to_string_lossy();
        if version != VERSION {
            violation::<()>(format!("the module is for the ABI {version:?}"));
        }
    });
}

pub(crate) fn config_new(number: usize, name: &str, text: &[u8]) -> Option<ModulePointer> {
    check_version();
    let mut loans = Loans::default();
    let name = Buffer::lent(loans.lend(name.as_bytes()));
    let text = Buffer::lent(loans.lend(text));
    // SAFETY: both are lent until `loans` is dropped, after the hook.
    some(unsafe {
        of_module::envoy_dynamic_module_on_http_filter_config_new(handle(number), name, text)
    })
}

pub(crate) fn config_destroy(config: ModulePointer) {
    // SAFETY: what the module made, and nobody uses any more.
    unsafe { of_module::envoy_dynamic_module_on_http_filter_config_destroy(config.0) }
}

pub(crate) fn config_scheduled(number: usize, config: ModulePointer, event: u64) {
    let handle = handle(number);
    // SAFETY: both belong together, and are in force.
    unsafe {
        of_module::envoy_dynamic_module_on_http_filter_config_scheduled(handle, config.0, event);
    }
}

pub(crate) fn config_callout_done(
    number: usize,
    config: ModulePointer,
    call: u64,
    answer: Option<&Called>,
) {
    const SUCCESS: u32 = 0;
    const RESET: u32 = 1;
    let mut loans = Loans::default();
    let mut lent = |bytes: &[u8]| Buffer::lent(loans.lend(bytes));
    let headers: Vec<Pair> = answer
        .iter()
        .flat_map(|answer| &answer.headers)
        .map(|(key, value)| Pair { key: lent(key.as_bytes()), value: lent(value.as_bytes()) })
        .collect();
    let chunks = answer.iter().flat_map(|answer| &answer.chunks);
    let chunks: Vec<Buffer> = chunks.map(|chunk| lent(chunk)).collect();
    let result = if answer.is_some() { SUCCESS } else { RESET };
    // Envoy has null for what is not there.
    let first = |is_empty: bool| if is_empty { std::ptr::null() } else { headers.as_ptr() };
    let first_chunk = if chunks.is_empty() { std::ptr::null() } else { chunks.as_ptr() };
    // SAFETY: the vectors and what they point to live until the hook has returned.
    unsafe {
        of_module::envoy_dynamic_module_on_http_filter_config_http_callout_done(
            handle(number),
            config.0,
            call,
            result,
            first(headers.is_empty()),
            headers.len(),
            first_chunk,
            chunks.len(),
        );
    }
}

pub(crate) fn route_new(name: &str, text: &[u8]) -> Option<ModulePointer> {
    check_version();
    let mut loans = Loans::default();
    let name = Buffer::lent(loans.lend(name.as_bytes()));
    let text = Buffer::lent(loans.lend(text));
    // SAFETY: both are lent until `loans` is dropped, after the hook.
    some(unsafe { of_module::envoy_dynamic_module_on_http_filter_per_route_config_new(name, text) })
}

pub(crate) fn route_destroy(route: ModulePointer) {
    // SAFETY: what the module made, and nobody uses any more.
    unsafe { of_module::envoy_dynamic_module_on_http_filter_per_route_config_destroy(route.0) }
}

pub(crate) fn filter_new(config: ModulePointer, number: usize) -> Option<ModulePointer> {
    // SAFETY: the configuration is in force.
    some(unsafe { of_module::envoy_dynamic_module_on_http_filter_new(config.0, handle(number)) })
}

pub(crate) fn request_headers(number: usize, filter: ModulePointer, is_end: bool) -> Iteration {
    let handle = handle(number);
    // SAFETY: both belong together, and the stream is under way.
    match unsafe {
        of_module::envoy_dynamic_module_on_http_filter_request_headers(handle, filter.0, is_end)
    } {
        0 => Iteration::Continue,
        1 => Iteration::Stop,
        2 => Iteration::ContinueWithoutEnd,
        3 => Iteration::StopAllAndBuffer,
        4 => Iteration::StopAllAndWatermark,
        _ => Iteration::Unknown,
    }
}

/// Whether the body may pass.
pub(crate) fn request_body(number: usize, filter: ModulePointer, is_end: bool) -> bool {
    let handle = handle(number);
    // SAFETY: both belong together, and the stream is under way.
    unsafe {
        of_module::envoy_dynamic_module_on_http_filter_request_body(handle, filter.0, is_end) == 0
    }
}

/// Shows the module an answer on its way. Whether headers and body may pass.
pub(crate) fn response(number: usize, filter: ModulePointer) -> bool {
    let handle = handle(number);
    // SAFETY: both belong together, and the stream is under way.
    unsafe {
        of_module::envoy_dynamic_module_on_http_filter_response_headers(handle, filter.0, false)
            == 0
            && of_module::envoy_dynamic_module_on_http_filter_response_body(handle, filter.0, true)
                == 0
    }
}

pub(crate) fn scheduled(number: usize, filter: ModulePointer, event: u64) {
    let handle = handle(number);
    // SAFETY: both belong together, and the stream is under way.
    unsafe { of_module::envoy_dynamic_module_on_http_filter_scheduled(handle, filter.0, event) }
}

pub(crate) fn stream_complete(number: usize, filter: ModulePointer) {
    // SAFETY: both belong together, and the stream is still there.
    unsafe {
        of_module::envoy_dynamic_module_on_http_filter_stream_complete(handle(number), filter.0)
    }
}

pub(crate) fn filter_destroy(filter: ModulePointer) {
    // SAFETY: what the module made, and nobody uses any more.
    unsafe { of_module::envoy_dynamic_module_on_http_filter_destroy(filter.0) }
}

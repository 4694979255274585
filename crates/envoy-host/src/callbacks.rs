//! The callbacks that a module finds in Envoy; what is behind each is safe code beside this.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::abi::{Buffer, Handle, Inside, Pair, handle, pairs};
use crate::config::{Call, ConfigPeer};
use crate::hooks::response;
use crate::main_thread::MainThread;
use crate::registry::{self, Peer, enter, leave, violation};
use crate::stream::{Response, StreamPeer, Value};

/// `envoy_dynamic_module_type_http_header_type_RequestHeader`; a filter for requests needs no other.
const REQUEST_HEADERS: u32 = 0;

thread_local! {
    static IS_VALIDATION: Cell<bool> = const { Cell::new(false) };
}

/// Whether configurations on this thread are looked at only.
pub(crate) fn set_validation(is_validation: bool) {
    IS_VALIDATION.set(is_validation);
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_is_validation_mode() -> bool {
    IS_VALIDATION.get()
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_get_concurrency() -> u32 {
    2
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_log_enabled(level: u32) -> bool {
    const INFO: u32 = 2;
    level >= INFO
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_log(level: u32, message: Buffer) {
    // SAFETY: a buffer of the module's, for this call.
    registry::log(level, unsafe { message.text() });
}

// ---------------------------------------------------------------------------------------------
// About the headers of a stream

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_get_headers_size(
    stream: Handle,
    which: u32,
) -> usize {
    match on_worker(stream, which, "get_headers_size") {
        Some(stream) => stream.headers().iter().len(),
        None => 0,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_headers(
    stream: Handle,
    which: u32,
    result: *mut Pair,
) -> bool {
    let Some(stream) = on_worker(stream, which, "get_headers") else { return false };
    for (index, (name, value)) in stream.headers().iter().enumerate() {
        let key = Buffer::lent(stream.lend(name));
        let value = Buffer::lent(stream.lend(value));
        // SAFETY: the module has room for as many as `get_headers_size` said.
        unsafe { result.add(index).write(Pair { key, value }) };
    }
    true
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_get_header(
    stream: Handle,
    which: u32,
    key: Buffer,
    result: *mut Buffer,
    index: usize,
    count: *mut usize,
) -> bool {
    let found = on_worker(stream, which, "get_header").map(|stream| {
        // SAFETY: a buffer of the module's, for this call.
        let name = unsafe { key.read() }.unwrap_or_default();
        let headers = stream.headers();
        let nth = headers.values(&name).nth(index);
        (nth.map(|value| Buffer::lent(stream.lend(value))), headers.values(&name).count())
    });
    let (value, values) = found.unwrap_or_default();
    // SAFETY: the module has room for one; whether it wants the count, it says by null.
    unsafe {
        result.write(value.unwrap_or_else(Buffer::nothing));
        if !count.is_null() {
            count.write(values);
        }
    }
    value.is_some()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_header(
    stream: Handle,
    which: u32,
    key: Buffer,
    value: Buffer,
) -> bool {
    let Some(stream) = on_worker(stream, which, "set_header") else { return false };
    // SAFETY: buffers of the module's, for this call. Should one be what this host has lent, it is
    // read before it is taken back.
    let (name, value) = unsafe { (key.read().unwrap_or_default(), value.read()) };
    stream.set_header(&name, value.as_deref(), false);
    true
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_add_header(
    stream: Handle,
    which: u32,
    key: Buffer,
    value: Buffer,
) -> bool {
    let Some(stream) = on_worker(stream, which, "add_header") else { return false };
    // SAFETY: buffers of the module's, for this call.
    let (name, value) = unsafe { (key.read().unwrap_or_default(), value.read()) };
    stream.set_header(&name, value.as_deref(), true);
    true
}

type Found = Arc<StreamPeer>;

fn on_worker(stream: Handle, which: u32, callback: &str) -> Option<Found> {
    if which != REQUEST_HEADERS {
        return violation(format!("{callback}: of headers of the kind {which}"));
    }
    found(stream, callback)
}

pub(crate) fn found(stream: Handle, callback: &str) -> Option<Found> {
    let stream = registry::stream(stream.addr(), callback)?;
    stream.is_on_its_worker(callback).then_some(stream)
}

// ---------------------------------------------------------------------------------------------
// About what becomes of a stream

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_send_response(
    stream: Handle,
    status: u32,
    headers: *const Pair,
    count: usize,
    body: Buffer,
    details: Buffer,
) {
    let Some(stream) = found(stream, "send_response") else { return };
    // SAFETY: the module's, for this call.
    let (headers, body, details) = unsafe { (pairs(headers, count), body.text(), details.text()) };
    let status = u16::try_from(status).unwrap_or_default();
    stream.respond(Response { status, headers, body, details });
    // Envoy shows every filter the answer, this one too, before it comes back here.
    if let Some(filter) = stream.module()
        && !response(stream.handle(), filter)
    {
        violation::<()>("a filter holds up its own answer".to_owned());
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_continue_decoding(stream: Handle) {
    if let Some(stream) = found(stream, "continue_decoding") {
        stream.resume();
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_get_most_specific_route_config(
    stream: Handle,
) -> Inside {
    let route = found(stream, "get_most_specific_route_config").and_then(|found| found.route());
    route.map_or(std::ptr::null(), |route| route.0)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_new(stream: Handle) -> Handle {
    match found(stream, "scheduler_new") {
        Some(stream) => handle(enter(Peer::StreamScheduler(Arc::downgrade(&stream)))),
        None => std::ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_commit(
    scheduler: Handle,
    event: u64,
) {
    if let Some(stream) = registry::scheduled_stream(scheduler.addr()) {
        stream.schedule(event);
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: Handle) {
    match leave(scheduler.addr()) {
        Some(Peer::StreamScheduler(_)) => {}
        Some(Peer::Stream(_) | Peer::Config(_) | Peer::ConfigScheduler(_)) | None => {
            violation::<()>("scheduler_delete of what is no scheduler of a stream".to_owned());
        }
    }
}

// ---------------------------------------------------------------------------------------------
// About dynamic metadata

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_dynamic_metadata_string(
    stream: Handle,
    namespace: Buffer,
    key: Buffer,
    value: Buffer,
) {
    let Some(stream) = found(stream, "set_dynamic_metadata_string") else { return };
    // SAFETY: buffers of the module's, for this call.
    let (namespace, key, value) = unsafe { (namespace.text(), key.text(), value.text()) };
    stream.set_metadata(namespace, key, Value::Text(value));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_dynamic_metadata_string_batch(
    stream: Handle,
    namespace: Buffer,
    entries: *const Pair,
    count: usize,
) {
    let Some(stream) = found(stream, "set_dynamic_metadata_string_batch") else { return };
    // SAFETY: the module's, for this call.
    let (namespace, entries) = unsafe { (namespace.text(), pairs(entries, count)) };
    for (key, value) in entries {
        stream.set_metadata(namespace.clone(), key, Value::Text(value));
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
    stream: Handle,
    namespace: Buffer,
    key: Buffer,
    value: f64,
) {
    let Some(stream) = found(stream, "set_dynamic_metadata_number") else { return };
    // SAFETY: buffers of the module's, for this call.
    let (namespace, key) = unsafe { (namespace.text(), key.text()) };
    stream.set_metadata(namespace, key, Value::Number(value));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_set_dynamic_metadata_bool(
    stream: Handle,
    namespace: Buffer,
    key: Buffer,
    value: bool,
) {
    let Some(stream) = found(stream, "set_dynamic_metadata_bool") else { return };
    // SAFETY: buffers of the module's, for this call.
    let (namespace, key) = unsafe { (namespace.text(), key.text()) };
    stream.set_metadata(namespace, key, Value::Bool(value));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_add_dynamic_metadata_list_string(
    stream: Handle,
    namespace: Buffer,
    key: Buffer,
    value: Buffer,
) -> bool {
    let Some(stream) = found(stream, "add_dynamic_metadata_list_string") else { return false };
    // SAFETY: buffers of the module's, for this call.
    let (namespace, key, value) = unsafe { (namespace.text(), key.text(), value.text()) };
    stream.add_to_list(namespace, key, Value::Text(value))
}

// ---------------------------------------------------------------------------------------------
// About a configuration: its scheduler, its calls to clusters

pub(crate) fn in_force(config: Handle, callback: &str) -> Option<Arc<ConfigPeer>> {
    if !MainThread::is_here() {
        return violation(format!("{callback}: not on the main thread"));
    }
    registry::config(config.addr(), callback)
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_new(
    config: Handle,
) -> Handle {
    match in_force(config, "config_scheduler_new") {
        Some(config) => handle(enter(Peer::ConfigScheduler(Arc::downgrade(&config)))),
        None => std::ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
    scheduler: Handle,
    event: u64,
) {
    let config = registry::scheduled_config(scheduler.addr());
    // Should this be the last to hold it, it goes here; Envoy does no better.
    if let Some(config) = config.and_then(|config| config.upgrade()) {
        config.schedule(event);
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler: Handle) {
    match leave(scheduler.addr()) {
        Some(Peer::ConfigScheduler(_)) => {}
        Some(Peer::Stream(_) | Peer::Config(_) | Peer::StreamScheduler(_)) | None => {
            violation::<()>("scheduler_delete of what is no configuration's scheduler".to_owned());
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_callback_http_filter_config_http_callout(
    config: Handle,
    call: *mut u64,
    cluster: Buffer,
    headers: *const Pair,
    count: usize,
    body: Buffer,
    timeout_milliseconds: u64,
) -> u32 {
    const SUCCESS: u32 = 0;
    const CANNOT_CREATE_REQUEST: u32 = 4;
    let Some(config) = in_force(config, "config_http_callout") else {
        return CANNOT_CREATE_REQUEST;
    };
    // SAFETY: the module's, for this call.
    let (cluster, headers, body) =
        unsafe { (cluster.text(), pairs(headers, count), body.read().unwrap_or_default()) };
    let timeout = Duration::from_millis(timeout_milliseconds);
    match config.call(&cluster, Call { headers, body, timeout }) {
        Ok(id) => {
            // SAFETY: the module has room for it.
            unsafe { call.write(id) };
            SUCCESS
        }
        Err(result) => result,
    }
}

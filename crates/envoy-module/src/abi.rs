//! The part of Envoy's ABI for dynamic modules that Doorward uses: the one file with `unsafe`.
//!
//! Three parts: the types and functions of `source/extensions/dynamic_modules/abi/abi.h` ("v0.2.0",
//! Envoy 1.40 and 1.41), safe handles to what Envoy owns, and the hooks that Envoy calls.
//!
//! What holds everywhere below, by Envoy's documentation and code:
//! - Envoy's pointers are valid for as long as the hook runs that was given them. A handle lives no
//!   longer than its hook, and what is borrowed from Envoy's headers no longer than the next setter.
//! - All hooks of one stream come from one thread, and so do the calls to its handle. They may nest:
//!   what sends a response or goes on with a request has Envoy call further hooks of the same stream,
//!   even the one that ends it, before it returns.
//! - A stream ends before its configuration does.

#![expect(unsafe_code, reason = "Envoy is called by pointer, and calls by name")]

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use doorward_core::request::HeaderView;
use smallvec::SmallVec;

use crate::configuration::Configuration;
use crate::filter::{HeadersStatus, Stream, deny_broken};
use crate::log;
use crate::route::Route;

// A panic that cannot be caught ends Envoy, and all its connections.
#[cfg(not(panic = "unwind"))]
compile_error!("the module has to be built with panics that unwind");

/// The version of the ABI, as Envoy compares it.
const ABI_VERSION: &CStr = c"v0.2.0";

/// `envoy_dynamic_module_type_{module,envoy}_buffer`: bytes of whoever hands them over.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "as in abi.h")]
pub struct Buffer {
    pub ptr: *const u8,
    pub length: usize,
}

/// `envoy_dynamic_module_type_{module,envoy}_http_header`, and `…_module_key_value_pair`, which is
/// laid out alike.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "as in abi.h")]
pub struct Pair {
    pub key: Buffer,
    pub value: Buffer,
}

impl Buffer {
    const NULL: Self = Self { ptr: std::ptr::null(), length: 0 };

    fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), length: bytes.len() }
    }

    /// # Safety
    /// Null, or bytes that stay as they are for `'b`.
    unsafe fn bytes<'b>(self) -> &'b [u8] {
        // SAFETY: the caller says so.
        unsafe { slice(self.ptr, self.length) }
    }
}

impl Pair {
    fn of((key, value): &(&str, &str)) -> Self {
        Self { key: Buffer::of(key.as_bytes()), value: Buffer::of(value.as_bytes()) }
    }
}

/// `envoy_dynamic_module_type_http_header_type_RequestHeader`.
const REQUEST_HEADER: u32 = 0;

// The callbacks, each by its name in abi.h without `envoy_dynamic_module_callback_`.
unsafe extern "C" {
    #[link_name = "envoy_dynamic_module_callback_log"]
    fn callback_log(level: u32, message: Buffer);
    #[link_name = "envoy_dynamic_module_callback_log_enabled"]
    fn callback_log_enabled(level: u32) -> bool;
    #[link_name = "envoy_dynamic_module_callback_is_validation_mode"]
    fn is_validation_mode() -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_get_headers_size"]
    fn http_get_headers_size(filter: *mut c_void, kind: u32) -> usize;
    #[link_name = "envoy_dynamic_module_callback_http_get_headers"]
    fn http_get_headers(filter: *mut c_void, kind: u32, headers: *mut Pair) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_set_header"]
    fn http_set_header(filter: *mut c_void, kind: u32, key: Buffer, value: Buffer) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_add_header"]
    fn http_add_header(filter: *mut c_void, kind: u32, key: Buffer, value: Buffer) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_send_response"]
    fn http_send_response(
        filter: *mut c_void,
        status: u32,
        headers: *const Pair,
        headers_size: usize,
        body: Buffer,
        details: Buffer,
    );
    #[link_name = "envoy_dynamic_module_callback_http_set_dynamic_metadata_string_batch"]
    fn http_set_dynamic_metadata_string_batch(
        filter: *mut c_void,
        namespace: Buffer,
        entries: *const Pair,
        entries_size: usize,
    );
    #[link_name = "envoy_dynamic_module_callback_http_add_dynamic_metadata_list_string"]
    fn http_add_dynamic_metadata_list_string(
        filter: *mut c_void,
        namespace: Buffer,
        key: Buffer,
        value: Buffer,
    ) -> bool;
    #[link_name = "envoy_dynamic_module_callback_http_set_dynamic_metadata_struct"]
    fn http_set_dynamic_metadata_struct(filter: *mut c_void, namespace: Buffer, members: Buffer);
    #[link_name = "envoy_dynamic_module_callback_get_most_specific_route_config"]
    fn get_most_specific_route_config(filter: *mut c_void) -> *const c_void;
    #[link_name = "envoy_dynamic_module_callback_http_filter_continue_decoding"]
    fn http_filter_continue_decoding(filter: *mut c_void);
    #[link_name = "envoy_dynamic_module_callback_http_filter_scheduler_new"]
    fn http_filter_scheduler_new(filter: *mut c_void) -> *mut c_void;
    #[link_name = "envoy_dynamic_module_callback_http_filter_scheduler_commit"]
    fn http_filter_scheduler_commit(scheduler: *mut c_void, event: u64);
    #[link_name = "envoy_dynamic_module_callback_http_filter_scheduler_delete"]
    fn http_filter_scheduler_delete(scheduler: *mut c_void);
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_scheduler_new"]
    fn http_filter_config_scheduler_new(config: *mut c_void) -> *mut c_void;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_scheduler_commit"]
    fn http_filter_config_scheduler_commit(scheduler: *mut c_void, event: u64);
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_scheduler_delete"]
    fn http_filter_config_scheduler_delete(scheduler: *mut c_void);
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_http_callout"]
    fn http_filter_config_http_callout(
        config: *mut c_void,
        id: *mut u64,
        cluster: Buffer,
        headers: *const Pair,
        headers_size: usize,
        body: Buffer,
        timeout_milliseconds: u64,
    ) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_define_counter"]
    fn http_filter_config_define_counter(
        config: *mut c_void,
        name: Buffer,
        labels: *const Buffer,
        labels_size: usize,
        id: *mut usize,
    ) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_define_gauge"]
    fn http_filter_config_define_gauge(
        config: *mut c_void,
        name: Buffer,
        labels: *const Buffer,
        labels_size: usize,
        id: *mut usize,
    ) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_increment_counter"]
    fn http_filter_config_increment_counter(
        config: *mut c_void,
        id: usize,
        labels: *const Buffer,
        labels_size: usize,
        value: u64,
    ) -> u32;
    #[link_name = "envoy_dynamic_module_callback_http_filter_config_set_gauge"]
    fn http_filter_config_set_gauge(
        config: *mut c_void,
        id: usize,
        labels: *const Buffer,
        labels_size: usize,
        value: u64,
    ) -> u32;
}

/// Whether Envoy's log takes lines of this level (0: trace … 5: critical) of modules.
#[must_use]
pub fn log_enabled(level: u32) -> bool {
    // SAFETY: takes no pointer, from any thread.
    unsafe { callback_log_enabled(level) }
}

/// Writes a line to Envoy's log.
pub fn log(level: u32, line: &[u8]) {
    // SAFETY: Envoy copies the line before it returns; from any thread.
    unsafe { callback_log(level, Buffer::of(line)) }
}

/// One stream, for as long as a hook runs.
pub struct EnvoyStream<'h> {
    filter: *mut c_void,
    hook: PhantomData<&'h mut ()>,
}

/// How many headers are read without memory of their own.
const MANY: usize = 48;

/// Headers, as they are in Envoy.
pub type Headers<'h> = SmallVec<[HeaderView<'h>; MANY]>;

/// # Safety
/// Headers whose bytes stay as they are for `'h`.
unsafe fn views<'h>(pairs: &[Pair]) -> Headers<'h> {
    let view = |pair: &Pair| {
        // SAFETY: the caller says so.
        unsafe { HeaderView { name: pair.key.bytes(), value: pair.value.bytes() } }
    };
    pairs.iter().map(view).collect()
}

impl EnvoyStream<'_> {
    /// # Safety
    /// A filter of Envoy's, for as long as this lives.
    unsafe fn new(filter: *mut c_void) -> Self {
        Self { filter, hook: PhantomData }
    }

    /// All headers of the request, `:path` and its like among them.
    #[must_use]
    pub fn request_headers(&self) -> Headers<'_> {
        // SAFETY: the filter is Envoy's.
        let size = unsafe { http_get_headers_size(self.filter, REQUEST_HEADER) };
        let mut few = [const { MaybeUninit::<Pair>::uninit() }; MANY];
        let mut many = Vec::new();
        let pairs = if size <= MANY {
            few.as_mut_ptr()
        } else {
            many.reserve_exact(size);
            many.spare_capacity_mut().as_mut_ptr()
        };
        // SAFETY: there is room for as many as Envoy has just said that there are.
        let read = unsafe { http_get_headers(self.filter, REQUEST_HEADER, pairs.cast()) };
        let size = if read { size } else { 0 };
        // SAFETY: Envoy has written that many. Its bytes stay until a header is set, which takes the
        // handle exclusively.
        unsafe { views(std::slice::from_raw_parts(pairs.cast::<Pair>(), size)) }
    }

    /// Adds a header that the request does not have. To set one, whether it is there or not, costs
    /// Envoy an index of all headers.
    pub fn add_request_header(&mut self, name: &str, value: &str) {
        let (name, value) = (Buffer::of(name.as_bytes()), Buffer::of(value.as_bytes()));
        // SAFETY: the filter is Envoy's, which copies name and value.
        unsafe { http_add_header(self.filter, REQUEST_HEADER, name, value) };
    }

    /// Removes a header with all its values.
    pub fn remove_request_header(&mut self, name: &[u8]) {
        // SAFETY: the filter is Envoy's, which copies the name; no value removes.
        unsafe { http_set_header(self.filter, REQUEST_HEADER, Buffer::of(name), Buffer::NULL) };
    }

    /// Sets texts in a namespace of the stream's dynamic metadata.
    pub fn set_metadata(&mut self, namespace: &str, texts: &[(&str, &str)]) {
        let pairs: SmallVec<[Pair; 16]> = texts.iter().map(Pair::of).collect();
        let namespace = Buffer::of(namespace.as_bytes());
        // SAFETY: the filter is Envoy's, which copies all of it.
        unsafe {
            let (pairs, size) = (pairs.as_ptr(), pairs.len());
            http_set_dynamic_metadata_string_batch(self.filter, namespace, pairs, size);
        }
    }

    /// The same with members that are a `google.protobuf.Struct`, encoded: dearer, and the one way to
    /// an empty list.
    pub fn set_metadata_struct(&mut self, namespace: &str, members: &[u8]) {
        let (namespace, members) = (Buffer::of(namespace.as_bytes()), Buffer::of(members));
        // SAFETY: the filter is Envoy's, which reads both before it returns.
        unsafe { http_set_dynamic_metadata_struct(self.filter, namespace, members) };
    }

    /// Adds a text to a list in a namespace of the stream's dynamic metadata.
    pub fn add_to_metadata_list(&mut self, namespace: &str, list: &str, text: &str) {
        let [namespace, list, text] = [namespace, list, text].map(|it| Buffer::of(it.as_bytes()));
        // SAFETY: the filter is Envoy's, which copies all of it.
        unsafe { http_add_dynamic_metadata_list_string(self.filter, namespace, list, text) };
    }

    /// Answers the request. `details` say why, for access logs.
    pub fn respond(&mut self, status: u16, headers: &[(&str, &str)], body: &[u8], details: &str) {
        let pairs: SmallVec<[Pair; 16]> = headers.iter().map(Pair::of).collect();
        let (body, details) = (Buffer::of(body), Buffer::of(details.as_bytes()));
        // SAFETY: the filter is Envoy's, which copies all of it.
        unsafe {
            let (pairs, size) = (pairs.as_ptr(), pairs.len());
            http_send_response(self.filter, status.into(), pairs, size, body, details);
        }
    }

    /// Goes on with a request that was held up.
    pub fn resume(&mut self) {
        // SAFETY: the filter is Envoy's.
        unsafe { http_filter_continue_decoding(self.filter) };
    }

    /// What the route says of this request.
    ///
    /// # Errors
    /// It says something to another module.
    pub fn route(&self) -> Result<Option<&Route>, ForeignRoute> {
        // SAFETY: the filter is Envoy's.
        let route = unsafe { get_most_specific_route_config(self.filter) };
        if route.is_null() {
            return Ok(None);
        }
        // Envoy goes by the name of the filter: a route may still be configured for another module, as
        // while a newer one takes this one's place under another name of its file.
        let is_ours = ROUTES.read().unwrap_or_else(PoisonError::into_inner).contains(&route.addr());
        // SAFETY: made by `per_route_config_new`, and it stays for as long as the stream has the route.
        is_ours.then(|| unsafe { route.cast::<Route>().as_ref() }).ok_or(ForeignRoute)
    }

    /// Has the worker come back to this stream from another thread.
    #[must_use]
    pub fn scheduler(&self) -> StreamScheduler {
        // SAFETY: the filter is Envoy's.
        StreamScheduler(unsafe { http_filter_scheduler_new(self.filter) })
    }
}

/// What a route says, and not to this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignRoute;

/// Calls [`Stream::scheduled`] on the worker of a stream.
pub struct StreamScheduler(*mut c_void);

// SAFETY: Envoy's scheduler is made to be used from any thread.
unsafe impl Send for StreamScheduler {}
// SAFETY: as above; it only posts to the worker.
unsafe impl Sync for StreamScheduler {}

impl StreamScheduler {
    /// Has the hook called, unless the stream has ended by then.
    pub fn commit(&self) {
        // SAFETY: Envoy's, until it is dropped.
        unsafe { http_filter_scheduler_commit(self.0, 0) };
    }
}

impl Drop for StreamScheduler {
    fn drop(&mut self) {
        // SAFETY: made by `scheduler`, and nobody has it any more.
        unsafe { http_filter_scheduler_delete(self.0) };
    }
}

/// What was answered through a cluster: headers, `:status` among them, and body.
pub type Answered<'h> = Result<(Headers<'h>, Vec<u8>), CallFault>;

/// Why there is no answer through a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// There is none of that name.
    NoCluster,
    /// It has no host that takes requests.
    NoHost,
    /// The connection was lost, or the time was up.
    Reset,
    /// The answer is larger than Envoy reads.
    TooLarge,
}

/// A configuration of the filter, for as long as a hook runs.
pub struct EnvoyConfiguration<'h> {
    config: *mut c_void,
    hook: PhantomData<&'h mut ()>,
}

/// A statistic that was defined for a configuration.
#[derive(Clone, Copy, Debug)]
pub struct StatisticId(usize);

impl EnvoyConfiguration<'_> {
    /// Whether Envoy only wants to know whether the configuration is sound.
    #[must_use]
    pub fn only_validates(&self) -> bool {
        // SAFETY: takes no pointer; configurations are made on the main thread.
        unsafe { is_validation_mode() }
    }

    /// Defines a statistic; `None`: Envoy does not take it, or takes none any more.
    #[must_use]
    pub fn define(&self, name: &str, labels: &[&str], is_counter: bool) -> Option<StatisticId> {
        let labels = buffers(labels);
        let (name, mut id) = (Buffer::of(name.as_bytes()), 0);
        let define = if is_counter {
            http_filter_config_define_counter
        } else {
            http_filter_config_define_gauge
        };
        // SAFETY: the configuration is Envoy's, which copies name and labels.
        let result = unsafe { define(self.config, name, labels.as_ptr(), labels.len(), &mut id) };
        (result == 0).then_some(StatisticId(id))
    }

    /// Adds to a counter.
    pub fn add(&self, counter: StatisticId, labels: &[String], value: u64) {
        let labels = buffers(labels);
        let (StatisticId(id), size) = (counter, labels.len());
        // SAFETY: the configuration is Envoy's, which copies the labels.
        unsafe {
            http_filter_config_increment_counter(self.config, id, labels.as_ptr(), size, value)
        };
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: StatisticId, labels: &[String], value: u64) {
        let labels = buffers(labels);
        let (StatisticId(id), size) = (gauge, labels.len());
        // SAFETY: the configuration is Envoy's, which copies the labels.
        unsafe { http_filter_config_set_gauge(self.config, id, labels.as_ptr(), size, value) };
    }

    /// Sends a request without a body through a cluster; its number, by which
    /// [`Configuration::answered`] is told.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn send(
        &self,
        cluster: &str,
        headers: &[(&str, &str)],
        timeout: Duration,
    ) -> Result<u64, CallFault> {
        let pairs: SmallVec<[Pair; 8]> = headers.iter().map(Pair::of).collect();
        let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let (cluster, mut id) = (Buffer::of(cluster.as_bytes()), 0);
        // SAFETY: the configuration is Envoy's, which copies all of it.
        let result = unsafe {
            let (pairs, size) = (pairs.as_ptr(), pairs.len());
            let (config, id) = (self.config, &raw mut id);
            http_filter_config_http_callout(config, id, cluster, pairs, size, Buffer::NULL, timeout)
        };
        match result {
            0 => Ok(id),
            2 => Err(CallFault::NoCluster),
            _ => Err(CallFault::NoHost),
        }
    }

    /// Has the main thread come back to this configuration from another thread.
    #[must_use]
    pub fn scheduler(&self) -> ConfigurationScheduler {
        // SAFETY: the configuration is Envoy's.
        ConfigurationScheduler(unsafe { http_filter_config_scheduler_new(self.config) })
    }
}

fn buffers(texts: &[impl AsRef<str>]) -> SmallVec<[Buffer; 4]> {
    texts.iter().map(|text| Buffer::of(text.as_ref().as_bytes())).collect()
}

/// Calls [`Configuration::scheduled`] on the main thread.
pub struct ConfigurationScheduler(*mut c_void);

// SAFETY: Envoy's scheduler is made to be used from any thread.
unsafe impl Send for ConfigurationScheduler {}
// SAFETY: as above; it only posts to the main thread.
unsafe impl Sync for ConfigurationScheduler {}

impl ConfigurationScheduler {
    /// Has the hook called, unless the configuration is gone by then.
    pub fn commit(&self) {
        // SAFETY: Envoy's, until it is dropped.
        unsafe { http_filter_config_scheduler_commit(self.0, 0) };
    }
}

impl Drop for ConfigurationScheduler {
    fn drop(&mut self) {
        // SAFETY: made by `scheduler`, and nobody has it any more.
        unsafe { http_filter_config_scheduler_delete(self.0) };
    }
}

/// A stream as Envoy holds it.
struct Held {
    configuration: *const Configuration,
    stream: Stream,
}

impl Held {
    /// # Safety
    /// What `http_filter_new` returned and `http_filter_destroy` was not given yet.
    unsafe fn of(stream: *const c_void) -> Rc<Self> {
        let held = stream.cast::<Self>();
        // SAFETY: it came out of `Rc::into_raw`. Held once more, since hooks nest: the stream may
        // end before the one does that is about to run.
        unsafe {
            Rc::increment_strong_count(held);
            Rc::from_raw(held)
        }
    }

    fn configuration(&self) -> &Configuration {
        // SAFETY: it came out of `http_filter_config_new`, and a stream ends before it.
        unsafe { &*self.configuration }
    }
}

/// Where the configurations of routes are that this module made.
static ROUTES: RwLock<BTreeSet<usize>> = RwLock::new(BTreeSet::new());

/// Runs a hook. What unwinds into Envoy would end it.
fn guarded<T>(hook: impl FnOnce() -> T, broken: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(hook)).unwrap_or_else(|_| {
        log::error("a bug in Doorward: what it was asked inside Envoy ended in a panic");
        broken()
    })
}

/// Denies what a panic has left open.
///
/// # Safety
/// A filter of Envoy's.
unsafe fn deny(filter: *mut c_void) {
    // SAFETY: as the caller says.
    let mut envoy = unsafe { EnvoyStream::new(filter) };
    guarded(|| deny_broken(&mut envoy), || {});
}

// The hooks, each as abi.h describes it. All are unsafe to call: what Envoy hands over has to be
// what abi.h says.

/// The version of the ABI that this was made for.
#[unsafe(no_mangle)]
pub extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    // Envoy's own line says whether it has another one, and loads the module all the same.
    const SERVES: &str = "for Envoy 1.40 and 1.41 (ABI v0.2.0)";
    log(2, format!("Doorward {} {SERVES}", env!("CARGO_PKG_VERSION")).as_bytes());
    ABI_VERSION.as_ptr()
}

/// A new configuration; null refuses it.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    config: *mut c_void,
    name: Buffer,
    text: Buffer,
) -> *const c_void {
    // SAFETY: as abi.h has it, for as long as the hook runs.
    let (name, text) = unsafe { (name.bytes(), text.bytes()) };
    let envoy = EnvoyConfiguration { config, hook: PhantomData };
    let new = || match Configuration::new(&envoy, name, text) {
        Some(configuration) => Box::into_raw(Box::new(configuration)).cast_const().cast(),
        None => std::ptr::null(),
    };
    guarded(new, std::ptr::null)
}

/// The end of a configuration.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(
    configuration: *const c_void,
) {
    let configuration = configuration.cast_mut().cast::<Configuration>();
    // SAFETY: it came out of `http_filter_config_new`, and all its streams have ended.
    let drop_it = || drop(unsafe { Box::from_raw(configuration) });
    guarded(drop_it, || {});
}

/// The main thread comes back to a configuration.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(
    config: *mut c_void,
    configuration: *const c_void,
    _event: u64,
) {
    let envoy = EnvoyConfiguration { config, hook: PhantomData };
    // SAFETY: it came out of `http_filter_config_new`.
    let configuration = unsafe { &*configuration.cast::<Configuration>() };
    guarded(|| configuration.scheduled(&envoy), || {});
}

/// The answer to a request that was sent through a cluster.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    _config: *mut c_void,
    configuration: *const c_void,
    id: u64,
    result: u32,
    headers: *const Pair,
    headers_size: usize,
    chunks: *const Buffer,
    chunks_size: usize,
) {
    // SAFETY: it came out of `http_filter_config_new`.
    let configuration = unsafe { &*configuration.cast::<Configuration>() };
    let answer = || match result {
        0 => {
            // SAFETY: as abi.h has it, for as long as the hook runs.
            let (headers, chunks) =
                unsafe { (slice(headers, headers_size), slice(chunks, chunks_size)) };
            // SAFETY: as above.
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| unsafe { chunk.bytes() }).collect();
            // SAFETY: as above.
            Ok((unsafe { views(headers) }, chunks.concat()))
        }
        2 => Err(CallFault::TooLarge),
        _ => Err(CallFault::Reset),
    };
    guarded(|| configuration.answered(id, answer()), || {});
}

/// # Safety
/// Null, or so many that stay as they are for `'s`.
unsafe fn slice<'s, T>(start: *const T, size: usize) -> &'s [T] {
    if start.is_null() {
        return &[];
    }
    // SAFETY: the caller says so.
    unsafe { std::slice::from_raw_parts(start, size) }
}

/// What a route says; null refuses it.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    name: Buffer,
    text: Buffer,
) -> *const c_void {
    // SAFETY: as abi.h has it, for as long as the hook runs.
    let (name, text) = unsafe { (name.bytes(), text.bytes()) };
    let new = || match Route::new(name, text) {
        Some(route) => {
            let route = Box::into_raw(Box::new(route)).cast_const();
            ROUTES.write().unwrap_or_else(PoisonError::into_inner).insert(route.addr());
            route.cast()
        }
        None => std::ptr::null(),
    };
    guarded(new, std::ptr::null)
}

/// The end of what a route says.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(
    route: *const c_void,
) {
    ROUTES.write().unwrap_or_else(PoisonError::into_inner).remove(&route.addr());
    // SAFETY: it came out of `http_filter_per_route_config_new`.
    let drop_it = || drop(unsafe { Box::from_raw(route.cast_mut().cast::<Route>()) });
    guarded(drop_it, || {});
}

/// A new stream.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    configuration: *const c_void,
    _filter: *mut c_void,
) -> *const c_void {
    let configuration = configuration.cast::<Configuration>();
    Rc::into_raw(Rc::new(Held { configuration, stream: Stream::default() })).cast()
}

/// The end of a stream.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(stream: *const c_void) {
    // SAFETY: it came out of `http_filter_new`.
    let held = unsafe { Rc::from_raw(stream.cast::<Held>()) };
    guarded(|| held.stream.ended(), || {});
}

/// The headers of a request.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    filter: *mut c_void,
    stream: *const c_void,
    _end_of_stream: bool,
) -> u32 {
    // SAFETY: as abi.h has it.
    let (held, mut envoy) = unsafe { (Held::of(stream), EnvoyStream::new(filter)) };
    let decide = || held.stream.request_headers(held.configuration(), &mut envoy);
    guarded(decide, || {
        // SAFETY: as abi.h has it.
        unsafe { deny(filter) };
        HeadersStatus::StopIteration
    }) as u32
}

/// The worker comes back to a stream.
///
/// # Safety
/// As abi.h has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    filter: *mut c_void,
    stream: *const c_void,
    _event: u64,
) {
    // SAFETY: as abi.h has it.
    let (held, mut envoy) = unsafe { (Held::of(stream), EnvoyStream::new(filter)) };
    let go_on = || held.stream.scheduled(held.configuration(), &mut envoy);
    // SAFETY: as abi.h has it.
    guarded(go_on, || unsafe { deny(filter) });
}

/// Hooks that have to be there, and where nothing is done: 0 is to continue.
macro_rules! nothing_to_do {
    ($($hook:ident($($argument:ty),*) $(-> $status:ty)?;)*) => { $(
        #[doc = "Nothing is done here."]
        #[unsafe(no_mangle)]
        pub extern "C" fn $hook($(_: $argument),*) $(-> $status)? {
            $(0 as $status)?
        }
    )* };
}

type Ptr = *const c_void;

nothing_to_do! {
    envoy_dynamic_module_on_http_filter_request_body(Ptr, Ptr, bool) -> u32;
    envoy_dynamic_module_on_http_filter_request_trailers(Ptr, Ptr) -> u32;
    envoy_dynamic_module_on_http_filter_response_headers(Ptr, Ptr, bool) -> u32;
    envoy_dynamic_module_on_http_filter_response_body(Ptr, Ptr, bool) -> u32;
    envoy_dynamic_module_on_http_filter_response_trailers(Ptr, Ptr) -> u32;
    envoy_dynamic_module_on_http_filter_stream_complete(Ptr, Ptr);
    envoy_dynamic_module_on_http_filter_http_callout_done(Ptr, Ptr, u64, u32, Ptr, usize, Ptr, usize);
    envoy_dynamic_module_on_http_filter_http_stream_headers(Ptr, Ptr, u64, Ptr, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_data(Ptr, Ptr, u64, Ptr, usize, bool);
    envoy_dynamic_module_on_http_filter_http_stream_trailers(Ptr, Ptr, u64, Ptr, usize);
    envoy_dynamic_module_on_http_filter_http_stream_complete(Ptr, Ptr, u64);
    envoy_dynamic_module_on_http_filter_http_stream_reset(Ptr, Ptr, u64, u32);
    envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(Ptr, Ptr);
    envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(Ptr, Ptr);
}

//! What the host finds wrong with modules: hooks that do as their configuration says.
//!
//! Where nobody else brings hooks.

#![cfg(not(any(feature = "module", feature = "stand-in")))]
#![allow(missing_docs, clippy::missing_safety_doc)]

use std::ffi::{c_char, c_void};
use std::sync::Mutex;
use std::time::Duration;

use doorward_envoy_host::{Config, Request, Route, live, violations};

type Handle = *mut c_void;
type Inside = *const c_void;

#[repr(C)]
#[derive(Clone, Copy)]
struct Buffer(*const u8, usize);

#[repr(C)]
#[derive(Clone, Copy)]
struct Pair(Buffer, Buffer);

const NULL: Buffer = Buffer(std::ptr::null(), 0);

fn buffer(text: &str) -> Buffer {
    Buffer(text.as_ptr(), text.len())
}

unsafe extern "C" {
    fn envoy_dynamic_module_callback_http_get_header(
        stream: Handle,
        which: u32,
        key: Buffer,
        result: *mut Buffer,
        index: usize,
        count: *mut usize,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_set_header(
        stream: Handle,
        which: u32,
        key: Buffer,
        value: Buffer,
    ) -> bool;
    fn envoy_dynamic_module_callback_http_send_response(
        stream: Handle,
        status: u32,
        headers: *const Pair,
        count: usize,
        body: Buffer,
        details: Buffer,
    );
    fn envoy_dynamic_module_callback_http_filter_continue_decoding(stream: Handle);
    fn envoy_dynamic_module_callback_http_filter_scheduler_new(stream: Handle) -> Handle;
    fn envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler: Handle, event: u64);
    fn envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler: Handle);
}

struct Filter {
    does: String,
    stream: Handle,
}

#[derive(Clone, Copy)]
struct Scheduler(Handle);
unsafe impl Send for Scheduler {}
/// One that was left behind by a stream.
static LEFT: Mutex<Option<Scheduler>> = Mutex::new(None);
/// Tests here look at what there is in the whole process.
static ALONE: Mutex<()> = Mutex::new(());

unsafe fn text(buffer: Buffer) -> String {
    String::from_utf8(unsafe { std::slice::from_raw_parts(buffer.0, buffer.1) }.to_vec()).unwrap()
}

fn boxed<T>(value: T) -> Inside {
    Box::into_raw(Box::new(value)).cast_const().cast()
}

fn header(stream: Handle, name: &str) -> Buffer {
    let (mut value, count) = (NULL, std::ptr::null_mut());
    let name = buffer(name);
    unsafe {
        envoy_dynamic_module_callback_http_get_header(stream, 0, name, &raw mut value, 0, count);
    }
    value
}

fn set(stream: Handle, name: &str, value: Buffer) {
    unsafe { envoy_dynamic_module_callback_http_set_header(stream, 0, buffer(name), value) };
}

fn answer(stream: Handle) {
    let no_headers = std::ptr::null();
    unsafe {
        envoy_dynamic_module_callback_http_send_response(stream, 403, no_headers, 0, NULL, NULL);
    }
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_program_init() -> *const c_char {
    c"v0.2.0".as_ptr()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_new(
    _config: Handle,
    _name: Buffer,
    does: Buffer,
) -> Inside {
    let does = unsafe { text(does) };
    if does == "refuse" { std::ptr::null() } else { boxed(does) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_config_destroy(config: Inside) {
    drop(unsafe { Box::from_raw(config.cast_mut().cast::<String>()) });
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_scheduled(_: Handle, _: Inside, _: u64) {}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_config_http_callout_done(
    _handle: Handle,
    _config: Inside,
    _call: u64,
    _result: u32,
    _headers: *const Pair,
    _header_count: usize,
    _chunks: *const Buffer,
    _chunk_count: usize,
) {
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_new(
    _name: Buffer,
    route: Buffer,
) -> Inside {
    boxed(unsafe { text(route) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_per_route_config_destroy(route: Inside) {
    drop(unsafe { Box::from_raw(route.cast_mut().cast::<String>()) });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_new(
    config: Inside,
    stream: Handle,
) -> Inside {
    let does = unsafe { &*config.cast::<String>() }.clone();
    boxed(Filter { does, stream })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_request_headers(
    stream: Handle,
    filter: Inside,
    _is_end: bool,
) -> u32 {
    let filter = unsafe { &*filter.cast::<Filter>() };
    match filter.does.as_str() {
        "set" => set(stream, "X-One", buffer("1")),
        "remove" => set(stream, "X-Client", NULL),
        "remove what is not there" => set(stream, "x-other", NULL),
        "set two lines" => set(stream, "x-one", buffer("1\r\nx-two: 2")),
        "answer" | "answer twice" => {
            answer(stream);
            if filter.does == "answer twice" {
                answer(stream);
            }
            return 1;
        }
        "read after a setter" => {
            let value = header(stream, "x-client");
            assert_eq!(unsafe { text(value) }, "2");
            set(stream, "x-one", buffer("1"));
            std::hint::black_box(unsafe { std::ptr::read_volatile(value.0) });
        }
        "continue at once" => unsafe {
            envoy_dynamic_module_callback_http_filter_continue_decoding(stream);
        },
        "wait" | "wait for ever" => unsafe {
            let scheduler = envoy_dynamic_module_callback_http_filter_scheduler_new(stream);
            let scheduler = Scheduler(scheduler);
            if filter.does == "wait" {
                let commit = move || {
                    let Scheduler(scheduler) = { scheduler };
                    envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler, 7);
                    envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler);
                };
                std::thread::spawn(commit).join().unwrap();
            } else {
                *LEFT.lock().unwrap() = Some(scheduler);
            }
            return 4;
        },
        "another thread" => {
            let stream = Scheduler(stream);
            let elsewhere = move || {
                let Scheduler(stream) = { stream };
                set(stream, "x-one", buffer("1"));
            };
            std::thread::spawn(elsewhere).join().unwrap();
        }
        other => panic!("{other}"),
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_scheduled(
    stream: Handle,
    filter: Inside,
    event: u64,
) {
    let filter = unsafe { &*filter.cast::<Filter>() };
    assert_eq!((filter.stream, event), (stream, 7));
    set(stream, "x-one", buffer("1"));
    unsafe { envoy_dynamic_module_callback_http_filter_continue_decoding(stream) };
}

macro_rules! goes_on {
    ($($hook:ident)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $hook(_stream: Handle, _filter: Inside, _is_end: bool) -> u32 {
            0
        })*
    };
}

goes_on! {
    envoy_dynamic_module_on_http_filter_request_body
    envoy_dynamic_module_on_http_filter_response_headers
    envoy_dynamic_module_on_http_filter_response_body
}

#[unsafe(no_mangle)]
extern "C" fn envoy_dynamic_module_on_http_filter_stream_complete(_: Handle, _: Inside) {}

#[unsafe(no_mangle)]
unsafe extern "C" fn envoy_dynamic_module_on_http_filter_destroy(filter: Inside) {
    drop(unsafe { Box::from_raw(filter.cast_mut().cast::<Filter>()) });
}

fn request() -> Request {
    Request::new(b"GET", b"a.example", b"/").header(b"X-Client", b"2").header(b"x-client", b"3")
}

fn found_with(does: &str) -> Vec<String> {
    let before = violations().len();
    let config = Config::new(does).unwrap();
    let mut stream = config.begin(request());
    assert_eq!(stream.wait(Duration::from_millis(10)), does != "wait for ever");
    drop(stream.end());
    violations()[before..].iter().map(|violation| violation.0.clone()).collect()
}

#[test]
fn headers_are_envoys() {
    let _alone = ALONE.lock();
    let before = violations().len();
    let reply = Config::new("set").unwrap().send(request());
    let names: Vec<_> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [":method", ":authority", ":path", "x-client", "x-client", "x-one"]);
    assert_eq!(reply.set["x-one"], b"1");
    let reply = Config::new("remove").unwrap().send(request());
    assert_eq!((reply.headers.len(), reply.removed), (3, vec!["x-client".to_owned()]));
    let reply = Config::new("answer").unwrap().send(request().with_body());
    assert_eq!(reply.response.unwrap().status, 403);
    assert_eq!(violations().len(), before);
}

#[test]
fn a_stream_is_resumed_from_another_thread() {
    let _alone = ALONE.lock();
    assert_eq!(found_with("wait"), [""; 0]);
    let reply = Config::new("wait").unwrap().send(request().with_body());
    assert!(reply.waited && reply.set.contains_key("x-one"));
}

#[test]
fn what_a_module_may_not_do_is_found() {
    let _alone = ALONE.lock();
    for (does, found) in [
        ("set", ""),
        ("remove what is not there", "never was there"),
        ("set two lines", "what no header can be"),
        ("answer twice", "an answer to what is decided"),
        ("continue at once", "of what does not wait"),
        ("another thread", "not on the worker"),
    ] {
        let told = found_with(does).join("\n");
        assert!(told.contains(found) && told.is_empty() == found.is_empty(), "{does}: {told}");
    }
}

#[test]
fn what_outlives_its_stream_is_counted_and_harmless() {
    let _alone = ALONE.lock();
    let before = live();
    assert_eq!(found_with("wait for ever"), [""; 0]);
    assert_eq!(live().schedulers, before.schedulers + 1);
    let Scheduler(left) = LEFT.lock().unwrap().take().unwrap();
    let seen = violations().len();
    unsafe { envoy_dynamic_module_callback_http_filter_scheduler_commit(left, 1) };
    unsafe { envoy_dynamic_module_callback_http_filter_scheduler_delete(left) };
    assert_eq!((violations().len(), live()), (seen, before));
    // Twice is once too many.
    unsafe { envoy_dynamic_module_callback_http_filter_scheduler_delete(left) };
    assert_eq!(violations().len(), seen + 1);
}

#[test]
fn configurations_live_as_long_as_their_streams() {
    let _alone = ALONE.lock();
    let before = live();
    assert!(Config::new("refuse").is_err());
    let config = Config::new("set").unwrap();
    let route = Route::new("a").unwrap();
    let stream = config.begin(request().on(&route));
    drop((config, route));
    assert_eq!((live().configs, live().routes), (before.configs + 1, before.routes + 1));
    drop(stream);
    assert_eq!(live(), before);
}

/// `make module-san` runs this under Miri, which has to end it.
#[test]
#[ignore = "reads memory that is gone"]
fn a_sanitizer_sees_what_is_read_after_a_setter() {
    found_with("read after a setter");
}

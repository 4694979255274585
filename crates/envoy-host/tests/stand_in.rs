//! Every safe function and every hook of the module's `abi.rs`, for Miri and other sanitizers.

#![allow(missing_docs)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward_envoy_host::{
    Call, Called, Cluster, Config, Reply, Request, Response, Route, Value, live, log_from, logged,
    statistics, violations,
};

/// Tests here look at what there is in the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// As many headers as the module reads without memory of its own, and one more.
const COUNTS: [usize; 3] = [3, 48, 49];

fn request(count: usize) -> Request {
    let request = Request::new(b"GET", b"a.example", b"/");
    (3..count).fold(request, |request, number| {
        let name = if number % 2 == 0 { "x-remove" } else { "x-keep" };
        let value = if number % 3 == 0 { String::new() } else { number.to_string() };
        request.header(format!("{name}-{}", number / 4).as_bytes(), value.as_bytes())
    })
}

fn alone(test: impl FnOnce()) {
    let _alone = ALONE.lock();
    let (found, before) = (violations(), live());
    test();
    assert_eq!((violations(), live()), (found, before));
}

fn answered(reply: Reply) -> Response {
    reply.response.unwrap()
}

#[test]
fn headers_are_read_and_changed() {
    alone(|| {
        let route = Route::new("of the route").unwrap();
        for does in ["change", "wait"] {
            let config = Config::new(does).unwrap();
            for count in COUNTS {
                for on in [None, Some(&route)] {
                    // Miri takes a minute for what takes a millisecond.
                    if cfg!(miri) && (count > 3) != on.is_some() {
                        continue;
                    }
                    let request = on.map_or_else(|| request(count), |on| request(count).on(on));
                    let reply = config.send(request.with_body());
                    assert_eq!((reply.response, reply.waited), (None, does == "wait"));
                    let said = if on.is_some() { &b"of the route"[..] } else { b"none" };
                    assert_eq!(reply.set["x-set"], said);
                    let kept: Vec<_> = reply.headers.iter().map(|(name, _)| name).collect();
                    assert!(!kept.iter().any(|name| name.starts_with("x-remove")), "{kept:?}");
                    let text = |key: &str| reply.metadata["ns"][key].clone();
                    assert_eq!(text("count"), Value::Text(count.to_string()));
                    assert_eq!(text("left"), Value::Text(kept.len().to_string()));
                    assert!(matches!(text("list"), Value::List(list) if list.len() == 2));
                }
            }
        }
    });
}

#[test]
fn answers_arrive() {
    alone(|| {
        for (does, status, body) in [
            ("answer", 403, 1000),
            ("answer later", 403, 1000),
            ("panic in a stream", 503, 0),
            ("panic later", 503, 0),
        ] {
            let config = Config::new(does).unwrap();
            let answer = answered(config.send(request(5)));
            assert_eq!((answer.status, answer.body.len()), (status, body), "{does}");
        }
    });
}

/// The stream ends while a thread is on its way to it, before and after that thread has come.
#[test]
fn streams_end_at_any_time() {
    alone(|| {
        let config = Config::new("wait").unwrap();
        for round in 0..if cfg!(miri) { 4 } else { 100 } {
            let mut stream = config.begin(request(5));
            if round % 2 == 0 {
                stream.wait(Duration::from_millis(round % 4));
            }
            drop(stream);
        }
    });
}

#[test]
fn configurations_are_refused_counted_and_go() {
    alone(|| {
        for refused in ["refuse", "panic", "\u{0}"] {
            let made = Config::new(refused);
            assert_eq!(made.is_ok(), refused == "\u{0}");
            assert_eq!(Route::new(refused).is_ok(), refused == "\u{0}");
        }
        Config::validate("change").unwrap();
        let counted =
            || statistics().get("counter{one=\"a\",two=\"b\"}").copied().unwrap_or_default();
        let (before, config) = (counted(), Config::new("count").unwrap());
        let _ = config.send(request(3));
        let _ = config.send(request(3));
        while config.told() < 2 {
            std::thread::yield_now();
        }
        assert_eq!((counted(), statistics()["gauge"]), (before + 4, 7));
        let broken = Config::new("panic when told").unwrap();
        let _ = broken.send(request(3));
        while broken.told() < 1 {
            std::thread::yield_now();
        }
        drop(broken);
        // Its streams have it for as long as they last.
        let stream = config.begin(request(3));
        drop(config);
        drop(stream);
        drop(Config::new("panic at the end").unwrap());
    });
}

#[test]
fn clusters_answer() {
    alone(|| {
        let answers = [
            (Some(vec![b"a".to_vec(), Vec::new(), b"bc".to_vec()]), ": 3 and 3 bytes"),
            (Some(Vec::new()), ": 3 and 0 bytes"),
            (None, ": Reset"),
        ];
        for (answer, said) in answers {
            let cluster: Cluster = Arc::new(move |call: Call| {
                assert_eq!(call.timeout, Duration::from_secs(1));
                let chunks = answer.clone()?;
                Some(Called { headers: vec![(":status".to_owned(), "200".to_owned())], chunks })
            });
            let clusters = HashMap::from([("somewhere".to_owned(), cluster)]);
            let before = logged();
            let config = Config::with_clusters("call", clusters).unwrap();
            let _ = config.send(request(3));
            while !log_from(before).iter().any(|(_, line)| line.ends_with(said)) {
                std::thread::yield_now();
            }
        }
    });
}

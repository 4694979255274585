//! A filter behind the module's `abi.rs`, in place of the one that decides: it does whatever its
//! configuration says, one thing for each safe function of that file.

#![allow(missing_docs)]

/// What `abi.rs` has of `doorward-core`.
pub mod request {
    #[derive(Clone, Copy)]
    pub struct HeaderView<'a> {
        pub name: &'a [u8],
        pub value: &'a [u8],
    }
}

pub mod log {
    pub fn error(line: &str) {
        crate::module_abi::log(4, line.as_bytes());
    }
}

pub mod route {
    pub struct Route(pub String);

    impl Route {
        pub fn new(_name: &[u8], text: &[u8]) -> Option<Self> {
            let text = String::from_utf8(text.to_vec()).ok()?;
            assert!(text != "panic", "as configured");
            (text != "refuse").then_some(Self(text))
        }
    }
}

pub mod configuration {
    use std::sync::Mutex;
    use std::time::Duration;

    use crate::module_abi::{
        Answered, CallFault, ConfigurationScheduler, EnvoyConfiguration, StatisticId, log_enabled,
    };

    pub struct Configuration {
        pub does: String,
        pub only_validates: bool,
        counter: Option<StatisticId>,
        gauge: Option<StatisticId>,
        pub scheduler: Mutex<Option<ConfigurationScheduler>>,
    }

    impl Configuration {
        pub fn new(envoy: &EnvoyConfiguration<'_>, name: &[u8], text: &[u8]) -> Option<Self> {
            let does = String::from_utf8(text.to_vec()).ok()?;
            assert!(name == b"doorward" && does != "panic", "as configured");
            if log_enabled(4) {
                super::log::error(&does);
            }
            if does == "refuse" {
                return None;
            }
            Some(Self {
                only_validates: envoy.only_validates(),
                counter: envoy.define("counter", &["one", "two"], true),
                gauge: envoy.define("gauge", &[], false),
                scheduler: Mutex::new(Some(envoy.scheduler())),
                does,
            })
        }

        /// Counts, on the main thread.
        pub fn scheduled(&self, envoy: &EnvoyConfiguration<'_>) {
            assert!(self.does != "panic when told", "as configured");
            let request = [(":method", "GET"), (":path", "/"), ("host", "a.example")];
            let sent = envoy.send("nowhere", &request, Duration::from_secs(1));
            assert_eq!(sent, Err(CallFault::NoCluster));
            if self.does == "call" {
                assert!(envoy.send("somewhere", &request, Duration::from_secs(1)).is_ok());
                assert_eq!(envoy.send("somewhere", &[], Duration::ZERO), Err(CallFault::NoHost));
            }
            let labels = ["a".to_owned(), "b".to_owned()];
            envoy.add(self.counter.unwrap(), &labels, 2);
            envoy.set(self.gauge.unwrap(), &[], 7);
            assert!(envoy.define("too late", &[], true).is_none());
        }
    }

    impl Configuration {
        pub fn answered(&self, id: u64, answer: Answered<'_>) {
            let said = match answer {
                Ok((headers, body)) => {
                    let status = headers.iter().find(|header| header.name == b":status");
                    format!("{id}: {} and {} bytes", status.unwrap().value.len(), body.len())
                }
                Err(fault) => format!("{id}: {fault:?}"),
            };
            super::log::error(&said);
        }
    }

    impl Drop for Configuration {
        fn drop(&mut self) {
            // Its thread has it for longer than Envoy, in the module too.
            let scheduler = self.scheduler.lock().unwrap().take().unwrap();
            std::thread::spawn(move || scheduler.commit()).join().unwrap();
            assert!(self.does != "panic at the end", "as configured");
        }
    }
}

pub mod filter {
    use std::cell::RefCell;
    use std::thread::JoinHandle;

    use super::configuration::Configuration;
    use crate::module_abi::{EnvoyStream, StreamScheduler};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum HeadersStatus {
        Continue = 0,
        StopIteration = 1,
        StopAllIterationAndWatermark = 4,
    }

    #[derive(Default)]
    pub struct Stream {
        waiting: RefCell<Option<JoinHandle<StreamScheduler>>>,
    }

    impl Stream {
        pub fn request_headers(
            &self,
            configuration: &Configuration,
            envoy: &mut EnvoyStream<'_>,
        ) -> HeadersStatus {
            match configuration.does.as_str() {
                "change" => change(envoy),
                "answer" => {
                    answer(envoy);
                    return HeadersStatus::StopIteration;
                }
                "wait" | "panic later" | "answer later" => {
                    let scheduler = envoy.scheduler();
                    let commit = move || {
                        scheduler.commit();
                        scheduler
                    };
                    *self.waiting.borrow_mut() = Some(std::thread::spawn(commit));
                    return HeadersStatus::StopAllIterationAndWatermark;
                }
                "panic in a stream" => panic!("as configured"),
                _ => {
                    let scheduler = configuration.scheduler.lock().unwrap();
                    scheduler.as_ref().unwrap().commit();
                }
            }
            HeadersStatus::Continue
        }

        pub fn scheduled(&self, configuration: &Configuration, envoy: &mut EnvoyStream<'_>) {
            let scheduler = self.waiting.borrow_mut().take().unwrap().join().unwrap();
            match configuration.does.as_str() {
                "wait" => {
                    change(envoy);
                    envoy.resume();
                }
                "answer later" => answer(envoy),
                _ => panic!("as configured"),
            }
            // Once more, for nothing.
            scheduler.commit();
        }

        pub fn ended(&self) {
            if let Some(waiting) = self.waiting.borrow_mut().take() {
                // Its own thread is the last to have it.
                drop(std::thread::spawn(move || waiting.join().unwrap().commit()).join());
            }
        }
    }

    /// Removes what the client calls `x-remove…`, and sets what the route says.
    fn change(envoy: &mut EnvoyStream<'_>) {
        let headers = envoy.request_headers();
        let count = headers.len().to_string();
        let named = headers.iter().filter(|header| header.name.starts_with(b"x-remove"));
        let mut names: Vec<Vec<u8>> = named.map(|header| header.name.to_vec()).collect();
        names.dedup();
        let values: usize = headers.iter().map(|header| header.value.len()).sum();
        let route =
            envoy.route().unwrap().map_or_else(|| "none".to_owned(), |route| route.0.clone());
        // What is borrowed goes before anything is set: otherwise this does not compile.
        drop(headers);
        names.iter().for_each(|name| envoy.remove_request_header(name));
        envoy.add_request_header("x-set", &route);
        let left = envoy.request_headers().len().to_string();
        envoy.set_metadata("ns", &[("count", &count), ("left", &left), ("empty", "")]);
        envoy.set_metadata("ns", &[]);
        envoy.set_metadata_struct("ns", b"\x0a\x0a\x0a\x04none\x12\x02\x32\x00");
        for item in ["one", &values.to_string()] {
            envoy.add_to_metadata_list("ns", "list", item);
        }
    }

    fn answer(envoy: &mut EnvoyStream<'_>) {
        let body = vec![b'x'; 1000];
        envoy.respond(403, &[("x-why", "as configured"), ("x-empty", "")], &body, "details");
    }

    pub fn deny_broken(envoy: &mut EnvoyStream<'_>) {
        envoy.respond(503, &[], b"", "broken");
    }
}

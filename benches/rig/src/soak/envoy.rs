//! The Envoy that is soaked. It answers requests itself, with what an upstream would have seen.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long Envoy may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";

pub struct Envoy {
    child: std::cell::RefCell<Child>,
    dir: PathBuf,
    port: u16,
    admin: String,
}

impl Envoy {
    pub async fn start(binary: &str, modules: &str, workers: usize, config: &Value) -> Self {
        let dir = super::scratch();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let admin_file = dir.join("admin");
        let _ = std::fs::remove_file(&admin_file);
        let directory = dir.to_str().unwrap();
        let bootstrap = json!({
            "node": {"id": "soak", "cluster": "soak"},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "dynamic_resources": {"lds_config": {"path_config_source": {
                "path": dir.join("lds.json"), "watched_directory": {"path": directory},
            }}},
        });
        std::fs::write(dir.join("envoy.json"), bootstrap.to_string()).unwrap();
        write(&dir, &[listener(port, config)]);
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let child = Command::new(binary)
            .args(["--disable-hot-restart", "--log-level", "warn", "--drain-time-s", "1"])
            .args(["--drain-strategy", "immediate", "--concurrency", &workers.to_string()])
            .arg("--admin-address-path")
            .arg(&admin_file)
            .arg("-c")
            .arg(dir.join("envoy.json"))
            .env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", modules)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy = Self { child: child.into(), dir, port, admin: String::new() };
        let started = Instant::now();
        while TcpStream::connect(envoy.address()).await.is_err() {
            envoy.assert_patient(started, "a listener");
            pause().await;
        }
        envoy.admin = std::fs::read_to_string(admin_file).unwrap().trim().to_owned();
        envoy
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Moves a new listener in place of the one that is there, and waits until it is taken.
    pub async fn takes(&self, config: &Value) {
        self.updates(&[listener(self.port, config)], "update_success").await;
    }

    /// The same with one that is refused.
    pub async fn refuses(&self, config: &Value) {
        self.updates(&[listener(self.port, config)], "update_rejected").await;
    }

    /// Takes the listener away, and waits until no thread of ours is left.
    pub async fn has_no_listener(&self) {
        self.updates(&[], "update_success").await;
        let started = Instant::now();
        while self.threads_of_ours() > 0 {
            self.assert_patient(started, "the end of our thread");
            pause().await;
        }
    }

    /// It ends as it should when it is told to.
    pub async fn ends(&self) {
        let pid = self.child.borrow().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let started = Instant::now();
        loop {
            let ended = self.child.borrow_mut().try_wait().unwrap();
            if let Some(status) = ended {
                assert!(status.success(), "{status}: {}", self.log());
                return;
            }
            self.assert_patient(started, "its end");
            pause().await;
        }
    }

    /// Resident memory.
    pub fn memory_kib(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many threads the module has.
    pub fn threads_of_ours(&self) -> usize {
        let tasks = format!("/proc/{}/task", self.child.borrow().id());
        let tasks = std::fs::read_dir(tasks).unwrap();
        let names =
            tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim() == "doorward").count()
    }

    fn proc(&self, name: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{name}", self.child.borrow().id())).unwrap()
    }

    async fn updates(&self, listeners: &[Value], outcome: &str) {
        let before = self.statistic(outcome).await;
        write(&self.dir, listeners);
        let started = Instant::now();
        while self.statistic(outcome).await <= before {
            self.assert_patient(started, outcome);
            pause().await;
        }
    }

    async fn statistic(&self, name: &str) -> u64 {
        let mut connection = TcpStream::connect(&self.admin).await.unwrap();
        let path = format!("/stats?filter=listener_manager.lds.{name}");
        let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let value = answer.split(&format!("lds.{name}: ")).nth(1).unwrap_or("0");
        value.lines().next().unwrap().trim().parse().unwrap()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn assert_patient(&self, since: Instant, what: &str) {
        let ended = self.child.borrow_mut().try_wait().unwrap();
        assert!(ended.is_none(), "Envoy has ended ({ended:?}):\n{}", self.log());
        assert!(since.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}:\n{}", self.log());
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.borrow_mut().kill();
        let _ = self.child.borrow_mut().wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

/// As Envoy's documentation has it: written beside, then moved.
fn write(dir: &std::path::Path, listeners: &[Value]) {
    static VERSION: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let version = VERSION.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
    let new = dir.join("lds.new");
    std::fs::write(&new, json!({"version_info": version, "resources": listeners}).to_string())
        .unwrap();
    std::fs::rename(new, dir.join("lds.json")).unwrap();
}

fn listener(port: u16, config: &Value) -> Value {
    let module = json!({"name": "doorward_envoy", "do_not_close": true});
    let per_route = |mode: &str| {
        json!({"doorward": {
            "@type": format!("{FILTERS}.http.dynamic_modules.v3.DynamicModuleFilterPerRoute"),
            "dynamic_module_config": module, "filter_name": "doorward",
            "filter_config": {
                "@type": "type.googleapis.com/google.protobuf.Struct", "value": {"mode": mode},
            },
        }})
    };
    let route = |prefix: &str, mode: Option<&str>| {
        json!({
            "match": {"prefix": prefix}, "direct_response": {"status": 200},
            "typed_per_filter_config": mode.map_or(json!({}), per_route),
        })
    };
    let shown = |name: &str, value: &str| json!({"header": {"key": name, "value": value}});
    json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "name": "door",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "door",
                "use_remote_address": true,
                "normalize_path": true,
                "http_filters": [
                    {"name": "doorward", "typed_config": {
                        "@type": format!("{FILTERS}.http.dynamic_modules.v3.DynamicModuleFilter"),
                        "dynamic_module_config": module, "filter_name": "doorward",
                        "filter_config": {
                            "@type": "type.googleapis.com/google.protobuf.Struct", "value": config,
                        },
                    }},
                    {"name": "envoy.filters.http.router", "typed_config": {
                        "@type": format!("{FILTERS}.http.router.v3.Router"),
                    }},
                ],
                "route_config": {"virtual_hosts": [{
                    "name": "all", "domains": ["*"],
                    "routes": [
                        route("/public/", Some("bypass")),
                        route("/optional/", Some("optional")),
                        route("/", None),
                    ],
                    "response_headers_to_add": [
                        shown("x-seen-id", "%REQ(x-nmp-principal-id)%"),
                        shown("x-seen-forged", "%REQ(x_nmp_principal_id)%%REQ(x.nmp.principal.id)%%REQ(x-nmp-anything)%"),
                    ],
                }]},
            },
        }]}],
    })
}

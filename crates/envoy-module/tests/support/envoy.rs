//! Envoy's configuration, in files of its own, and one that runs by it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{Around, eventually, http};

const TYPES: &str = "type.googleapis.com";

/// A running Envoy, whose listeners are in a file that it watches.
pub struct Envoy {
    child: Child,
    dir: TempDir,
    admin: String,
}

/// What `--mode validate` says.
pub struct Trial {
    pub accepted: bool,
    pub said: String,
}

impl Envoy {
    /// Starts one with these listeners, and waits until all of them are there.
    pub async fn start(around: &Around, listeners: &[Value]) -> Self {
        let dir = TempDir::new().unwrap();
        let (file, admin) = (dir.path().join("envoy.json"), dir.path().join("admin"));
        put_listeners(dir.path(), 0, listeners);
        let watched = json!({"path_config_source": {"path": dir.path().join("lds.json")}});
        let mut config = bootstrap(around, &[]);
        config["dynamic_resources"] = json!({"lds_config": watched});
        fs::write(&file, config.to_string()).unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = command(around)
            .args(["--concurrency", "2", "--file-flush-interval-msec", "20"])
            // A listener that is replaced is kept for its connections: not for ten minutes here.
            .args(["--drain-time-s", "1", "--drain-strategy", "immediate"])
            .arg("--admin-address-path")
            .arg(&admin)
            .arg("-c")
            .arg(&file)
            .stdout(fs::File::create(dir.path().join("access")).unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut envoy = Self { child, dir, admin: String::new() };
        envoy.admin = eventually("Envoy says where its admin port is", async || {
            fs::read_to_string(&admin).ok().filter(|address| !address.is_empty())
        })
        .await;
        for listener in listeners {
            envoy.address(listener["name"].as_str().unwrap()).await;
        }
        envoy
    }

    /// Where a listener is, once it is there.
    pub async fn address(&self, listener: &str) -> SocketAddr {
        eventually(&format!("the listener {listener}"), async || {
            let listeners = self.admin("/listeners?format=json").await;
            let listeners: Value = serde_json::from_str(&listeners).ok()?;
            let all = listeners["listener_statuses"].as_array()?.clone();
            let found = all.into_iter().find(|one| one["name"] == listener)?;
            let address = &found["local_address"]["socket_address"];
            let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            tokio::net::TcpStream::connect(address).await.ok().map(|_| address)
        })
        .await
    }

    /// Hands it other listeners, as their `version`.
    pub fn update(&self, version: u32, listeners: &[Value]) {
        put_listeners(self.dir.path(), version, listeners);
    }

    /// A page of its admin port; empty while there is none.
    pub async fn admin(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.admin);
        match http().get(url).send().await {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// The value of a statistic, by its name and labels as Prometheus has them.
    pub async fn statistic(&self, name: &str, labels: &[&str]) -> Option<u64> {
        let page = self.admin("/stats/prometheus").await;
        let line = page.lines().find(|line| {
            line.split_once('{').is_some_and(|(front, _)| front.ends_with(name))
                && labels.iter().all(|label| line.contains(label))
        })?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.read("log")
    }

    /// Its access log.
    pub fn access_log(&self) -> String {
        self.read("access")
    }

    /// How many of its threads have this name.
    pub fn threads(&self, name: &str) -> usize {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id().unwrap())).unwrap();
        let names =
            tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|found| found.trim() == name).count()
    }

    /// Whether it runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as an operator does; what it ended with.
    pub async fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().unwrap().to_string();
        let kill = std::process::Command::new("kill").arg(pid).status().unwrap();
        assert!(kill.success());
        eventually("Envoy ends", async || self.child.try_wait().unwrap()).await.code()
    }

    fn read(&self, file: &str) -> String {
        let bytes = fs::read(self.dir.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn command(around: &Around) -> Command {
    let mut command = Command::new(&around.envoy);
    command
        .args(["--disable-hot-restart", "--log-level", "warning"])
        .args(["--component-log-level", "dynamic_modules:info"])
        .env("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", &around.modules)
        // Nothing of it is the module's configuration.
        .env("DOORWARD_AUTH__OIDC__AUDIENCE", "of-the-environment")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Has Envoy look at a configuration with these listeners.
pub async fn validate(around: &Around, listeners: &[Value]) -> Trial {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("envoy.json");
    fs::write(&file, bootstrap(around, listeners).to_string()).unwrap();
    let mut command = command(around);
    let output = command.args(["--mode", "validate", "-c"]).arg(&file).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Trial { accepted: output.status.success(), said }
}

/// Replaces the file, as Envoy wants it.
fn put_listeners(dir: &Path, version: u32, listeners: &[Value]) {
    let typed = |listener: &Value| {
        let mut listener = listener.clone();
        listener["@type"] = json!(format!("{TYPES}/envoy.config.listener.v3.Listener"));
        listener
    };
    let resources: Vec<_> = listeners.iter().map(typed).collect();
    let document = json!({"version_info": version.to_string(), "resources": resources});
    let new: PathBuf = dir.join("lds.json.new");
    fs::write(&new, document.to_string()).unwrap();
    fs::rename(new, dir.join("lds.json")).unwrap();
}

/// An Envoy in front of what is around, each a cluster: `upstream`, `issuer` and `doorward`.
fn bootstrap(around: &Around, listeners: &[Value]) -> Value {
    let issuer: SocketAddr =
        around.issuer.issuer_url().strip_prefix("http://").unwrap().parse().unwrap();
    let mut clusters =
        vec![cluster("upstream", around.upstream.address()), cluster("issuer", issuer)];
    if let Some(server) = around.server {
        let mut server = cluster("doorward", server);
        let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        server["typed_extension_protocol_options"] = json!({options: {
            "@type": format!("{TYPES}/{options}"),
            "explicit_http_config": {"http2_protocol_options": {}},
        }});
        clusters.push(server);
    }
    json!({
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": socket(SocketAddr::from(([127, 0, 0, 1], 0)))},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    })
}

fn cluster(name: &str, address: SocketAddr) -> Value {
    let endpoint = json!({"endpoint": {"address": socket(address)}});
    json!({
        "name": name,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    })
}

fn socket(address: SocketAddr) -> Value {
    let (host, port) = (address.ip().to_string(), address.port());
    json!({"socket_address": {"address": host, "port_value": port}})
}

/// A listener on a port of its own, with this filter in front of the upstream. `routes` are looked
/// at before the one that takes all.
pub fn listener(name: &str, filter: Value, routes: &[Value]) -> Value {
    let all = json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}});
    let routes: Vec<_> = routes.iter().cloned().chain([all]).collect();
    let format = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% \
                  %DYNAMIC_METADATA(envoy.filters.http.ext_authz)%\n";
    let access_log = json!({
        "name": "stdout",
        "typed_config": {
            "@type": format!("{TYPES}/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"),
            "log_format": {"text_format_source": {"inline_string": format}},
        },
    });
    let router = json!({
        "name": "router",
        "typed_config": {"@type": format!("{TYPES}/envoy.extensions.filters.http.router.v3.Router")},
    });
    let manager =
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let manager = json!({
        "name": "http",
        "typed_config": {
            "@type": format!("{TYPES}/{manager}"),
            "stat_prefix": name,
            "access_log": [access_log],
            "http_filters": [filter, router],
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        },
    });
    json!({
        "name": name,
        "address": socket(SocketAddr::from(([127, 0, 0, 1], 0))),
        "filter_chains": [{"filters": [manager]}],
    })
}

/// The filter with this configuration: an object, or a text, which may be the path of a file.
pub fn module(config: Value) -> Value {
    let kind = "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter";
    json!({
        "name": "doorward",
        "typed_config": {
            "@type": format!("{TYPES}/{kind}"),
            "dynamic_module_config": {"name": "doorward_envoy", "do_not_close": true},
            "filter_name": "doorward",
            "filter_config": any(config),
        },
    })
}

/// A route to the upstream that says this to the filter.
pub fn per_route(prefix: &str, config: Value) -> Value {
    let kind = "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute";
    let said = json!({
        "@type": format!("{TYPES}/{kind}"),
        "dynamic_module_config": {"name": "doorward_envoy", "do_not_close": true},
        "filter_config": any(config),
    });
    json!({
        "match": {"prefix": prefix},
        "route": {"cluster": "upstream"},
        "typed_per_filter_config": {"doorward": said},
    })
}

fn any(config: Value) -> Value {
    let kind = if config.is_string() { "StringValue" } else { "Struct" };
    json!({"@type": format!("{TYPES}/google.protobuf.{kind}"), "value": config})
}

impl Drop for Envoy {
    /// What it said, where a test fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
    }
}

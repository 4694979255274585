//! A whole Doorward on free ports of this machine, and what one asks of it.

use doorward::app::{self, Running};
use doorward::config::{ListenAddress, Settings};

use super::check::{Ask, Checker, Outcome};

pub struct Doorward {
    running: Running,
}

impl Doorward {
    /// Starts a server with this configuration (YAML or JSON), its listeners on free
    /// ports.
    pub async fn start(config: &str) -> Self {
        let mut settings = Settings::from_yaml("test", config).unwrap_or_else(|e| panic!("{e}"));
        let server = &mut settings.server;
        for listener in [&mut server.grpc, &mut server.http, &mut server.admin] {
            if let ListenAddress::Tcp(address) = &mut listener.listen {
                address.set_port(0);
            }
        }
        server.workers = 1;
        // Clients of the test live on the thread that waits for the end.
        server.drain = std::time::Duration::from_millis(100);
        let running = tokio::task::spawn_blocking(|| app::start(settings, None)).await.unwrap();
        Self { running: running.unwrap() }
    }

    pub fn running(&self) -> &Running {
        &self.running
    }

    pub fn grpc(&self) -> String {
        self.running.grpc().to_string()
    }

    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.http())
    }

    pub fn admin(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.admin())
    }

    pub async fn checker(&self) -> Checker {
        Checker::connect(&self.grpc()).await
    }

    /// One `Check` on a connection of its own.
    pub async fn ask(&self, ask: Ask) -> Outcome {
        self.checker().await.ask(ask).await
    }
}

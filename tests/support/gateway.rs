//! The whole way: a client, a real Envoy, Doorward, and the upstream behind.

use super::doorward::Doorward;
use super::echo::Echo;
use super::envoy::{Behind, Envoy, fill};
use super::raw::{RawRequest, Reply};
use super::tools;

pub struct Gateway {
    envoy: Envoy,
    doorward: Option<Doorward>,
    echo: Echo,
}

impl Gateway {
    /// Starts all of it, Envoy with this file of `envoy/`. `None`: no Envoy, the test is
    /// skipped.
    pub async fn start(file: &str, config: &str) -> Option<Self> {
        Self::start_changed(file, [], config).await
    }

    /// [`start`](Self::start) with lines of the file changed, each of which must be in it.
    pub async fn start_changed<const N: usize>(
        file: &str,
        changes: [(&str, &str); N],
        config: &str,
    ) -> Option<Self> {
        let binary = tools::tool("envoy").await?;
        let mut envoy = tools::file(&format!("envoy/{file}"));
        for (line, changed) in changes {
            // Envoy takes the last of two equal keys without a word: replaced, not added.
            assert_eq!(envoy.matches(line).count(), 1, "{file}: {line}");
            envoy = envoy.replace(line, changed);
        }
        let (doorward, echo) = (Doorward::start(config).await, Echo::start().await);
        doorward.ready().await;
        let envoy = Envoy::run(&binary, file, &fill(&envoy, behind(&doorward, &echo))).await;
        Some(Self { envoy, doorward: Some(doorward), echo })
    }

    /// Of parts that run already.
    pub fn of(envoy: Envoy, doorward: Doorward, echo: Echo) -> Self {
        Self { envoy, doorward: Some(doorward), echo }
    }

    pub fn doorward(&self) -> &Doorward {
        self.doorward.as_ref().expect("not stopped")
    }

    pub fn echo(&self) -> &Echo {
        &self.echo
    }

    pub fn envoy(&self) -> &Envoy {
        &self.envoy
    }

    /// Stops Doorward; Envoy and the upstream stay.
    pub fn stop_doorward(&mut self) {
        self.doorward = None;
    }

    /// Sends a request through the door.
    pub async fn send(&self, request: &RawRequest) -> Reply {
        request.send(self.envoy.address()).await
    }
}

/// The ports that an Envoy in front of these needs to know.
pub fn behind(doorward: &Doorward, echo: &Echo) -> Behind {
    let (grpc, http) = (doorward.grpc_address().port(), doorward.http_address().port());
    Behind { grpc, http, upstream: echo.port() }
}

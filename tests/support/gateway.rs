//! The whole way: a client, a real Envoy, Doorward, and the upstream behind.

use super::doorward::Doorward;
use super::echo::Echo;
use super::envoy::{Behind, Envoy};
use super::raw::{RawRequest, Reply};

pub struct Gateway {
    envoy: Envoy,
    doorward: Option<Doorward>,
    echo: Echo,
}

impl Gateway {
    /// Starts all of it, Envoy with this file of `envoy/`. `None`: no Envoy, the test is
    /// skipped.
    pub async fn start(file: &str, config: &str) -> Option<Self> {
        let (doorward, echo) = (Doorward::start(config).await, Echo::start().await);
        doorward.ready().await;
        let behind = behind(&doorward, &echo);
        let envoy = Envoy::start(file, behind).await?;
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
        request.send(self.envoy.door()).await
    }
}

/// The ports that an Envoy in front of these needs to know.
pub fn behind(doorward: &Doorward, echo: &Echo) -> Behind {
    let (grpc, http) = (doorward.grpc_address().port(), doorward.http_address().port());
    Behind { grpc, http, upstream: echo.port() }
}

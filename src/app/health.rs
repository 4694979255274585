//! Whether we are ready, as gRPC health and the log tell it.

use std::sync::Arc;
use std::time::Duration;

use doorward_core::clock::{Clock as _, SystemClock};

use super::admin::Overview;
use super::expiry::ExpiryLog;
use super::shortage::ShortageLog;

/// How often readiness and keys are looked at, for gRPC health and the log, until ready and from
/// then on.
const READINESS_INTERVAL: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(500));

/// What gRPC health knows us as: everything, and the service that Envoy calls.
pub(super) const SERVICES: [&str; 2] = ["", "envoy.service.auth.v3.Authorization"];

/// Tells gRPC health, and the log, whether we are ready; runs until it is dropped.
pub(super) async fn report(
    health: tonic_health::server::HealthReporter,
    overview: Arc<Overview>,
    mut expiry: ExpiryLog,
) {
    let mut was_ready = false;
    let mut shortages = ShortageLog::default();
    loop {
        overview.tell_shortages(&mut shortages);
        expiry.look(SystemClock.now());
        let ready = overview.is_ready();
        if ready != was_ready {
            let status = if ready {
                tonic_health::ServingStatus::Serving
            } else {
                tonic_health::ServingStatus::NotServing
            };
            for name in SERVICES {
                health.set_service_status(name, status).await;
            }
            tracing::info!(ready, "readiness changed");
            was_ready = ready;
        }
        let (until_ready, from_then_on) = READINESS_INTERVAL;
        tokio::time::sleep(if ready { from_then_on } else { until_ready }).await;
    }
}

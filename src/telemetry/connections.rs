//! Connections, and what of them and of their calls is not served to its end.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

/// What is counted of connections.
#[derive(Clone)]
pub struct ConnectionMetrics {
    open: IntGauge,
    unfinished: IntGauge,
    closed: IntCounterVec,
    cut_off: IntCounterVec,
}

/// Why a connection was closed by us, or not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It said nothing, or not all of its first words.
    #[error("the client said nothing, or did not finish its first words")]
    Silent,
    /// It had no call for long.
    #[error("there was no call for long")]
    Idle,
    /// The client took no answers, or began headers without ending them.
    #[error("the client takes no answers, or does not end the headers that it began")]
    Stalled,
    /// The headers that it began found no room.
    #[error("the headers that the client began find no room beside other unfinished calls")]
    OverBudget,
    /// Another connection needed its place.
    #[error("another connection needs its place")]
    MadeRoom,
    /// All places were taken by connections at work.
    #[error("all places are taken")]
    NoPlace,
}

/// Why a call was ended before its decision, or before all of the answer was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// Its message did not come in time, or its answer was not taken in time.
    Late,
    /// What it held found no room.
    OverBudget,
}

impl Closed {
    const ALL: [Self; 6] =
        [Self::Silent, Self::Idle, Self::Stalled, Self::OverBudget, Self::MadeRoom, Self::NoPlace];

    fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::OverBudget => "over_budget",
            Self::MadeRoom => "made_room",
            Self::NoPlace => "no_place",
        }
    }
}

impl CutOff {
    const ALL: [Self; 2] = [Self::Late, Self::OverBudget];

    fn label(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::OverBudget => "over_budget",
        }
    }
}

impl ConnectionMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let by_reason =
            |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["reason"]);
        let metrics = Self {
            open: IntGauge::new("doorward_connections", "Connections to the gRPC and HTTP ports.")?,
            unfinished: IntGauge::new(
                "doorward_unfinished_bytes",
                "What unfinished calls hold of what all connections share.",
            )?,
            closed: by_reason(
                "doorward_connections_closed_total",
                "Connections that were closed by Doorward, or not taken.",
            )?,
            cut_off: by_reason(
                "doorward_calls_cut_off_total",
                "Calls that were ended before their decision or answer.",
            )?,
        };
        // Each is shown from the start, so that its first increase is one.
        Closed::ALL.iter().for_each(|reason| drop(metrics.closed_for(*reason)));
        CutOff::ALL.iter().for_each(|reason| drop(metrics.cut_off_for(*reason)));
        Ok(metrics)
    }

    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 4] {
        [
            Box::new(self.open.clone()),
            Box::new(self.unfinished.clone()),
            Box::new(self.closed.clone()),
            Box::new(self.cut_off.clone()),
        ]
    }

    /// Takes note of a connection that was closed.
    pub fn closed(&self, reason: Closed) {
        self.closed_for(reason).inc();
    }

    /// Takes note of a call that was cut off.
    pub fn cut_off(&self, reason: CutOff) {
        self.cut_off_for(reason).inc();
    }

    /// Says how many connections there are, and how many bytes unfinished calls share.
    pub fn set(&self, connections: usize, unfinished: usize) {
        self.open.set(i64::try_from(connections).unwrap_or(i64::MAX));
        self.unfinished.set(i64::try_from(unfinished).unwrap_or(i64::MAX));
    }

    fn closed_for(&self, reason: Closed) -> IntCounter {
        self.closed.with_label_values(&[reason.label()])
    }

    fn cut_off_for(&self, reason: CutOff) -> IntCounter {
        self.cut_off.with_label_values(&[reason.label()])
    }
}

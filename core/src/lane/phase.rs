//! What is a lane doing? Who changes it are `ready` and `outcome`.

/// What a lane is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is in flight.
    #[default]
    Idle,
    /// A page of the spilled span is being read.
    Loading,
    /// A request is at the node; its outcome counts only while the node keeps its standing.
    Asking,
    /// The node has answered and the outcome is being made durable; it counts whatever happens to the
    /// node's standing after `generation`.
    Committing { generation: u64 },
    /// The node failed; the next attempt waits until this moment (ms of the balancer's clock).
    BackOff { until_ms: u64 },
    /// What was sent may still be executed. Nothing is sent again before the node has lost its standing
    /// and settled, whatever the order in which that is heard.
    InDoubt,
    /// The node refuses an entry that was accepted elsewhere; nothing moves until it is rebuilt.
    Quarantined { reason: String },
}

impl Phase {
    /// For people.
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Idle => "waits for its turn",
            Phase::Loading => "is read from the log",
            Phase::Asking => "was sent, no answer yet",
            Phase::Committing { .. } => "answered, being made durable",
            Phase::BackOff { .. } => "failed, is tried again",
            Phase::InDoubt => "in doubt, waits until the node has settled",
            Phase::Quarantined { .. } => "quarantined, waits for a copy",
        }
    }
}

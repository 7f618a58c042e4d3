//! What do a node's probes and outcomes say about it? The words of a node's health: its states, what
//! is observed, why it changes; `health/machine.rs` holds the moves. Nothing here probes a node, logs
//! or decides which node acts.

use std::fmt;
use std::time::Duration;

use crate::port::NodeFault;

mod machine;
#[cfg(test)]
mod tests;

pub use machine::Health;

/// How one node is. Times count from the balancer's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeState {
    /// Answers, and has applied everything it should have.
    Up,
    /// A probe or request failed a moment ago: traffic has moved, the next probes decide.
    Suspect,
    /// Failed `failure_threshold` probes in a row.
    Down,
    /// Answers again (or the balancer just started): what was sent to it before may still execute, so
    /// nothing is applied until this time, and then only over fresh connections.
    Settling { until: Duration },
    /// Settled; its lanes apply what it has missed.
    CatchingUp,
    /// Its collections are being copied anew from another node.
    Rebuilding,
    /// An operator takes it out: what is under way there ends, nothing is begun.
    Draining,
    /// Taken out by an operator, and nothing is under way there; stays so until the operator undrains it.
    Drained,
}

impl NodeState {
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Up => "up",
            NodeState::Suspect => "suspect",
            NodeState::Down => "down",
            NodeState::Settling { .. } => "settling",
            NodeState::CatchingUp => "catching-up",
            NodeState::Rebuilding => "rebuilding",
            NodeState::Draining => "draining",
            NodeState::Drained => "drained",
        }
    }

    /// Whether its lanes may send.
    pub fn applies(self) -> bool {
        matches!(self, NodeState::Up | NodeState::CatchingUp | NodeState::Rebuilding)
    }

    /// Whether it may be read where its position allows it.
    pub fn serves(self) -> bool {
        matches!(self, NodeState::Up | NodeState::CatchingUp)
    }

    /// Whether an operator wants it left alone.
    pub fn is_taken_out(self) -> bool {
        matches!(self, NodeState::Draining | NodeState::Drained)
    }

    /// Whether nobody should wait for it.
    pub fn is_gone(self) -> bool {
        matches!(self, NodeState::Down | NodeState::Drained)
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a request met instead of a usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer.
    #[error("{0}")]
    Fault(#[from] NodeFault),
    /// An answer that is the node's problem: 429 or 5xx. Answers which only look so (a client's
    /// mistake answered 500) must not be reported here.
    #[error("status {0}")]
    Status(u16),
}

/// One fact about the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A heartbeat was answered, however slowly.
    ProbeOk { latency: Duration },
    /// A heartbeat failed; one that is answered with an error counts as `NodeFault::Lost`.
    ProbeFailed(NodeFault),
    /// A request was answered.
    RequestOk,
    /// A client's read failed.
    RequestFailed(Failure),
    /// A lane's request failed. Unlike a read's, a lost connection here leaves a write in doubt.
    ApplyFailed(Failure),
    /// Every lane has applied what is in the log. Meant for `catching-up`, ignored elsewhere.
    CaughtUp,
    /// The node is too far behind to be called up.
    FellBehind,
    /// Its data is gone or wrong: it is being copied anew.
    RebuildStarted,
    /// The copy is complete; what was logged meanwhile is still to be applied.
    Rebuilt,
    /// An operator takes the node out.
    Drain,
    /// Nothing is under way there any more. Meant for `draining`, ignored elsewhere.
    Emptied,
    /// An operator puts the node back.
    Undrain,
    /// Only time has passed.
    Tick,
}

/// Why a state changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthReason {
    /// One failed probe.
    #[error("a probe failed: {0}")]
    ProbeFailed(NodeFault),
    /// One request was refused, timed out, or left a write in doubt.
    #[error("a request failed: {0}")]
    RequestFailed(Failure),
    /// Requests failed in a row, though each alone proves nothing.
    #[error("{count} requests in a row failed, the last with {last}")]
    RequestsFailed { count: u32, last: Failure },
    /// Probes failed in a row.
    #[error("{count} probes in a row failed, the last with: {last}")]
    ProbesFailed { count: u32, last: NodeFault },
    /// Probes were answered in a row.
    #[error("{count} probes in a row were answered")]
    Recovered { count: u32 },
    /// The settling time is over.
    #[error("the settling time is over")]
    Settled,
    /// Everything in the log is applied.
    #[error("everything in the log is applied")]
    CaughtUp,
    /// The node lags.
    #[error("the node fell behind")]
    FellBehind,
    /// The node's data is being copied anew.
    #[error("a rebuild started")]
    RebuildStarted,
    /// The node's data was copied.
    #[error("the rebuild is complete")]
    Rebuilt,
    /// By an operator.
    #[error("drained by an operator")]
    Drain,
    /// Nothing is under way there.
    #[error("drained: nothing is under way there")]
    Emptied,
    /// By an operator.
    #[error("undrained by an operator")]
    Undrain,
}

/// A move from one state to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub from: NodeState,
    pub to: NodeState,
    pub reason: HealthReason,
}

/// What is enough to believe a node gone or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthConfig {
    /// Failed probes in a row until `down`; also failed requests in a row until `suspect`.
    pub failure_threshold: u32,
    /// Answered probes in a row until a node leaves `suspect` or `down`.
    pub recovery_threshold: u32,
    /// How long a node that came back is left alone.
    pub settle: Duration,
    /// Time between probes while nothing is in doubt.
    pub interval: Duration,
}

impl Default for HealthConfig {
    fn default() -> HealthConfig {
        HealthConfig {
            failure_threshold: 3,
            recovery_threshold: 2,
            settle: Duration::from_secs(1),
            interval: Duration::from_millis(500),
        }
    }
}

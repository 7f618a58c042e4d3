//! Which state does a node move to on one observation, and when is it probed next? The moves only:
//! no clock, no chance, no effect on traffic.

use std::time::Duration;

use crate::health::{Change, Failure, HealthConfig, HealthReason, NodeState, Observation};
use crate::port::NodeFault;

/// Probe interval while a node's state is in doubt.
const FAST_PROBE: Duration = Duration::from_millis(200);
/// How long a node that went down is probed fast: most outages are restarts.
const RECENTLY: Duration = Duration::from_secs(30);

/// One node's health.
#[derive(Clone, Debug)]
pub struct Health {
    config: HealthConfig,
    state: NodeState,
    /// When the state was entered.
    since: Duration,
    /// Failed probes in a row.
    failed_probes: u32,
    /// Answered probes in a row since the state was entered.
    good_probes: u32,
    /// Failed requests since the last one that was answered.
    failed_requests: u32,
    /// Whether a request failed since the last answered probe.
    doubt: bool,
    /// Time the last answered probe took.
    latency: Option<Duration>,
}

impl Health {
    /// A node at the start of the balancer, or when it takes the log over: what another balancer sent
    /// may still execute.
    pub fn new(config: HealthConfig, now: Duration) -> Health {
        Health {
            config,
            state: NodeState::Settling { until: now + config.settle },
            since: now,
            failed_probes: 0,
            good_probes: 0,
            failed_requests: 0,
            doubt: false,
            latency: None,
        }
    }

    pub fn state(&self) -> NodeState {
        self.state
    }

    /// When the state was entered.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// Time the last answered probe took.
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// Takes one fact in and moves if it suffices.
    pub fn observe(&mut self, observation: Observation, now: Duration) -> Option<Change> {
        // Never sent: it says nothing about the node.
        if observation == Observation::ApplyFailed(Failure::Fault(NodeFault::Withheld)) {
            return None;
        }
        self.count(&observation);
        let (to, reason) = match observation {
            Observation::ProbeOk { .. } | Observation::Tick => self.after_good_sign(now)?,
            Observation::ProbeFailed(fault) => self.after_failed_probe(fault)?,
            Observation::RequestFailed(failure) => self.after_failed_request(failure, false)?,
            Observation::ApplyFailed(failure) => self.after_failed_request(failure, true)?,
            Observation::RequestOk => return None,
            word => self.after_word(&word, now)?,
        };
        Some(self.enter(to, reason, now))
    }

    /// How long to wait before the next probe: the interval when calm, less when in doubt. `jitter` in
    /// `0..1` spreads it by a tenth either way.
    pub fn next_probe(&self, now: Duration, jitter: f64) -> Duration {
        let fast = FAST_PROBE.min(self.config.interval);
        let spread = 0.9 + 0.2 * if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.5 };
        match self.state {
            NodeState::Settling { until } => match until.saturating_sub(now) {
                Duration::ZERO => fast.mul_f64(spread),
                left => left.min(fast.mul_f64(spread)),
            },
            NodeState::Suspect | NodeState::Draining => fast.mul_f64(spread),
            NodeState::Down if now.saturating_sub(self.since) < RECENTLY => fast.mul_f64(spread),
            state if state.applies() && self.doubt => fast.mul_f64(spread),
            _ => self.config.interval.mul_f64(spread),
        }
    }

    fn count(&mut self, observation: &Observation) {
        match observation {
            Observation::ProbeOk { latency } => {
                self.latency = Some(*latency);
                self.doubt = false;
                self.failed_probes = 0;
                self.good_probes = self.good_probes.saturating_add(1);
            }
            Observation::ProbeFailed(_) => {
                self.good_probes = 0;
                self.failed_probes = self.failed_probes.saturating_add(1);
            }
            Observation::RequestOk => self.failed_requests = 0,
            Observation::RequestFailed(_) | Observation::ApplyFailed(_) => {
                self.doubt = true;
                self.failed_requests = self.failed_requests.saturating_add(1);
            }
            _ => {}
        }
    }

    /// A good probe, or time passing after one.
    fn after_good_sign(&self, now: Duration) -> Option<(NodeState, HealthReason)> {
        match self.state {
            NodeState::Suspect | NodeState::Down if self.good_probes >= self.config.recovery_threshold => {
                Some((self.settling(now), HealthReason::Recovered { count: self.good_probes }))
            }
            NodeState::Settling { until } if now >= until && self.good_probes > 0 => {
                Some((NodeState::CatchingUp, HealthReason::Settled))
            }
            _ => None,
        }
    }

    fn after_failed_probe(&self, fault: NodeFault) -> Option<(NodeState, HealthReason)> {
        let count = self.failed_probes;
        match self.state {
            NodeState::Down | NodeState::Drained => None,
            // What was under way there is given up: it settles when it is put back.
            NodeState::Draining if count >= self.config.failure_threshold => {
                Some((NodeState::Drained, HealthReason::ProbesFailed { count, last: fault }))
            }
            NodeState::Draining => None,
            _ if count >= self.config.failure_threshold => {
                Some((NodeState::Down, HealthReason::ProbesFailed { count, last: fault }))
            }
            NodeState::Suspect => None,
            _ => Some((NodeState::Suspect, HealthReason::ProbeFailed(fault))),
        }
    }

    fn after_failed_request(&self, failure: Failure, write: bool) -> Option<(NodeState, HealthReason)> {
        if matches!(self.state, NodeState::Suspect | NodeState::Down | NodeState::Drained) {
            return None;
        }
        let draining = self.state == NodeState::Draining;
        let to = if draining { NodeState::Drained } else { NodeState::Suspect };
        if proves_trouble(&failure, write) {
            return Some((to, HealthReason::RequestFailed(failure)));
        }
        let count = self.failed_requests;
        (count >= self.config.failure_threshold)
            .then_some((to, HealthReason::RequestsFailed { count, last: failure }))
    }

    /// What the lanes or an operator say.
    fn after_word(&self, word: &Observation, now: Duration) -> Option<(NodeState, HealthReason)> {
        match (word, self.state) {
            (Observation::CaughtUp, NodeState::CatchingUp) => Some((NodeState::Up, HealthReason::CaughtUp)),
            (Observation::FellBehind, NodeState::Up) => {
                Some((NodeState::CatchingUp, HealthReason::FellBehind))
            }
            (Observation::RebuildStarted, NodeState::Up | NodeState::CatchingUp) => {
                Some((NodeState::Rebuilding, HealthReason::RebuildStarted))
            }
            (Observation::Rebuilt, NodeState::Rebuilding) => {
                Some((NodeState::CatchingUp, HealthReason::Rebuilt))
            }
            (Observation::Drain, state) => self.leave(state),
            (Observation::Emptied, NodeState::Draining) => Some((NodeState::Drained, HealthReason::Emptied)),
            // It was never left: what is under way there counts.
            (Observation::Undrain, NodeState::Draining) => {
                Some((NodeState::CatchingUp, HealthReason::Undrain))
            }
            (Observation::Undrain, NodeState::Drained) => Some((self.settling(now), HealthReason::Undrain)),
            _ => None,
        }
    }

    fn settling(&self, now: Duration) -> NodeState {
        NodeState::Settling { until: now + self.config.settle }
    }

    /// Where nothing counts that was sent before, there is nothing to wait for.
    fn leave(&self, state: NodeState) -> Option<(NodeState, HealthReason)> {
        let to = if state.applies() { NodeState::Draining } else { NodeState::Drained };
        (!state.is_taken_out()).then_some((to, HealthReason::Drain))
    }

    fn enter(&mut self, to: NodeState, reason: HealthReason, now: Duration) -> Change {
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        self.good_probes = 0;
        if matches!(to, NodeState::Settling { .. }) {
            self.failed_requests = 0;
            self.failed_probes = 0;
        }
        Change { from, to, reason }
    }
}

/// Whether one failure is enough to move traffic. An error status, or a read whose connection closed
/// without an answer, may be the request's own fault: some malformed requests make Chroma do both.
fn proves_trouble(failure: &Failure, write: bool) -> bool {
    match failure {
        Failure::Fault(NodeFault::Refused | NodeFault::Untrusted(_) | NodeFault::Timeout(_)) => true,
        Failure::Fault(NodeFault::Lost(_)) => write,
        Failure::Fault(NodeFault::Withheld) | Failure::Status(_) => false,
    }
}

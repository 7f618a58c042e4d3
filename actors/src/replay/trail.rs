//! By what is one write found again on one node? A line for each delivery of it, under the ids of the write and
//! of its client's trace, and that trace passed on to the node. It decides nothing.

use std::time::Instant;

use chroma_ha_core::delivery::End;
use chroma_ha_core::entry::{Decision, Entry};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::{NodeFault, NodeRequest, NodeResponse};
use chroma_ha_core::sequencer::{Outcome, Task};
use chroma_ha_core::trace::{Span, TRACEPARENT, TraceParent};
use tracing::{info, warn};

use super::apply::role;
use crate::trace::{self, millis};

/// One delivery to one node.
pub(super) struct Trail {
    node: NodeId,
    /// What the node is asked under.
    span: Span,
    begun: Instant,
    /// Of the node's last answer.
    status: Option<u16>,
}

impl Trail {
    pub(super) fn begin(node: NodeId, task: &Task) -> Trail {
        let span = trace::begin(task.entries.first().and_then(|entry| parent(entry)));
        Trail { node, span, begun: Instant::now(), status: None }
    }

    /// The request with this delivery as its parent, in place of the client's own request.
    pub(super) fn marked(&self, mut request: NodeRequest) -> NodeRequest {
        request.headers.retain(|(name, _)| name != TRACEPARENT);
        request.headers.push((TRACEPARENT.to_owned(), self.span.as_parent().header()));
        request
    }

    pub(super) fn answered(&mut self, answer: &Result<NodeResponse, NodeFault>) {
        self.status = answer.as_ref().ok().map(|response| response.status);
    }

    /// `end`: none if the node lost its standing before.
    pub(super) fn tell(&self, task: &Task, end: Option<&End>) {
        for (n, entry) in task.entries.iter().enumerate() {
            // Merged into one request, each keeps the trace of its own client.
            let span = if n == 0 { self.span } else { trace::begin(parent(entry)) };
            self.line(task, entry, &span, end);
            if let Some(end) = end.filter(|end| end.counts) {
                self.trouble(task, entry, &span, end);
            }
        }
    }

    fn line(&self, task: &Task, entry: &Entry, span: &Span, end: Option<&End>) {
        info!(
            target: "apply",
            node = %self.node,
            role = role(task),
            outcome = outcome(end),
            status = self.status,
            duration_ms = millis(self.begun.elapsed()),
            attempt = task.attempts + 1,
            op = entry.draft.op.name(),
            failure = end.and_then(|end| end.failure.as_ref()).map(display),
            write_id = entry.draft.write_id,
            seq = entry.seq.0,
            trace_id = %span.trace,
            span_id = %span.id,
            parent_id = span.parent.map(display),
            sampled = (!span.sampled).then_some(false),
            "delivery"
        );
    }

    /// What people must know.
    fn trouble(&self, task: &Task, entry: &Entry, span: &Span, end: &End) {
        let (what, reason) = match &end.outcome {
            Outcome::Rejected if end.answers.first().is_some_and(|answer| answer.status == 500) => {
                ("a write was rejected because nodes failed under it", None)
            }
            Outcome::DeadLetter { reason, .. } => {
                ("the node refuses an accepted write: a dead letter", Some(reason))
            }
            Outcome::Quarantine { reason } => {
                ("the collection is quarantined there and copied anew", Some(reason))
            }
            _ => return,
        };
        warn!(
            node = %self.node,
            stream = %task.stream,
            reason,
            failures = task.failures,
            write_id = entry.draft.write_id,
            seq = entry.seq.0,
            trace_id = %span.trace,
            "{what}"
        );
    }
}

/// No node is asked for it.
pub(super) fn moot(entry: &Entry, decision: Decision) {
    let parent = parent(entry);
    info!(
        target: "apply",
        outcome = if decision == Decision::Accepted { "applied" } else { "rejected" },
        op = entry.draft.op.name(),
        write_id = entry.draft.write_id,
        seq = entry.seq.0,
        trace_id = parent.map(|parent| display(parent.trace)),
        "its collection was deleted before any node got it"
    );
}

/// The request of the client, from the log: it is the same after a restart.
fn parent(entry: &Entry) -> Option<TraceParent> {
    TraceParent::among(&entry.draft.headers)
}

fn outcome(end: Option<&End>) -> &'static str {
    let Some(end) = end else { return "given_up" };
    if !end.counts {
        return "too_late";
    }
    match end.outcome {
        Outcome::Applied(_) => "applied",
        Outcome::Rejected => "rejected",
        Outcome::Split => "split",
        Outcome::Retry { .. } => "tried_again",
        Outcome::InDoubt => "in_doubt",
        Outcome::Quarantine { .. } => "quarantined",
        Outcome::DeadLetter { .. } => "dead_letter",
    }
}

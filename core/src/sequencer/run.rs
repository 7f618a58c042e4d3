//! Which writes may go to a node in one request with the first one that waits there? Only those that could
//! go next by themselves, whatever becomes of the first. How they are joined is `coalesce`'s matter.

use std::sync::Arc;

use super::ready::Readiness;
use super::{Role, Sequencer, Ticket};
use crate::coalesce::RunEnd;
use crate::entry::{Decision, Entry, Op};
use crate::ids::{NodeId, Stream};
use crate::lane::{Lane, Phase};

/// Entries that go to a node in one request.
pub(super) struct Run {
    pub(super) entries: Vec<Arc<Entry>>,
    /// Why no more.
    pub(super) end: RunEnd,
    /// They did before: it is read whether they were applied.
    pub(super) read: bool,
}

impl Sequencer {
    /// The next request.
    pub(super) fn run(&self, node: NodeId, stream: Stream, first: &Arc<Entry>, role: Role) -> Run {
        let alone = |end| Run { entries: vec![Arc::clone(first)], end, read: false };
        let Some(lane) = self.nodes[node.0].lane(stream) else { return alone(RunEnd::Drained) };
        if !first.draft.op.is_record() || self.is_single(first) {
            return alone(RunEnd::Operation);
        }
        let unread = lane.unread();
        if role == Role::Acting && unread.len() > 1 {
            return Run { entries: unread, end: RunEnd::Held, read: true };
        }
        let apart = lane.goes_alone(first.seq) || role == Role::Acting && self.suspects.was_along(first);
        let blamed =
            self.suspects.is_suspected(node, role, first) || self.suspects.failures(node, role, first) > 0;
        if apart || blamed {
            return alone(RunEnd::Held);
        }
        self.gathered(node, lane, first, role)
    }

    /// What waits behind the first one and may go along.
    fn gathered(&self, node: NodeId, lane: &Lane, first: &Arc<Entry>, role: Role) -> Run {
        let most = lane.most_together().min(self.batch(node)).max(1);
        let mut entries = Vec::new();
        let mut end = RunEnd::Drained;
        for entry in lane.queue() {
            let reached = if entries.len() == most {
                Some(RunEnd::Writes)
            } else if entry.draft.op != first.draft.op || entry.draft.path != first.draft.path {
                Some(RunEnd::Operation)
            } else if entry.draft.content_type() != first.draft.content_type() {
                Some(RunEnd::Shape)
            } else if entry.seq != first.seq && !self.goes_along(node, first.stream(), entry, role) {
                Some(RunEnd::Held)
            } else {
                None
            };
            if let Some(reached) = reached {
                end = reached;
                break;
            }
            entries.push(Arc::clone(entry));
        }
        Run { entries, end, read: false }
    }

    /// What a deletion reaches may differ from node to node, and is looked up for each.
    fn is_single(&self, entry: &Entry) -> bool {
        entry.draft.op == Op::Delete && entry.collection().is_some_and(|id| self.is_adopted(id))
    }

    fn goes_along(&self, node: NodeId, stream: Stream, entry: &Arc<Entry>, role: Role) -> bool {
        if self.is_held(node, stream, entry.seq) || self.suspects.is_suspected(node, role, entry) {
            return false;
        }
        match (role, self.decision(entry)) {
            (Role::Following, Some(Decision::Accepted)) => {
                self.following(node, entry) == Readiness::Go(Role::Following)
            }
            (Role::Acting, None) => {
                self.destructive.first_key_value().is_none_or(|(first, _)| *first > entry.seq)
            }
            _ => false,
        }
    }

    /// What the node shows does not tell whether it has applied the undecided entry.
    pub fn is_masked(&self, node: NodeId, entry: &Entry) -> bool {
        self.nodes[node.0].lane(entry.stream()).is_some_and(|lane| lane.is_masked(entry.seq))
    }

    /// Whether the node has applied the entries that went out together cannot be read: they go alone.
    pub fn mask(&mut self, ticket: Ticket) {
        let log = &mut self.nodes[ticket.node.0];
        if log.generation == ticket.generation {
            log.change(ticket.stream, Lane::mask);
        }
    }

    /// Of a task that was handed out only so many entries go in the request.
    pub fn shorten(&mut self, ticket: Ticket, count: usize) {
        let log = &mut self.nodes[ticket.node.0];
        if log.generation == ticket.generation {
            log.change(ticket.stream, |lane| {
                if lane.phase == Phase::Asking {
                    lane.shorten(count);
                }
            });
        }
    }

    /// Something went wrong under a request with several entries: each may have been applied, and goes by
    /// itself from now on, undecided ones on every node.
    pub(super) fn part(&mut self, node: NodeId, entries: &[Arc<Entry>]) {
        let [first, .., last] = entries else { return };
        let stream = first.stream();
        let undecided = self.decision(last).is_none();
        // What adds or deletes may be done again in any order.
        let ordered = matches!(first.draft.op, Op::Upsert | Op::Update);
        self.nodes[node.0].change(stream, |lane| lane.part(entries, undecided && ordered));
        if undecided {
            self.suspects.unanswered(stream, last.seq);
        }
    }
}

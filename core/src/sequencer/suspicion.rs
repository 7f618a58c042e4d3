//! Is an entry to blame for what goes wrong while it is delivered? Entries that were in flight when a node
//! was lost are suspected: each is tried again alone on its node, and connections that break then are
//! counted, as are server errors and a follower's refusals. Silence never is: a node that hangs says
//! nothing about an entry. The count says when to stop; who judges then is `delivery`.

use std::collections::HashMap;
use std::sync::Arc;

use super::{NodeLog, Role, Sequencer, Ticket};
use crate::entry::Entry;
use crate::ids::{NodeId, Seq, Stream};
use crate::lane::{Lane, Phase};

/// What went wrong under an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The node answered, and the entry was not applied: the failure is its own.
    Own,
    /// The connection broke: its own failure if nothing else was in flight.
    Broke,
    /// No answer in time.
    Silent,
}

/// An entry that may be to blame.
#[derive(Debug, Default)]
struct Suspect {
    seq: Seq,
    /// Failures that were its own.
    failures: u32,
    /// A request for it got no answer: it may have been applied.
    unanswered: bool,
}

/// The suspect of each stream: while it is undecided on whatever node, later on each follower.
#[derive(Debug, Default)]
pub struct Suspects(HashMap<(Stream, Option<NodeId>), Suspect>);

fn key(stream: Stream, node: NodeId, role: Role) -> (Stream, Option<NodeId>) {
    (stream, Some(node).filter(|_| role == Role::Following))
}

impl Suspects {
    fn get(&self, node: NodeId, role: Role, entry: &Entry) -> Option<&Suspect> {
        self.0.get(&key(entry.stream(), node, role)).filter(|suspect| suspect.seq == entry.seq)
    }

    fn suspect(&mut self, node: NodeId, role: Role, entry: &Entry) -> &mut Suspect {
        let suspect = self.0.entry(key(entry.stream(), node, role)).or_default();
        if suspect.seq != entry.seq {
            *suspect = Suspect { seq: entry.seq, ..Suspect::default() };
        }
        suspect
    }

    pub(super) fn is_suspected(&self, node: NodeId, role: Role, entry: &Entry) -> bool {
        self.get(node, role, entry).is_some_and(|suspect| suspect.unanswered)
    }

    pub(super) fn failures(&self, node: NodeId, role: Role, entry: &Entry) -> u32 {
        self.get(node, role, entry).map_or(0, |suspect| suspect.failures)
    }

    /// The entry is decided.
    pub(super) fn decided(&mut self, entry: &Entry) {
        self.0.remove(&(entry.stream(), None));
    }

    /// The entry is a dead letter on the node: it may be tried once more at a time.
    pub(super) fn dead(&mut self, node: NodeId, stream: Stream, attempts: u32) {
        if let Some(suspect) = self.0.get_mut(&(stream, Some(node))) {
            suspect.failures = suspect.failures.min(attempts.saturating_sub(1));
        }
    }

    /// The node is past the entry.
    pub(super) fn passed(&mut self, node: NodeId, entry: &Entry) {
        self.0.remove(&(entry.stream(), Some(node)));
    }
}

impl Sequencer {
    pub fn blame(&mut self, ticket: Ticket, role: Role, entry: &Arc<Entry>, blame: Blame) {
        let log = &self.nodes[ticket.node.0];
        if log.generation != ticket.generation || !self.leading {
            return;
        }
        let counts = blame == Blame::Own || blame == Blame::Broke && self.is_alone(ticket);
        let suspect = self.suspects.suspect(ticket.node, role, entry);
        suspect.failures += u32::from(counts);
        suspect.unanswered |= blame != Blame::Own;
    }

    /// What would be counted if the delivery broke now.
    pub fn is_alone(&self, ticket: Ticket) -> bool {
        let log = &self.nodes[ticket.node.0];
        log.isolated == Some(ticket.stream) && log.generation == ticket.generation
    }

    /// Whether some node may have applied the undecided entry unnoticed. What was sent under an earlier lease
    /// is not known.
    pub fn is_doubtful(&self, node: NodeId, entry: &Entry) -> bool {
        self.suspects.is_suspected(node, Role::Acting, entry) || entry.seq <= self.recovered_head
    }

    /// Other nodes that may have applied the entry, once it failed too often: all that have the collection,
    /// because who tried it may have been copied from.
    pub fn also_tried(&self, node: NodeId, entry: &Entry) -> Vec<NodeId> {
        let often = self.suspects.failures(node, Role::Acting, entry) + 1 >= self.limits.attempts;
        let doubtful = often && self.is_doubtful(node, entry);
        let Some(id) = entry.collection().filter(|_| doubtful) else { return Vec::new() };
        let held = |other: &NodeId| self.nodes[other.0].node_collection(id).is_some();
        self.node_ids().filter(|other| *other != node).filter(held).collect()
    }

    /// The entry is rejected because it failed too often: nodes that may have applied it get the collection
    /// anew. The log knows already.
    pub(super) fn set_tried_aside(&mut self, node: NodeId, entry: &Entry) {
        let Some(id) = entry.collection() else { return };
        for other in self.also_tried(node, entry) {
            self.nodes[other.0]
                .quarantine(id, &format!("it may hold entry {}, which was rejected", entry.seq));
        }
    }

    /// The node has the entry. If it failed so often that it was only read, not sent, then what was sent before
    /// is as if the entry had been applied again; to do that once more would make the node fall once more.
    pub(super) fn settle_doubt(&mut self, node: NodeId, entry: &Entry) {
        let role = if self.decision(entry).is_none() { Role::Acting } else { Role::Following };
        if self.suspects.failures(node, role, entry) >= self.limits.attempts {
            self.nodes[node.0].doubts.applied_again(entry);
        }
    }

    /// The node lost its standing: what was in flight there is suspected.
    pub(super) fn suspect_in_flight(&mut self, node: NodeId) {
        for entry in self.nodes[node.0].asked() {
            let role = if self.decision(&entry).is_none() { Role::Acting } else { Role::Following };
            self.suspects.suspect(node, role, &entry).unanswered = true;
        }
    }
}

impl NodeLog {
    /// What the node is being asked about.
    pub(super) fn asked(&self) -> Vec<Arc<Entry>> {
        let asking = self.lanes.values().filter(|lane| lane.phase == Phase::Asking);
        asking.flat_map(Lane::run).collect()
    }
}

//! Is an entry to blame for what goes wrong while it is delivered? Entries that were in flight when a node
//! was lost are suspected: each is tried again alone on its node, and connections that break then are
//! counted, as are server errors and a follower's refusals. Silence never is: a node that hangs says
//! nothing about an entry. The count says when to stop; who judges then is `delivery`.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use super::{Role, Sequencer, Ticket};
use crate::entry::Entry;
use crate::ids::{CollectionId, NodeId, Seq, Stream};
use crate::port::{Leftover, LeftoverState};

/// What went wrong under an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The node answered, and the entry was not applied: the failure is its own.
    Own,
    /// The connection broke: its own failure if nothing else was in flight.
    Broke,
    /// No answer in time, or none that says whether the entry was applied.
    Silent,
}

/// An entry that may be to blame.
#[derive(Debug, Default)]
struct Suspect {
    seq: Seq,
    /// Failures that were its own.
    failures: u32,
    /// All that went wrong under it.
    tries: u32,
    /// A request for it got no answer: it may have been applied.
    unanswered: bool,
}

/// The suspect of each stream: while it is undecided on whatever node, later on each follower.
#[derive(Debug, Default)]
pub struct Suspects {
    entries: HashMap<(Stream, Option<NodeId>), Suspect>,
    /// Undecided entries of the stream up to here went in one request that came to nothing: each may have
    /// been applied.
    unanswered: HashMap<Stream, Seq>,
    /// Streams whose last verdict was a rejection because nodes failed under the entry.
    rejected: HashMap<Stream, Seq>,
}

fn key(stream: Stream, node: NodeId, role: Role) -> (Stream, Option<NodeId>) {
    (stream, Some(node).filter(|_| role == Role::Following))
}

impl Suspects {
    fn get(&self, node: NodeId, role: Role, entry: &Entry) -> Option<&Suspect> {
        self.entries.get(&key(entry.stream(), node, role)).filter(|suspect| suspect.seq == entry.seq)
    }

    fn suspect(&mut self, node: NodeId, role: Role, entry: &Entry) -> &mut Suspect {
        let suspect = self.entries.entry(key(entry.stream(), node, role)).or_default();
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

    pub(super) fn unanswered(&mut self, stream: Stream, through: Seq) {
        let known = self.unanswered.entry(stream).or_default();
        *known = through.max(*known);
    }

    /// The undecided entry was in a request with others that came to nothing, on whatever node.
    pub(super) fn was_along(&self, entry: &Entry) -> bool {
        self.unanswered.get(&entry.stream()).is_some_and(|through| entry.seq <= *through)
    }

    /// The entry is decided.
    pub(super) fn decided(&mut self, entry: &Entry) {
        let stream = entry.stream();
        self.entries.remove(&(stream, None));
        if self.unanswered.get(&stream).is_some_and(|through| *through <= entry.seq) {
            self.unanswered.remove(&stream);
        }
        if self.rejected.get(&stream).is_some_and(|rejected| *rejected < entry.seq) {
            self.rejected.remove(&stream);
        }
    }

    /// Entries under which nodes fail, by stream: without a verdict after so many tries, or rejected for it
    /// with nothing decided since.
    pub(super) fn poison(&self, attempts: u32) -> impl Iterator<Item = (Stream, Seq)> {
        let open = self.entries.iter().filter(move |((_, node), s)| node.is_none() && s.tries > attempts);
        let open = open.map(|((stream, _), suspect)| (*stream, suspect.seq));
        open.chain(self.rejected.iter().map(|(stream, seq)| (*stream, *seq)))
    }

    /// The entry is a dead letter on the node: it may be tried once more at a time.
    pub(super) fn dead(&mut self, node: NodeId, stream: Stream, attempts: u32) {
        if let Some(suspect) = self.entries.get_mut(&(stream, Some(node))) {
            suspect.failures = suspect.failures.min(attempts.saturating_sub(1));
        }
    }

    /// The node is past the entry.
    pub(super) fn passed(&mut self, node: NodeId, entry: &Entry) {
        self.entries.remove(&(entry.stream(), Some(node)));
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
        suspect.tries += 1;
        suspect.unanswered |= blame != Blame::Own;
    }

    /// What would be counted if the delivery broke now.
    pub fn is_alone(&self, ticket: Ticket) -> bool {
        let log = &self.nodes[ticket.node.0];
        log.isolated == Some(ticket.stream) && log.generation == ticket.generation
    }

    /// Something went wrong under the undecided entry.
    pub fn is_under_suspicion(&self, node: NodeId, entry: &Entry) -> bool {
        self.suspects.get(node, Role::Acting, entry).is_some() || self.suspects.was_along(entry)
    }

    /// Whether some node may have applied the undecided entry unnoticed. What was sent under an earlier lease
    /// is not known.
    pub fn is_doubtful(&self, node: NodeId, entry: &Entry) -> bool {
        self.suspects.is_suspected(node, Role::Acting, entry)
            || self.suspects.was_along(entry)
            || entry.seq <= self.recovered_head
    }

    /// Other nodes that may have applied the entry, once it failed too often: all that have the collection,
    /// because who tried it may have been copied from.
    pub fn also_tried(&self, node: NodeId, entry: &Entry) -> Vec<NodeId> {
        let Some(id) = self.spread(node, entry) else { return Vec::new() };
        let held = |other: &NodeId| self.nodes[other.0].node_collection(id).is_some();
        self.node_ids().filter(|other| *other != node).filter(held).collect()
    }

    /// What copies that did not end brought to other nodes: it may hold the entry, too.
    pub fn begun_copies(&self, node: NodeId, entry: &Entry) -> Vec<(NodeId, Uuid)> {
        let Some(id) = self.spread(node, entry) else { return Vec::new() };
        let left = |other: NodeId| Some((other, self.leftover_of(other, id)?));
        self.node_ids().filter(|other| *other != node).filter_map(left).collect()
    }

    /// The collection of an entry that failed too often, if others may have it from who was sent it.
    fn spread(&self, node: NodeId, entry: &Entry) -> Option<CollectionId> {
        entry.collection().filter(|_| self.failed_often(node, entry) && self.is_doubtful(node, entry))
    }

    fn failed_often(&self, node: NodeId, entry: &Entry) -> bool {
        self.suspects.failures(node, Role::Acting, entry) + 1 >= self.limits.attempts
    }

    /// The entry is rejected. If that is because it failed too often, nodes that may have applied it get the
    /// collection anew, as the log knows already. The others are read back: Chroma may have logged what it
    /// answered 500 to, and apply it with its next write.
    pub(super) fn set_tried_aside(&mut self, node: NodeId, entry: &Arc<Entry>) {
        if !self.failed_often(node, entry) {
            return;
        }
        let catalog = &self.catalog;
        let exists = |stream: &Stream| match stream {
            Stream::Collection(id) => catalog.collection(*id).is_some(),
            Stream::Catalog => true,
        };
        self.suspects.rejected.retain(|stream, _| exists(stream));
        self.suspects.rejected.insert(entry.stream(), entry.seq);
        let Some(id) = entry.collection() else { return };
        for (other, node_collection) in self.begun_copies(node, entry) {
            let log = &mut self.nodes[other.0];
            log.leftovers.insert(id, Leftover { node_collection, state: LeftoverState::Void });
            // One under way comes too late to count.
            log.copying.take_if(|copying| *copying == id);
        }
        for other in self.also_tried(node, entry) {
            self.nodes[other.0]
                .quarantine(id, &format!("it may hold entry {}, which was rejected", entry.seq));
        }
        self.nodes.iter_mut().for_each(|log| log.doubts.note(std::slice::from_ref(entry)));
    }

    /// The node had applied the accepted entry before its lane went back to it. Later entries may have changed
    /// its records, so they do not tell.
    pub fn had_passed(&self, node: NodeId, entry: &Entry) -> bool {
        let doubt = self.nodes[node.0].doubts.of(entry.stream());
        self.decision(entry).is_some() && doubt.is_some_and(|doubt| doubt.through >= entry.seq)
    }

    /// The node has the entry. If it was only read, as what failed too often is, not sent, then what was sent before
    /// is as if the entry had been applied again; to do that once more would make the node fall once more.
    pub(super) fn settle_doubt(&mut self, node: NodeId, entry: &Entry, read: bool) {
        let role = if self.decision(entry).is_none() { Role::Acting } else { Role::Following };
        let read = read || self.suspects.failures(node, role, entry) >= self.limits.attempts;
        if let Some(doubt) = self.nodes[node.0].doubts.of_mut(entry.stream()) {
            doubt.passed(entry.seq, read);
        }
    }

    /// The node lost its standing: what was in flight there is suspected.
    pub(super) fn suspect_in_flight(&mut self, node: NodeId) {
        for run in self.nodes[node.0].asked() {
            let Some(first) = run.first() else { continue };
            let role = if self.decision(first).is_none() { Role::Acting } else { Role::Following };
            self.suspects.suspect(node, role, first).unanswered = true;
            self.part(node, &run);
        }
    }
}

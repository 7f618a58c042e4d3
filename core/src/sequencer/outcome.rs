//! What a finished request changes. An outcome counts only while the node keeps the standing it had
//! when it was asked; one that has to be made durable first is claimed, and then it does count.

use std::sync::Arc;

use uuid::Uuid;

use super::Sequencer;
use crate::catalog::Move;
use crate::effect::Effect;
use crate::entry::{Decision, Entry};
use crate::ids::{CollectionId, NodeId, Seq, Stream};
use crate::lane::Phase;

/// Names one handed-out task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub node: NodeId,
    pub stream: Stream,
    pub generation: u64,
}

/// What became of a task.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The node applied the entries; from the acting node that is the acceptance.
    Applied(CatalogOutcome),
    /// The acting node refused the entry. Already durable.
    Rejected,
    /// The node refused a request with several entries, or was found not to have applied one: they are sent
    /// again in smaller ones.
    Split,
    /// The node failed, or refuses for now: the lane tries again at this moment.
    Retry { until_ms: u64 },
    /// There was no answer: the request may have been executed, or may be at any later time. Nothing is
    /// sent again before the node has settled.
    InDoubt,
    /// The node lacks a collection that it should have.
    Quarantine { reason: String },
    /// The node refused an accepted entry often enough: a dead letter. Already durable.
    DeadLetter { reason: String, until_ms: u64 },
}

/// What a catalog entry changed. Empty for record entries.
#[derive(Clone, Debug, Default)]
pub struct CatalogOutcome {
    /// Which collection it turned out to be about; already durable. Followers go by it: the name in the
    /// request may mean another collection by then.
    pub effect: Option<Effect>,
    /// Changes of the catalog; only from the acting node.
    pub moves: Vec<Move>,
    /// The node's own id of a collection, or that it has none any more.
    pub mapped: Option<(CollectionId, Option<Uuid>)>,
}

impl Sequencer {
    /// The node answered and the outcome is about to be made durable. False: the node lost its
    /// standing meanwhile, the outcome must not be recorded.
    pub fn claim(&mut self, ticket: Ticket) -> bool {
        let log = &mut self.nodes[ticket.node.0];
        let asking = log.lane(ticket.stream).is_some_and(|l| l.phase == Phase::Asking);
        let current = self.leading && log.generation == ticket.generation && asking;
        if current {
            let generation = ticket.generation;
            log.change(ticket.stream, |lane| lane.phase = Phase::Committing { generation });
        }
        current
    }

    /// Whether a claimed outcome is still ours to record. A record that failed may have been committed:
    /// it is repeated until it is known to be, or until this says no. Anything else (asking again, another
    /// node) would decide in memory what the log may have decided already.
    pub fn claimed(&self, ticket: Ticket) -> bool {
        let phase = self.nodes[ticket.node.0].lane(ticket.stream).map(|lane| &lane.phase);
        self.leading && phase == Some(&Phase::Committing { generation: ticket.generation })
    }

    /// Takes the outcome of a task. False: it came too late and changes nothing.
    pub fn finish(&mut self, ticket: Ticket, entries: &[Arc<Entry>], outcome: Outcome) -> bool {
        let log = &mut self.nodes[ticket.node.0];
        let phase = log.lane(ticket.stream).map(|l| l.phase.clone());
        let counts = match phase {
            Some(Phase::Committing { generation }) => generation == ticket.generation,
            Some(Phase::Asking) => log.generation == ticket.generation && self.leading,
            _ => false,
        };
        if !counts {
            return false;
        }
        log.in_flight -= 1;
        // After a broken connection nothing starts before the node lost its standing: it would break, too.
        if !matches!(outcome, Outcome::InDoubt) {
            log.isolated = log.isolated.filter(|stream| *stream != ticket.stream);
        }
        if let Some(state) = self.streams.get_mut(&ticket.stream)
            && state.asked == Some(ticket.node)
        {
            state.asked = None;
        }
        self.take(ticket, entries, outcome);
        true
    }

    fn take(&mut self, ticket: Ticket, entries: &[Arc<Entry>], outcome: Outcome) {
        let Ticket { node, stream, .. } = ticket;
        match outcome {
            Outcome::Applied(catalog) => {
                if let Some(effect) = &catalog.effect {
                    for entry in entries {
                        entry.resolve(effect.clone());
                    }
                }
                self.take_catalog(node, catalog);
                let read = self.nodes[node.0].change(stream, |lane| lane.taken_together(entries.len()));
                for entry in entries {
                    self.settle_doubt(node, entry, read);
                    self.decide(entry, Decision::Accepted);
                    self.pass(node, entry);
                }
            }
            Outcome::Rejected => {
                for entry in entries {
                    self.set_tried_aside(node, entry);
                    self.decide(entry, Decision::Rejected);
                    self.pass(node, entry);
                }
            }
            Outcome::Split => self.nodes[node.0].change(stream, |lane| {
                lane.refused_together(entries.len());
                lane.phase = Phase::Idle;
            }),
            Outcome::Retry { until_ms } => {
                self.part(node, entries);
                self.nodes[node.0].change(stream, |lane| {
                    lane.attempts += 1;
                    lane.phase = Phase::BackOff { until_ms };
                });
            }
            Outcome::InDoubt => {
                self.part(node, entries);
                self.nodes[node.0].leave_in_doubt(stream, entries);
            }
            // What is left of a deleted collection is passed over, not judged.
            Outcome::Quarantine { .. } if self.is_deleted(stream) => {
                self.nodes[node.0].change(stream, |lane| lane.phase = Phase::Idle);
            }
            Outcome::Quarantine { reason } => {
                if let Stream::Collection(id) = stream {
                    self.nodes[node.0].troubles.lost(id);
                }
                self.nodes[node.0].change(stream, |lane| lane.phase = Phase::Quarantined { reason });
            }
            Outcome::DeadLetter { reason, until_ms } => {
                let seq = entries.first().map(|entry| entry.seq).unwrap_or_default();
                self.take_letter(node, (stream, seq), reason, until_ms);
            }
        }
    }

    fn take_catalog(&mut self, node: NodeId, outcome: CatalogOutcome) {
        outcome.moves.iter().for_each(|step| self.catalog.apply(step));
        if let Some((id, own)) = outcome.mapped {
            let exists = self.catalog.collection(id).is_some();
            let log = &mut self.nodes[node.0];
            log.map(id, own);
            if own.is_none() {
                log.leftovers.remove(&id);
                // Created elsewhere, but the node holds something else under this name.
                if exists {
                    log.quarantine(id, "the node holds other records under this name");
                }
            }
        }
    }

    pub(super) fn is_deleted(&self, stream: Stream) -> bool {
        matches!(stream, Stream::Collection(id) if self.catalog.collection(id).is_none())
    }

    /// Fixes what holds for an entry everywhere; later calls change nothing.
    pub(super) fn decide(&mut self, entry: &Arc<Entry>, decision: Decision) {
        let decision = entry.decide(decision);
        self.destructive.remove(&entry.seq);
        self.suspects.decided(entry);
        let stream = entry.stream();
        if let Some(state) = self.streams.get_mut(&stream)
            && entry.seq > state.decided
        {
            state.decided = entry.seq;
            state.given.retain(|given| given.seq > entry.seq);
            if decision == Decision::Accepted {
                state.acked = state.acked.max(entry.seq);
            }
            self.nodes.iter_mut().for_each(|node| node.adopt(entry));
        }
    }

    /// The node is past the entry.
    pub(super) fn pass(&mut self, node: NodeId, entry: &Arc<Entry>) {
        let stream = entry.stream();
        self.suspects.passed(node, entry);
        let log = &mut self.nodes[node.0];
        log.troubles.passed(stream, entry.seq);
        if log.first(stream) == Some(entry.seq) {
            log.change(stream, |lane| lane.advance());
            log.doubts.passed(entry);
        }
        if stream == Stream::Catalog {
            log.catalog_cursor = log.catalog_cursor.max(entry.seq);
        }
        self.prune(stream);
    }

    /// A stream that every node has applied needs no state.
    fn prune(&mut self, stream: Stream) {
        let idle = self.nodes.iter().all(|n| n.fed == self.head && n.first(stream).is_none());
        if idle {
            self.streams.remove(&stream);
        }
    }

    /// A client was told that this entry is safe although no node has decided it.
    pub fn acknowledge_queued(&mut self, stream: Stream, seq: Seq) {
        // The entry may still be on its way here from the log.
        let floor = self.floor;
        let fresh = || super::StreamState { decided: floor, ..Default::default() };
        let state = self.streams.entry(stream).or_insert_with(fresh);
        state.acked = state.acked.max(seq);
    }
}

//! What one node may do next, and why not more: verdict first, order within a stream, catalog before
//! the records that need it. It hands out work; `outcome` takes the results.

use std::sync::Arc;

use super::run::Run;
use super::{Role, Sequencer, Step, Task};
use crate::coalesce::Bounds;
use crate::effect::Effect;
use crate::entry::{Decision, Entry, Op};
use crate::ids::{CollectionId, NodeId, Stream};
use crate::lane::Phase;
use crate::route::{Route, Write};

/// What stands between an entry and the node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    Go(Role),
    /// Decided as rejected, or its collection is gone: nothing to send.
    Skip,
    /// Undecided, and its collection is gone: decided here.
    Moot(Decision),
    /// Another node acts, or an earlier entry of another stream comes first.
    Wait,
    /// The node has no copy of the collection.
    Absent,
}

/// How many waiting lanes one pass looks at.
const SCAN: usize = 512;

impl Sequencer {
    /// Everything that the node can start now.
    pub fn steps(&mut self, node: NodeId, now_ms: u64) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.leading || self.resting || !self.nodes[node.0].standing.applies {
            return steps;
        }
        if !self.push_inspection(node, &mut steps) {
            return steps;
        }
        self.complete_inspection(node);
        self.push_feed(node, &mut steps);
        self.forget_deleted_lanes(node);
        for (nth, (_, stream)) in self.nodes[node.0].candidates(SCAN).into_iter().enumerate() {
            let log = &self.nodes[node.0];
            if log.in_flight >= self.limits.in_flight || log.isolated.is_some() {
                break;
            }
            if !self.advance_lane(node, (nth, stream), now_ms, &mut steps) {
                break;
            }
        }
        self.push_copy(node, now_ms, &mut steps);
        self.push_compare(node, now_ms, &mut steps);
        steps
    }

    fn push_feed(&mut self, node: NodeId, steps: &mut Vec<Step>) {
        if let Some(page) = self.feed_page(node) {
            self.nodes[node.0].feeding = true;
            steps.push(Step::Load { stream: None, page, life: self.life });
        }
    }

    /// Moves the `nth` waiting lane as far as it goes without the node, then hands out its next request. False:
    /// it must go alone, and nothing else may start before it.
    fn advance_lane(
        &mut self,
        node: NodeId,
        (nth, stream): (usize, Stream),
        now_ms: u64,
        steps: &mut Vec<Step>,
    ) -> bool {
        loop {
            let log = &self.nodes[node.0];
            if stream == Stream::Catalog && log.copying.is_some() {
                return true; // a copy relies on the names as they are
            }
            let Some(lane) = log.lane(stream) else { return true };
            match lane.phase {
                Phase::Idle if log.doubts.is_wished(stream) => {
                    self.rewind_as_wished(node, stream);
                    continue;
                }
                Phase::Idle => {}
                Phase::BackOff { until_ms } if until_ms <= now_ms => {}
                _ => return true,
            }
            if let Some(span) = lane.wanted() {
                let Some(page) = self.lane_page(node, stream, span, nth) else { return true };
                self.nodes[node.0].change(stream, |l| l.phase = Phase::Loading);
                steps.push(Step::Load { stream: Some(stream), page, life: self.life });
                return true;
            }
            let Some(entry) = lane.front().cloned() else { return true };
            if self.is_held(node, stream, entry.seq) {
                return true;
            }
            match self.readiness(node, &entry, now_ms) {
                Readiness::Wait => return true,
                Readiness::Skip => self.pass(node, &entry),
                Readiness::Moot(decision) => {
                    self.decide(&entry, decision);
                    self.pass(node, &entry);
                    steps.push(Step::Moot { entry, decision });
                }
                Readiness::Absent => {
                    let reason = "the node has no copy of this collection".to_owned();
                    self.quarantine_lane(node, stream, reason);
                    return true;
                }
                Readiness::Go(Role::Following) if self.yields(node) => return true,
                Readiness::Go(role) => {
                    let suspected = self.suspects.is_suspected(node, role, &entry);
                    if suspected && self.nodes[node.0].in_flight > 0 {
                        return false;
                    }
                    self.nodes[node.0].isolated = suspected.then_some(stream);
                    steps.push(Step::Apply(self.start(node, stream, &entry, role)));
                    return true;
                }
            }
        }
    }

    fn quarantine_lane(&mut self, node: NodeId, stream: Stream, reason: String) {
        self.nodes[node.0].change(stream, |lane| {
            lane.phase = Phase::Quarantined { reason };
            lane.spill();
        });
    }

    fn start(&mut self, node: NodeId, stream: Stream, entry: &Arc<Entry>, role: Role) -> Task {
        self.disturb(node, stream);
        let subject = self.subject(entry);
        let Run { entries, end, read } = self.run(node, stream, entry, role);
        if let Some(state) = self.streams.get_mut(&stream).filter(|_| role == Role::Acting) {
            state.asked = Some(node);
            state.given.clone_from(&entries);
            let nodes = &mut self.nodes;
            entries.iter().for_each(|entry| nodes.iter_mut().for_each(|other| other.adopt(entry)));
        }
        let log = &mut self.nodes[node.0];
        log.in_flight += 1;
        let generation = log.generation;
        let attempts = log.change(stream, |lane| {
            lane.send(entries.len());
            lane.attempts
        });
        Task {
            stream,
            entries,
            end,
            bounds: Bounds::of_node(log.batch_limit),
            read,
            role,
            node_collection: subject.and_then(|id| log.node_collection(id)),
            subject,
            generation,
            attempts,
            failures: self.suspects.failures(node, role, entry),
        }
    }

    /// The collection that an entry is about.
    pub(super) fn subject(&self, entry: &Entry) -> Option<CollectionId> {
        match (entry.effect(), entry.draft.op) {
            (_, op) if op.is_record() => entry.collection(),
            (Some(Effect::Collection { id }), _) => Some(*id),
            (_, Op::ModifyCollection) => entry.draft.target.map(CollectionId),
            (_, Op::DeleteCollection) => {
                let Route::Write(Write::DeleteCollection { tenant, database, name }) = entry.route() else {
                    return None;
                };
                self.catalog.named(&tenant, &database, &name)
            }
            _ => None,
        }
    }

    fn readiness(&self, node: NodeId, entry: &Entry, now_ms: u64) -> Readiness {
        match self.decision(entry) {
            Some(Decision::Rejected) => Readiness::Skip,
            Some(Decision::Accepted) => self.following(node, entry),
            None => self.asking(node, entry, now_ms),
        }
    }

    pub(super) fn following(&self, node: NodeId, entry: &Entry) -> Readiness {
        let log = &self.nodes[node.0];
        if log.troubles.skips.contains(&entry.seq) {
            return Readiness::Skip;
        }
        let Some(id) = entry.collection() else { return Readiness::Go(Role::Following) };
        if self.catalog.collection(id).is_none() {
            return Readiness::Skip;
        }
        if log.node_collection(id).is_some() {
            return Readiness::Go(Role::Following);
        }
        match log.first(Stream::Catalog) {
            Some(first) if first < entry.seq => Readiness::Wait,
            _ => Readiness::Absent,
        }
    }

    fn asking(&self, node: NodeId, entry: &Entry, now_ms: u64) -> Readiness {
        if let Some(id) = entry.collection() {
            let taken_first = self.destructive.first_key_value().is_some_and(|(first, _)| *first < entry.seq);
            if taken_first || self.is_being_taken(id) {
                return Readiness::Wait;
            }
            if self.catalog.collection(id).is_none() {
                // Written before the delete: it happened and is gone with the collection.
                let before = self.catalog.deleted_at(id).is_some_and(|at| entry.seq < at);
                return Readiness::Moot(if before { Decision::Accepted } else { Decision::Rejected });
            }
        }
        if self.acting(entry, now_ms) != Some(node) || !self.drained_before(node, entry) {
            return Readiness::Wait;
        }
        match entry.collection() {
            Some(id) if self.nodes[node.0].node_collection(id).is_none() => Readiness::Wait,
            _ => Readiness::Go(Role::Acting),
        }
    }

    /// A node is judging the collection's deletion: what stands before it waited until then, or no longer counts.
    fn is_being_taken(&self, id: CollectionId) -> bool {
        let asked = self.streams.get(&Stream::Catalog).filter(|state| state.asked.is_some());
        asked.is_some_and(|state| state.given.iter().any(|entry| self.takes(entry, id)))
    }

    /// Whether what a destructive entry takes away has first taken everything logged before it.
    fn drained_before(&self, node: NodeId, entry: &Entry) -> bool {
        let log = &self.nodes[node.0];
        let open = |stream: Stream| {
            log.first(stream).is_some_and(|first| first < entry.seq) && !log.is_quarantined(stream)
        };
        match entry.draft.op {
            Op::DeleteCollection => self.subject(entry).is_none_or(|id| !open(Stream::Collection(id))),
            Op::DeleteDatabase | Op::Reset => {
                let first = log.candidates(SCAN).into_iter().find(|(_, s)| *s != Stream::Catalog && open(*s));
                first.is_none()
            }
            _ => true,
        }
    }
}

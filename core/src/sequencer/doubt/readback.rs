//! When are the records that are in doubt on a node read back, and what follows? Once the node has
//! applied everything in doubt it is compared with another node; where it differs the log is applied
//! again from the first entry in doubt, and if that does not help the collection is copied anew. With
//! nobody to compare with, the log is applied again once. `doubt` keeps what is in doubt.

use super::Doubt;
use crate::ids::{CollectionId, NodeId, Stream};
use crate::sequencer::{CompareTask, Finding, Inspection, Next, Purpose, ReplayTask, Scope, Sequencer};

/// How long a node with nobody to compare with is left alone before the log is applied again.
const ALONE_MS: u64 = 2_000;

/// After a look that settled nothing: when the next one is due.
const UNSETTLED_MS: u64 = 1_000;

/// How often the log is applied to a node again before it gets what another one in doubt holds.
const ROUNDS: u32 = 2;

impl Sequencer {
    /// The first collection whose look is due and can be made.
    pub(in crate::sequencer) fn doubt_task(&mut self, node: NodeId, now_ms: u64) -> Option<CompareTask> {
        for stream in self.nodes[node.0].doubts.due(now_ms) {
            let Stream::Collection(id) = stream else {
                self.look_again_at_catalog(node, now_ms);
                continue;
            };
            if self.catalog.collection(id).is_none() {
                self.nodes[node.0].forget_doubt(id);
                continue;
            }
            let Some(version) = self.passed_doubt(node, stream).map(|doubt| doubt.version) else { continue };
            let task = self
                .witness(id, node)
                .and_then(|other| self.compare_task(node, other, id, Purpose::Doubt { version }));
            if task.is_some() {
                return task;
            }
        }
        None
    }

    /// The doubt of a stream, if the node's lane has passed all of it.
    fn passed_doubt(&self, node: NodeId, stream: Stream) -> Option<&Doubt> {
        let log = &self.nodes[node.0];
        log.doubts.of(stream).filter(|doubt| log.position(stream) >= doubt.last)
    }

    /// A late request may have taken a collection away: the node is inspected again.
    fn look_again_at_catalog(&mut self, node: NodeId, now_ms: u64) {
        let Some(version) = self.passed_doubt(node, Stream::Catalog).map(|doubt| doubt.version) else {
            return;
        };
        let log = &mut self.nodes[node.0];
        if log.inspection == Inspection::Complete && log.copying.is_none() {
            log.inspection = Inspection::Due;
            log.doubts.looked(Stream::Catalog, version, now_ms);
        }
    }

    /// Nobody could be compared with for so long that the log must do.
    pub(in crate::sequencer) fn lone_replay(&mut self, node: NodeId, now_ms: u64) -> Option<ReplayTask> {
        for stream in self.nodes[node.0].doubts.due(now_ms) {
            let Stream::Collection(id) = stream else { continue };
            if self.passed_doubt(node, stream).is_none() || self.at_hand(node, id).is_none() {
                continue;
            }
            let own_ids = self.has_other_ids(node, id);
            let witnessed = !own_ids && self.reference(id, Some(node)).is_some();
            let lone = own_ids || self.node_ids().all(|other| other == node || self.has_other_ids(other, id));
            let log = &mut self.nodes[node.0];
            let generation = log.generation;
            let Some(doubt) = log.doubts.of_mut(stream) else { continue };
            if witnessed {
                doubt.alone_since_ms = None;
                continue;
            }
            let since_ms = *doubt.alone_since_ms.get_or_insert(now_ms);
            if now_ms < since_ms + ALONE_MS {
                continue;
            }
            doubt.due_ms = now_ms + ALONE_MS;
            if doubt.is_fresh() {
                return Some(ReplayTask { collection: id, from: doubt.first, generation });
            }
            if lone {
                log.forget_doubt(id);
            }
        }
        None
    }

    /// What a comparison reads of the collection.
    pub fn scope(&self, node: NodeId, task: &CompareTask) -> Scope {
        let doubt = self.nodes[node.0].doubts.of(Stream::Collection(task.collection));
        match (task.purpose, doubt.and_then(|doubt| doubt.ids.as_ref())) {
            (Purpose::Doubt { .. }, Some(ids)) => Scope::Records(ids.iter().cloned().collect()),
            _ => Scope::Whole,
        }
    }

    pub(in crate::sequencer) fn take_read_back(
        &mut self,
        node: NodeId,
        task: &CompareTask,
        version: u64,
        finding: &Finding,
        now_ms: u64,
    ) -> Next {
        let stream = Stream::Collection(task.collection);
        let log = &mut self.nodes[node.0];
        let generation = log.generation;
        let Some(doubt) = log.doubts.of_mut(stream) else { return Next::Nothing };
        match finding {
            Finding::Equal { .. } => {
                log.doubts.looked(stream, version, now_ms);
                return Next::Nothing;
            }
            Finding::Undecided { .. } => {
                doubt.due_ms = now_ms + UNSETTLED_MS;
                return Next::Nothing;
            }
            Finding::Differs { .. } => {}
        }
        doubt.reopen();
        let (first, replayed, rounds) = (doubt.first, doubt.replayed, doubt.rounds);
        doubt.due_ms = now_ms + UNSETTLED_MS;
        let again = Next::Replay(ReplayTask { collection: task.collection, from: first, generation });
        // If both are in doubt nobody knows which one is wrong: only the log does.
        match self.nodes[task.reference.0].doubts.of_mut(stream) {
            None if replayed => Next::Rebuild,
            Some(other) if !other.replayed => {
                other.reopen();
                if replayed { Next::Nothing } else { again }
            }
            _ if !replayed => again,
            Some(_) if node < task.reference => Next::Nothing,
            // Either may have executed something since the log was applied to it.
            Some(other) if rounds.min(other.rounds) < ROUNDS => {
                other.replayed = false;
                other.reopen();
                again
            }
            _ => Next::Rebuild,
        }
    }

    /// With whom a node in doubt is compared: one that is not, if there is one.
    fn witness(&self, id: CollectionId, node: NodeId) -> Option<NodeId> {
        let stream = Stream::Collection(id);
        let able = |other: &NodeId| *other != node && self.comparable(*other, id).is_some();
        let sure = |other: &NodeId| self.nodes[other.0].doubts.of(stream).is_none();
        let mut sure_ones = self.node_ids().filter(able).filter(sure);
        sure_ones.next().or_else(|| self.node_ids().find(able))
    }
}

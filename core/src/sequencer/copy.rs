//! Which collections a node must be given anew, and when. What it lost, never had, or refuses is copied
//! from a node that has it, at a position of the log from which the node's lane then replays. Writes go
//! on meanwhile. What a node lacks is found by `inspection`.

use uuid::Uuid;

use super::{CopyFailure, CopyTask, Inspection, NodeLog, Sequencer, Step};
use crate::ids::{CollectionId, NodeId, Seq, Stream};
use crate::lane::{Lane, Phase};
use crate::port::{Leftover, LeftoverState};

/// After a copy failed, its next attempt waits so long.
const RETRY_MS: u64 = 10_000;

impl Sequencer {
    /// The next copy onto the node, one at a time.
    pub(super) fn push_copy(&mut self, node: NodeId, now_ms: u64, steps: &mut Vec<Step>) {
        let log = &mut self.nodes[node.0];
        let wanted = log.quarantined_collections();
        if wanted.is_empty() {
            log.copied = 0;
            return;
        }
        let idle = log.copying.is_none() && log.inspection == Inspection::Complete;
        if !idle || !self.catalog_is_current(node) {
            return;
        }
        let due = |id: &CollectionId| self.nodes[node.0].copy_after_ms.get(id).is_none_or(|at| *at <= now_ms);
        // Its deletion cannot be judged before somebody has all collections: copied, it is judged here.
        let goes = self.may_have_deleted(node).filter(|_| !self.nobody_judges_catalog());
        let stays = |id: &CollectionId| Some(*id) != goes && due(id);
        let task = wanted.into_iter().filter(stays).find_map(|id| self.copy_task(node, id));
        if let Some(task) = task {
            self.nodes[node.0].copying = Some(task.collection);
            steps.push(Step::Copy(task));
        }
    }

    /// Of a collection that is gone nothing is left to be quarantined.
    pub(super) fn forget_deleted_lanes(&mut self, node: NodeId) {
        for id in self.nodes[node.0].quarantined_collections() {
            if self.catalog.collection(id).is_none() {
                self.nodes[node.0].change(Stream::Collection(id), |lane| lane.phase = Phase::Idle);
            }
        }
    }

    fn copy_task(&self, node: NodeId, id: CollectionId) -> Option<CopyTask> {
        let stream = Stream::Collection(id);
        let target = &self.nodes[node.0];
        let leftover = target.leftovers.get(&id).copied();
        let begun = match leftover.map(|left| left.state) {
            Some(LeftoverState::Begun(begun)) => Some(begun),
            _ => None,
        };
        let sources = self.node_ids().filter(|other| *other != node);
        let (source, position) = sources
            .filter(|other| {
                let log = &self.nodes[other.0];
                // One that is behind in the catalog would bring metadata that the node has passed.
                let ahead = log.position(Stream::Catalog) >= target.position(Stream::Catalog);
                let able = log.standing.applies && log.inspection.is_made() && ahead;
                let sure = log.holds(id) && !log.doubts.is_fresh(stream);
                able && sure && !log.other_ids.contains(&id)
            })
            .map(|other| (other, self.nodes[other.0].position(stream)))
            // A source that is behind the node itself would lose what the node has passed. What one that is behind
            // an earlier attempt brought would be older than that: if this one breaks off, nobody remembers it.
            .find(|(_, position)| *position >= target.position(stream).max(begun.unwrap_or_default()))?;
        let left = leftover.map(|left| left.node_collection);
        Some(CopyTask {
            collection: id,
            source,
            // What an earlier copy brought is as old as that.
            position: begun.unwrap_or(position),
            replaces: target.node_collection(id).into_iter().chain(left).collect(),
            leftover,
            generation: target.generation,
        })
    }

    /// A copy ended: the node's own id of the new collection, or why there is none. False: the node
    /// lost its standing meanwhile, or the collection is gone; the copy does not count.
    pub fn copied(
        &mut self,
        node: NodeId,
        task: &CopyTask,
        own: Result<Uuid, CopyFailure>,
        now_ms: u64,
    ) -> bool {
        let exists = self.catalog.collection(task.collection).is_some();
        let head = self.head;
        let log = &mut self.nodes[node.0];
        if log.generation != task.generation || log.copying != Some(task.collection) {
            return false;
        }
        // While a write may still be executed nothing else is copied: until the node has lost its standing.
        if !matches!(own, Err(CopyFailure::InDoubt(_))) {
            log.copying = None;
        }
        let own = match own {
            Ok(own) if exists => own,
            Ok(_) => return false,
            Err(CopyFailure::Broken(reason) | CopyFailure::InDoubt(reason)) => {
                log.copy_after_ms.insert(task.collection, now_ms + RETRY_MS);
                log.change(Stream::Collection(task.collection), |lane| {
                    lane.phase = Phase::Quarantined { reason }
                });
                return exists;
            }
        };
        log.copy_after_ms.remove(&task.collection);
        log.leftovers.remove(&task.collection);
        log.troubles.mended(task.collection);
        log.map(task.collection, Some(own));
        log.copied += 1;
        let stream = Stream::Collection(task.collection);
        log.doubts.ahead(stream, head);
        log.doubts.copied(task, own, head);
        log.change(stream, |lane| {
            lane.phase = Phase::Idle;
            lane.attempts = 0;
            lane.skip_through(task.position);
        });
        true
    }

    /// What a later attempt may replace on the node, or go on with.
    pub fn leftover(&mut self, node: NodeId, id: CollectionId, left: Leftover) {
        self.nodes[node.0].leftovers.insert(id, left);
    }
}

impl NodeLog {
    /// Everything of the stream up to here is applied.
    pub fn position(&self, stream: Stream) -> Seq {
        self.first(stream).map_or(self.fed, Seq::prev).min(self.fed)
    }

    /// The collection is not served from this node until it is copied.
    pub(super) fn quarantine(&mut self, id: CollectionId, reason: &str) {
        let reason = reason.to_owned();
        let stream = Stream::Collection(id);
        let was_in_flight = self.change(stream, |lane| {
            let was = lane.is_busy();
            lane.phase = Phase::Quarantined { reason };
            lane.spill();
            was
        });
        self.in_flight -= usize::from(was_in_flight);
        self.isolated = self.isolated.filter(|alone| *alone != stream);
    }

    pub fn quarantined(&self) -> Vec<(Stream, String)> {
        let reason = |lane: &Lane| match &lane.phase {
            Phase::Quarantined { reason } => Some(reason.clone()),
            _ => None,
        };
        self.lanes.iter().filter_map(|(s, l)| reason(l).map(|r| (*s, r))).collect()
    }

    pub fn is_quarantined(&self, stream: Stream) -> bool {
        self.lanes.get(&stream).is_some_and(|l| matches!(l.phase, Phase::Quarantined { .. }))
    }

    /// Collections that are not served from the node.
    pub(super) fn lacking(&self) -> impl Iterator<Item = CollectionId> {
        self.lanes.iter().filter_map(|(stream, lane)| match (stream, &lane.phase) {
            (Stream::Collection(id), Phase::Quarantined { .. }) => Some(*id),
            _ => None,
        })
    }

    fn quarantined_collections(&self) -> Vec<CollectionId> {
        let mut ids: Vec<_> = self.lacking().collect();
        ids.sort_unstable();
        ids
    }
}

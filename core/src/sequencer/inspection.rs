//! What a node must be asked before its lanes move, and what the answer means. A node that comes back may
//! have lost what it held; one that was never seen is adopted or joins.

use uuid::Uuid;

use super::{Findings, Inspection, NodeLog, Sequencer, Step};
use crate::catalog::Move;
use crate::entry::{Entry, Op};
use crate::ids::{CollectionId, NodeId, Seq, Stream};
use crate::lane::{Lane, Phase};
use crate::preflight::Common;
use crate::route::{Route, Write};

impl Sequencer {
    /// What must happen before the node's lanes may move; `None`: they may.
    pub(super) fn push_inspection(&mut self, node: NodeId, steps: &mut Vec<Step>) -> bool {
        let first = self.is_first_contact(node);
        let log = &mut self.nodes[node.0];
        match log.inspection {
            Inspection::Seen | Inspection::Complete => return true,
            Inspection::UnderWay => return false,
            // What is being asked or made durable may make and remove what the look goes by.
            Inspection::Due if log.lane(Stream::Catalog).is_some_and(Lane::is_busy) => return false,
            Inspection::Due => {}
        }
        if log.joined || first {
            log.inspection = Inspection::UnderWay;
            steps.push(Step::Inspect { adopt: first && !log.joined, generation: log.generation });
        } else if let Some(position) = self.join_position(node) {
            let log = &mut self.nodes[node.0];
            log.fed = log.fed.max(position);
            log.catalog_cursor = log.catalog_cursor.max(position);
            log.inspection = Inspection::UnderWay;
            steps.push(Step::Inspect { adopt: false, generation: log.generation });
        }
        false
    }

    /// The primary, before anything was ever applied: what it holds is adopted. Something may be logged
    /// by then: clients do not wait until it has settled, and lanes do not move before the look.
    fn is_first_contact(&self, node: NodeId) -> bool {
        let untouched = |log: &NodeLog| !log.joined && log.cursor() == Seq::ZERO;
        node == NodeId::PRIMARY && self.catalog.is_empty() && self.nodes.iter().all(untouched)
    }

    /// From where a node that was never seen follows the log: everything before is copied.
    fn join_position(&self, node: NodeId) -> Option<Seq> {
        let others = self.node_ids().filter(|other| *other != node);
        others.map(|other| &self.nodes[other.0]).filter(|log| log.joined).map(NodeLog::cursor).max()
    }

    /// The look at the node is over. False: it lost its standing meanwhile.
    pub fn inspected(&mut self, node: NodeId, generation: u64, findings: Option<Findings>) -> bool {
        let log = &mut self.nodes[node.0];
        if log.generation != generation || log.inspection != Inspection::UnderWay {
            return false;
        }
        let Some(findings) = findings else {
            log.inspection = Inspection::Due;
            return true;
        };
        // A refusal is being made durable: it counts, so the lane must not be quarantined under it.
        let committing = |id: &CollectionId| {
            let lane = log.lane(Stream::Collection(*id));
            lane.is_some_and(|lane| matches!(lane.phase, Phase::Committing { .. }))
        };
        if findings.lost.iter().any(committing) {
            log.inspection = Inspection::Due;
            return true;
        }
        log.inspection = Inspection::Seen;
        log.joined |= findings.joined;
        (log.batch_limit, log.base64) = (findings.batch_limit, findings.base64);
        for id in findings.lost {
            self.nodes[node.0].map(id, None);
            // One that was deleted since is not missed; its entries find that the node has none.
            if self.catalog.collection(id).is_some() {
                self.nodes[node.0].troubles.lost(id);
                self.quarantine(node, id, "the node lost this collection");
            }
        }
        true
    }

    /// What every node takes, as it told at the last look at it.
    pub fn common(&self) -> Common {
        let told = self.nodes.iter().map(|log| Common { batch_limit: log.batch_limit, base64: log.base64 });
        Common::of(told)
    }

    /// The node denied a collection of which it is known to hold this one: it is looked at again before it is
    /// read for anything. False: the collection went its ordinary way meanwhile.
    pub fn denied(&mut self, node: NodeId, id: CollectionId, own: Uuid) -> bool {
        let exists = self.catalog.collection(id).is_some();
        let log = &mut self.nodes[node.0];
        let holds = log.node_collection(id) == Some(own) && !log.is_quarantined(Stream::Collection(id));
        if exists && holds && log.inspection == Inspection::Complete && log.copying.is_none() {
            log.inspection = Inspection::Due;
        }
        exists && holds
    }

    /// The primary's own contents become the catalog.
    pub fn adopt(&mut self, node: NodeId, moves: &[Move], mapped: &[(CollectionId, Uuid)]) {
        moves.iter().for_each(|step| self.catalog.apply(step));
        for (id, own) in mapped {
            self.nodes[node.0].map(*id, Some(*own));
        }
    }

    /// Once the node's catalog is up to date, what it has no copy of was never there.
    pub(super) fn complete_inspection(&mut self, node: NodeId) {
        let log = &self.nodes[node.0];
        if log.inspection != Inspection::Seen || !self.catalog_is_current(node) {
            return;
        }
        let missing: Vec<_> = self.catalog.ids().filter(|id| log.node_collection(*id).is_none()).collect();
        let log = &mut self.nodes[node.0];
        log.inspection = Inspection::Complete;
        missing.into_iter().for_each(|id| log.quarantine(id, "the node has no copy of this collection"));
    }

    /// Every catalog entry that was decided is applied on the node, and none is being asked there.
    pub(super) fn catalog_is_current(&self, node: NodeId) -> bool {
        let log = &self.nodes[node.0];
        let undecided = |lane: &Lane| {
            let quiet = matches!(lane.phase, Phase::Idle | Phase::BackOff { .. });
            quiet && lane.front().is_some_and(|entry| self.decision(entry).is_none())
        };
        // An accepted catalog entry and its place on the acting node become durable together.
        let decided = self.nodes.iter().map(|node| node.catalog_cursor).max();
        Some(log.fed) >= decided && log.lane(Stream::Catalog).is_none_or(undecided)
    }

    /// Whether this entry takes the collection away where it is applied.
    pub fn takes(&self, entry: &Entry, id: CollectionId) -> bool {
        match entry.draft.op {
            Op::DeleteCollection => self.subject(entry) == Some(id),
            Op::DeleteDatabase => {
                let place = self.catalog.collection(id).map(|place| (&place.tenant, &place.database));
                matches!(entry.route(), Route::Write(Write::DeleteDatabase { tenant, database })
                    if place.is_none_or(|place| place == (&tenant, &database)))
            }
            op => op.is_destructive(),
        }
    }
}

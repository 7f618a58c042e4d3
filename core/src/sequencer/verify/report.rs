//! What a verification says about itself: how far it is, what it found, what became of that. It
//! decides nothing; `verify` does.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::ids::{CollectionId, NodeId};

/// Differences that are told one by one; the rest is counted.
const TOLD: usize = 100;

/// What became of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// Nothing was to be changed.
    Left,
    /// The collection is being copied anew.
    Rebuilding,
    /// Copied anew and found equal.
    Equal,
    /// Copied anew and still different.
    Failed,
}

/// One collection that differs on one node.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    pub node: String,
    /// The node whose records count.
    pub reference: String,
    pub collection: CollectionId,
    pub name: String,
    /// The first records that differ.
    pub records: Vec<String>,
    /// How many were seen to differ; there may be more.
    pub seen: usize,
    pub repair: Repair,
}

/// One verification, under way or over.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Verification {
    pub id: u64,
    /// Unix time in milliseconds.
    pub started_at_ms: u64,
    /// `None` while it is under way.
    pub finished_at_ms: Option<u64>,
    /// Another balancer took over before it was through.
    pub interrupted: bool,
    pub repairs: bool,
    /// Collections on nodes that were compared and found equal, in the end.
    pub equal: u64,
    /// Of these, records compared.
    pub records: u64,
    /// Collections on nodes that differed, whatever became of them.
    pub differing: u64,
    /// Not compared: the node or all others are away, or the collection is quarantined.
    pub skipped: u64,
    /// Never at one position, or not readable, however often it was tried.
    pub undecided: u64,
    /// The last reason for that.
    pub undecided_reason: Option<String>,
    /// Collections on nodes that are still to be compared.
    pub waiting: usize,
    pub differences: Vec<Difference>,
    #[serde(skip)]
    pub(in crate::sequencer) due: Vec<BTreeSet<CollectionId>>,
    #[serde(skip)]
    pub(in crate::sequencer) rebuilding: BTreeSet<(NodeId, CollectionId)>,
    #[serde(skip)]
    pub(in crate::sequencer) tries: BTreeMap<(NodeId, CollectionId), u32>,
}

impl Verification {
    pub fn is_under_way(&self) -> bool {
        self.started_at_ms > 0 && self.finished_at_ms.is_none()
    }

    /// Nothing differs, or no longer, and nothing was left out.
    pub fn is_clean(&self) -> bool {
        let unequal = |difference: &Difference| difference.repair != Repair::Equal;
        self.undecided == 0 && !self.interrupted && !self.differences.iter().any(unequal)
    }

    pub(in crate::sequencer) fn done(&mut self, node: NodeId, id: CollectionId) {
        self.due[node.0].remove(&id);
        self.rebuilding.remove(&(node, id));
        self.tries.remove(&(node, id));
        self.waiting = self.due.iter().map(BTreeSet::len).sum();
    }

    pub(in crate::sequencer) fn skip(&mut self, node: NodeId, id: CollectionId) {
        self.skipped += 1;
        self.done(node, id);
    }

    pub(in crate::sequencer) fn repaired(&mut self, node: NodeId, id: CollectionId, repair: Repair) {
        let name = node.name();
        let same = |difference: &&mut Difference| difference.node == name && difference.collection == id;
        if let Some(difference) = self.differences.iter_mut().filter(same).last() {
            difference.repair = repair;
        }
    }

    pub(in crate::sequencer) fn tell(&mut self, difference: Difference) {
        self.differing += 1;
        if self.differences.len() < TOLD {
            self.differences.push(difference);
        }
    }
}

//! Do all nodes hold the same? One verification goes through every collection on every node that is
//! not the reference for it, a node one collection at a time; what differs is named and, if wished,
//! copied anew and compared once more. It reads nothing; `compare` says when what was read counts.

use std::collections::BTreeSet;

use super::{Hindrance, Sequencer};
use crate::ids::{CollectionId, NodeId, Stream};

pub(super) mod compare;
mod report;
mod words;

pub use report::Verification;
use report::{Difference, Repair};
pub use words::{CompareTask, Finding, Look, Next, Purpose, ReplayTask, Scope};

/// Comparisons of one collection on one node that may come to no end.
const TRIES: u32 = 5;

impl Sequencer {
    /// Whether a verification can begin now.
    pub fn may_verify(&self) -> Result<(), Hindrance> {
        match (self.leading, self.verification.is_under_way()) {
            (false, _) => Err(Hindrance::NotLeading),
            (true, true) => Err(Hindrance::Verifying),
            (true, false) => Ok(()),
        }
    }

    /// Begins a verification of this collection, or of all. `at_ms`: Unix time.
    pub fn verify(
        &mut self,
        only: Option<CollectionId>,
        repairs: bool,
        at_ms: u64,
    ) -> Result<u64, Hindrance> {
        self.may_verify()?;
        let ids: BTreeSet<CollectionId> = match only {
            Some(id) => BTreeSet::from([id]),
            None => self.catalog.ids().collect(),
        };
        let due = vec![ids; self.nodes.len()];
        let waiting = due.iter().map(BTreeSet::len).sum();
        let id = self.verification.id + 1;
        self.verification = Verification {
            id,
            started_at_ms: at_ms.max(1),
            repairs,
            waiting,
            due,
            ..Verification::default()
        };
        Ok(id)
    }

    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// Ends it if everything is compared. True: just now.
    pub fn conclude_verification(&mut self, at_ms: u64) -> bool {
        if !self.verification.is_under_way() {
            return false;
        }
        self.skip_absent();
        let ends = self.verification.waiting == 0;
        if ends {
            self.verification.finished_at_ms = Some(at_ms);
        }
        ends
    }

    /// Another balancer goes on, or this one begins anew.
    pub(super) fn interrupt_verification(&mut self, at_ms: u64) {
        if self.verification.is_under_way() {
            self.verification.finished_at_ms = Some(at_ms);
            self.verification.interrupted = true;
            self.verification.due.clear();
        }
    }

    /// Nodes that are gone are not waited for, and nothing can be compared with them.
    fn skip_absent(&mut self) {
        for node in self.node_ids() {
            let alone = self.node_ids().all(|other| other == node || self.nodes[other.0].standing.gone);
            if !alone && !self.nodes[node.0].standing.gone {
                continue;
            }
            for id in self.verification.due[node.0].clone() {
                self.verification.skip(node, id);
            }
        }
    }

    pub(super) fn verify_task(&mut self, node: NodeId) -> Option<CompareTask> {
        if !self.verification.is_under_way() {
            return None;
        }
        for id in self.verification.due[node.0].clone() {
            if self.catalog.collection(id).is_none() || self.reference(id, None) == Some(node) {
                self.verification.done(node, id);
                continue;
            }
            if let Some(task) = self.verify_one(node, id) {
                return Some(task);
            }
        }
        None
    }

    fn verify_one(&mut self, node: NodeId, id: CollectionId) -> Option<CompareTask> {
        let stream = Stream::Collection(id);
        let rebuilding = self.verification.rebuilding.contains(&(node, id));
        let left_out = self.nodes[node.0].is_quarantined(stream) || self.has_other_ids(node, id);
        if left_out && !rebuilding {
            self.verification.skip(node, id);
            return None;
        }
        let reference = self.reference(id, Some(node))?;
        if [node, reference].into_iter().any(|at| self.nodes[at.0].doubts.is_fresh(stream)) {
            return None; // it is read back first
        }
        self.compare_task(node, reference, id, Purpose::Verify { repair: self.verification.repairs })
    }

    pub(super) fn take_verified(
        &mut self,
        node: NodeId,
        task: &CompareTask,
        repair: bool,
        finding: Finding,
    ) -> Next {
        let id = task.collection;
        if !self.verification.is_under_way() {
            return Next::Nothing;
        }
        match finding {
            Finding::Equal { records } => {
                let run = &mut self.verification;
                (run.equal, run.records) = (run.equal + 1, run.records + records);
                run.repaired(node, id, Repair::Equal);
            }
            Finding::Differs { records, seen } => {
                if self.reopen_doubts(node, task, &records) {
                    return Next::Nothing;
                }
                if self.take_difference(node, task, repair, (records, seen)) {
                    return Next::Rebuild;
                }
            }
            Finding::Undecided { reason } => {
                let tries = self.verification.tries.entry((node, id)).or_default();
                *tries += 1;
                if *tries < TRIES {
                    return Next::Nothing;
                }
                self.verification.undecided += 1;
                self.verification.undecided_reason = Some(reason);
            }
        }
        self.verification.done(node, id);
        Next::Nothing
    }

    /// What differs is in doubt on one of the two: the log decides, then they are compared again.
    fn reopen_doubts(&mut self, node: NodeId, task: &CompareTask, records: &[String]) -> bool {
        let stream = Stream::Collection(task.collection);
        let mut covered = false;
        for at in [node, task.reference] {
            let doubts = &mut self.nodes[at.0].doubts;
            if doubts.covers(stream, records)
                && let Some(doubt) = doubts.of_mut(stream)
            {
                doubt.reopen();
                covered = true;
            }
        }
        covered
    }

    /// Whether the collection is to be copied anew: once.
    fn take_difference(
        &mut self,
        node: NodeId,
        task: &CompareTask,
        repair: bool,
        (records, seen): (Vec<String>, usize),
    ) -> bool {
        let collection = task.collection;
        let name = self.catalog.collection(collection).map(|place| place.name.clone()).unwrap_or_default();
        let run = &mut self.verification;
        if !run.rebuilding.insert((node, collection)) {
            run.repaired(node, collection, Repair::Failed);
            return false;
        }
        let (reference, node_name) = (task.reference.name(), node.name());
        let becomes = if repair { Repair::Rebuilding } else { Repair::Left };
        run.tell(Difference { node: node_name, reference, collection, name, records, seen, repair: becomes });
        repair
    }
}

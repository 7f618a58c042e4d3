//! Who acts, who follows, how far is each node. One value holds what every lane needs to decide
//! together: it is changed synchronously, under one lock, by the actors, which then do what it says.
//! It performs nothing itself. The parts: `node` (one node's position), `acting` (who judges), `orders` (what operators want of a node), `suspicion`
//! (which entry is to blame), `copy` (what a node must be given anew), `leading` (whether it may go on at
//! all), `ready` (what may go next), `run` (what may go along),
//! `outcome` (what a finished request changes), `view` (what readers and operators see).

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::entry::{Decision, Entry};
use crate::ids::{NodeId, Seq, Stream};
use crate::orders::Heard;
use crate::port::Recovered;
use crate::pressure::{BatchSize, Pressure};

mod acting;
mod ahead;
pub mod copy;
mod courtesy;
mod doubt;
mod inspection;
mod leading;
pub mod letters;
pub mod limits;
pub mod lost;
mod mapping;
pub mod node;
mod orders;
mod other_ids;
pub mod outcome;
mod pages;
pub mod quarantine;
pub mod ready;
mod run;
pub mod shared;
mod standing;
pub mod step;
pub mod suspicion;
pub mod troubles;
mod verify;
pub mod view;

pub use doubt::Keeping;
pub use limits::Limits;
pub use node::NodeLog;
pub use outcome::{CatalogOutcome, Outcome, Ticket};
pub use quarantine::Hindrance;
pub use shared::Shared;
pub use standing::Standing;
pub use step::{CopyFailure, CopyTask, Findings, Inspection, Role, Step, Task};
pub use suspicion::Blame;
pub use troubles::{Matter, Troubles};
pub use verify::{CompareTask, Finding, Look, Next, Purpose, ReplayTask, Scope, Verification};
pub use view::{Behind, Gate, NodeView, Place};

/// What is known of a stream with undecided or unapplied entries.
#[derive(Debug, Default)]
struct StreamState {
    /// The last logged entry.
    head: Seq,
    /// Everything up to here is decided.
    decided: Seq,
    /// Everything up to here was acknowledged: no read may show less.
    acked: Seq,
    /// Entries that the log acknowledged ahead of their verdict.
    ahead: VecDeque<Seq>,
    /// The node that has been asked about the first undecided entry.
    asked: Option<NodeId>,
    /// That entry, and those that went along, as they were handed out. Effects are fixed on these copies:
    /// every other copy gives way to them until the entry is decided.
    given: Vec<Arc<Entry>>,
}

#[derive(Debug)]
pub struct Sequencer {
    epoch: u64,
    head: Seq,
    /// The log's end when the lease was taken: reads treat everything up to it as acknowledged.
    recovered_head: Seq,
    /// Everything up to here was applied somewhere before the lease was taken, so it was decided.
    floor: Seq,
    streams: HashMap<Stream, StreamState>,
    /// Undecided entries that may make a collection disappear.
    destructive: BTreeMap<Seq, Arc<Entry>>,
    suspects: suspicion::Suspects,
    nodes: Vec<NodeLog>,
    pub catalog: Catalog,
    limits: Limits,
    pressure: Pressure,
    /// How many entries are read at a time, by node.
    batches: Vec<BatchSize>,
    /// Reads under way at each node.
    readers: Vec<u32>,
    /// Rises with every recovery: pages that were read before it do not count.
    life: u64,
    /// Whether this balancer holds the lease. Without it no step is given out.
    leading: bool,
    verification: Verification,
    pub heard: Heard,
    /// The lease is about to be given away: what is under way ends, nothing is begun.
    resting: bool,
}

impl Sequencer {
    /// A balancer that does not hold the lease yet.
    pub fn new(limits: Limits, nodes: usize) -> Sequencer {
        let node = NodeLog::default;
        Sequencer {
            epoch: 0,
            head: Seq::ZERO,
            recovered_head: Seq::ZERO,
            floor: Seq::ZERO,
            streams: HashMap::new(),
            destructive: BTreeMap::new(),
            suspects: suspicion::Suspects::default(),
            nodes: (0..nodes).map(|_| node()).collect(),
            catalog: Catalog::fresh(),
            limits,
            pressure: Pressure::Calm,
            batches: vec![limits.batch(); nodes],
            readers: vec![0; nodes],
            life: 0,
            leading: false,
            verification: Verification::default(),
            heard: Heard::default(),
            resting: false,
        }
    }

    /// Takes over what the log remembers. No lane moves until the node's health says so again: what was
    /// sent under an earlier lease may still be executing.
    pub fn recover(&mut self, recovered: Recovered) {
        let Recovered { head, epoch, tenants, databases, collections, deleted, mut nodes, .. } = recovered;
        self.heard.set(recovered.orders);
        for (n, node) in self.nodes.iter_mut().enumerate() {
            let name = NodeId(n).name();
            let stored = nodes.iter().position(|n| n.name == name).map(|at| nodes.swap_remove(at));
            *node = NodeLog::remembered(stored.unwrap_or_default(), node);
            node.inherit_doubts(head);
        }
        self.epoch = epoch;
        self.life += 1;
        self.head = head;
        self.recovered_head = head;
        self.floor = self.nodes.iter().map(|n| n.fed).max().unwrap_or_default();
        self.streams.clear();
        self.destructive.clear();
        self.suspects = suspicion::Suspects::default();
        self.catalog = Catalog::recovered(tenants, databases, collections, deleted);
        self.leading = true;
        self.resting = false;
        self.interrupt_verification(0);
    }

    /// Rises with every lease; 0 while the log has not been read, or was read too long ago.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    pub fn head(&self) -> Seq {
        self.head
    }

    /// Entries that were just committed, in log order.
    pub fn admit(&mut self, entries: &[Arc<Entry>]) {
        let limits = self.limits();
        for entry in entries {
            debug_assert_eq!(entry.seq, self.head.next(), "the log has no gaps");
            self.head = entry.seq;
            self.note(entry);
            self.acknowledge_logged(entry);
            for node in &mut self.nodes {
                if node.fed == entry.seq.prev() {
                    node.offer(entry, &limits);
                }
            }
        }
    }

    /// A page of the whole log was read for a node that is behind. One that was asked for before a
    /// recovery is void: what was decided since is not in it, and nobody remembers that it was not.
    pub fn feed(
        &mut self,
        node: NodeId,
        life: u64,
        from: Seq,
        entries: Vec<Arc<Entry>>,
        complete_through: Seq,
    ) {
        let log = &mut self.nodes[node.0];
        if life != self.life || log.fed.next() != from {
            return;
        }
        log.feeding = false;
        let fresh = log.stale_from.take().map_or(self.head, Seq::prev);
        let through = complete_through.min(fresh);
        let limits = self.limits();
        for entry in entries {
            if entry.seq <= self.nodes[node.0].fed || entry.seq > through {
                continue;
            }
            let entry = self.note(&entry);
            self.nodes[node.0].offer(&entry, &limits);
        }
        let log = &mut self.nodes[node.0];
        log.fed = log.fed.max(through);
    }

    /// Keeps what later entries must know of this one. Returns the copy that counts.
    fn note(&mut self, entry: &Arc<Entry>) -> Arc<Entry> {
        let floor = self.floor;
        let state = self
            .streams
            .entry(entry.stream())
            .or_insert_with(|| StreamState { decided: floor, ..StreamState::default() });
        state.head = state.head.max(entry.seq);
        if entry.draft.op.is_destructive() && entry.decision().is_none() && entry.seq > state.decided {
            self.destructive.insert(entry.seq, Arc::clone(entry));
        }
        let given = state.given.iter().find(|given| given.seq == entry.seq);
        Arc::clone(given.unwrap_or(entry))
    }

    /// What was decided about an entry, by its own mark or by its place before the decided position.
    fn decision(&self, entry: &Entry) -> Option<Decision> {
        entry.decision().or_else(|| {
            let decided = self.streams.get(&entry.stream()).map_or(self.floor, |s| s.decided);
            (entry.seq <= decided).then_some(Decision::Accepted)
        })
    }

    pub fn node(&self, node: NodeId) -> &NodeLog {
        &self.nodes[node.0]
    }

    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len()).map(NodeId)
    }
}

#[cfg(test)]
mod tests;

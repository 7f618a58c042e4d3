//! What the sequencer hands out to be done on a node, and the words it needs for that. It decides
//! nothing: `ready` and `copy` do.

use std::sync::Arc;

use uuid::Uuid;

use crate::coalesce::{Bounds, RunEnd};
use crate::entry::{Decision, Entry};
use crate::ids::{CollectionId, NodeId, Seq, Stream};
use crate::port::{Leftover, Page};
use crate::sequencer::verify::{CompareTask, ReplayTask};

/// In which role a node applies an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The node's answer decides and goes to the client.
    Acting,
    /// The entry was accepted; the node must apply it.
    Following,
}

/// Work for one node.
#[derive(Debug)]
pub enum Step {
    /// Read a page of the log for the node's lanes (`stream` none) or for one lane, and hand it in with
    /// `life`.
    Load { stream: Option<Stream>, page: Page, life: u64 },
    /// Send entries to the node.
    Apply(Task),
    /// Look at what the node holds; `adopt`: take it over as the cluster's contents.
    Inspect { adopt: bool, generation: u64 },
    /// Copy a collection onto the node.
    Copy(CopyTask),
    /// Compare a collection with another node.
    Compare(CompareTask),
    /// Apply a collection's log again.
    Replay(ReplayTask),
    /// The entry needs no request: its collection was deleted. Tell who waits.
    Moot { entry: Arc<Entry>, decision: Decision },
}

/// Entries to be sent to a node in one request.
#[derive(Clone, Debug)]
pub struct Task {
    pub stream: Stream,
    pub entries: Vec<Arc<Entry>>,
    /// Why no more.
    pub end: RunEnd,
    /// How much of them may go in the request.
    pub bounds: Bounds,
    /// They went out together before, without an answer: it is read whether the node has applied them.
    pub read: bool,
    pub role: Role,
    /// The node's own id of the collection that the entries are about.
    pub node_collection: Option<Uuid>,
    /// The collection that a catalog entry is about, where it is known.
    pub subject: Option<CollectionId>,
    pub generation: u64,
    /// Failed deliveries to this node, for whatever cause.
    pub attempts: u32,
    /// Failures that were the entry's own.
    pub failures: u32,
}

impl Task {
    /// Its one client was told of success: only a judgement about the write itself rejects it, no trouble of a
    /// node.
    pub fn is_promised(&self) -> bool {
        self.role == Role::Acting && matches!(&self.entries[..], [entry] if entry.is_acknowledged())
    }
}

/// What is known about a node's contents since it came back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inspection {
    /// Nothing: it may have lost its disk.
    #[default]
    Due,
    /// It is being looked at.
    UnderWay,
    /// Its known collections are there or marked as lost; those that it never had are not looked up yet.
    Seen,
    /// Every collection of the catalog is mapped or waits to be copied.
    Complete,
}

impl Inspection {
    /// What the node holds is known: it may be read, judge, and be a source.
    pub(super) fn is_made(self) -> bool {
        matches!(self, Inspection::Seen | Inspection::Complete)
    }
}

/// What a look at a node found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Mapped collections that the node does not have.
    pub lost: Vec<CollectionId>,
    /// The node belongs to the cluster from now on.
    pub joined: bool,
    /// The most records that it takes in one request, if it told.
    pub batch_limit: Option<usize>,
    /// It said that it takes embeddings as base64.
    pub base64: bool,
}

/// One collection to be copied onto a node.
#[derive(Clone, Debug)]
pub struct CopyTask {
    pub collection: CollectionId,
    pub source: NodeId,
    /// The copy holds everything up to here; the lane replays what follows.
    pub position: Seq,
    /// The node's own collection that may be replaced: mapped, or left by a copy that did not end.
    pub replaces: Vec<Uuid>,
    /// What no mapping names any more, and what may be done with it.
    pub leftover: Option<Leftover>,
    pub generation: u64,
}

/// Why a copy ended without a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyFailure {
    /// It is tried again.
    Broken(String),
    /// A write had no answer: the node may execute it at any later time, so it settles first.
    InDoubt(String),
}

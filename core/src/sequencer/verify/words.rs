//! What is handed out to compare two nodes, what comes back, and what follows. Words only: `compare`
//! decides.

use uuid::Uuid;

use crate::ids::{CollectionId, NodeId, Seq};

/// Why a collection is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Records are in doubt on the node; `version` names what is.
    Doubt { version: u64 },
    /// Somebody asked, or it was time.
    Verify { repair: bool },
}

/// One collection to be compared with another node, whose records count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompareTask {
    pub collection: CollectionId,
    /// The node's own id of it.
    pub own: Uuid,
    pub reference: NodeId,
    /// The other node's id of it.
    pub theirs: Uuid,
    pub purpose: Purpose,
    /// Of the node and of the reference.
    pub generations: (u64, u64),
}

/// What of a collection is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Whole,
    /// These ids, whether they exist or not.
    Records(Vec<String>),
}

/// Whether both nodes can be read now so that a difference counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Go,
    /// They do not stand at one position.
    Wait,
    /// The comparison makes no sense any more.
    Void,
}

/// What a comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Equal {
        records: u64,
    },
    /// The first records that differ, and how many were seen to.
    Differs {
        records: Vec<String>,
        seen: usize,
    },
    Undecided {
        reason: String,
    },
}

/// What follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    Nothing,
    /// Something was sent meanwhile: what differed may be that.
    LookAgain,
    /// The log is to be applied again on the node.
    Replay(ReplayTask),
    /// The collection is to be copied anew onto the node.
    Rebuild,
}

/// A collection's log to be applied again on a node, from this position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayTask {
    pub collection: CollectionId,
    pub from: Seq,
    pub generation: u64,
}

//! What is out of order on a node and deserves a person: entries that it refuses, collections that it
//! lost, or holds otherwise than the others, and entries under which nodes fail. Kept here; what operators decide about it is in `letters`,
//! who is told in `alert`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Sequencer;
use crate::ids::{CollectionId, NodeId, Seq, Stream};

#[derive(Debug, Default)]
pub struct Troubles {
    /// The entry of each stream that the node refuses although it was accepted: a dead letter.
    pub(super) letters: HashMap<Stream, Seq>,
    /// Entries that an operator lets the node pass over.
    pub(super) skips: BTreeSet<Seq>,
    /// Collections that were gone from the node, until they are copied again.
    lost: BTreeSet<CollectionId>,
    /// Collections of which the node holds something else than the others, until that is mended.
    diverged: BTreeMap<CollectionId, String>,
}

impl Troubles {
    pub(super) fn lost(&mut self, id: CollectionId) {
        self.lost.insert(id);
    }

    /// The collection was copied to the node, or does not exist any more.
    pub(super) fn mended(&mut self, id: CollectionId) {
        self.letters.remove(&Stream::Collection(id));
        self.lost.remove(&id);
        self.diverged.remove(&id);
    }

    /// The node is past this entry.
    pub(super) fn passed(&mut self, stream: Stream, seq: Seq) {
        self.skips.remove(&seq);
        if self.letters.get(&stream).is_some_and(|letter| *letter <= seq) {
            self.letters.remove(&stream);
        }
    }
}

/// Something about one node that a person should know, while it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// The node refuses an accepted entry of this stream.
    DeadLetter { stream: Stream, seq: Seq, place: String },
    /// Collections are not served from the node, and wait to be copied there.
    Quarantine { collections: usize, first: String, reason: String },
    /// The node lost collections that it had.
    Amnesia { collections: usize },
    /// No node holds this collection any more.
    Lost { place: String },
    /// The node holds something else than the others under this collection.
    Divergence { place: String, what: String },
    /// Nodes fail under this entry: it has no verdict yet, or was rejected for that.
    Poison { seq: Seq, place: String },
}

impl Sequencer {
    /// The node was found to hold something else than the others. Stays until the collection is copied
    /// there.
    pub fn diverged(&mut self, node: NodeId, id: CollectionId, what: String) {
        self.nodes[node.0].troubles.diverged.insert(id, what);
    }

    /// What a person should know about the node now, by the name of the matter.
    pub fn matters(&self, node: NodeId) -> BTreeMap<String, Matter> {
        let (log, name) = (&self.nodes[node.0], node.name());
        let mut matters = BTreeMap::new();
        for (stream, seq) in log.troubles.letters.iter().filter(|(stream, _)| !self.is_deleted(**stream)) {
            let matter = Matter::DeadLetter { stream: *stream, seq: *seq, place: self.described(*stream) };
            matters.insert(format!("dead-letter:{name}:{seq}"), matter);
        }
        let mut aside = log.quarantined();
        let taken = |stream| matches!(stream, Stream::Collection(id) if self.may_have_taken(node, id));
        aside.retain(|(stream, _)| !self.is_deleted(*stream) && !taken(*stream));
        aside.sort_unstable();
        if let Some((stream, reason)) = aside.first() {
            let (first, reason) = (self.described(*stream), reason.clone());
            let matter = Matter::Quarantine { collections: aside.len(), first, reason };
            matters.insert(format!("quarantine:{name}"), matter);
        }
        let waits = |id: &CollectionId| aside.iter().any(|(stream, _)| *stream == Stream::Collection(*id));
        let lost = log.troubles.lost.iter().filter(|id| waits(id)).count();
        if lost > 0 {
            matters.insert(format!("amnesia:{name}"), Matter::Amnesia { collections: lost });
        }
        for (id, what) in log.troubles.diverged.iter().filter(|(id, _)| waits(id)) {
            let matter =
                Matter::Divergence { place: self.described(Stream::Collection(*id)), what: what.clone() };
            matters.insert(format!("divergence:{name}:{id}"), matter);
        }
        if node == NodeId::PRIMARY {
            let lost = log.lacking().filter(|id| self.is_lost(*id));
            matters.extend(lost.map(|id| {
                (format!("lost:{id}"), Matter::Lost { place: self.described(Stream::Collection(id)) })
            }));
            let poison = self.suspects.poison(self.limits.attempts);
            matters.extend(poison.filter(|(stream, _)| !self.is_deleted(*stream)).map(|(stream, seq)| {
                (format!("poison:{stream}"), Matter::Poison { seq, place: self.described(stream) })
            }));
        }
        matters
    }

    /// A stream as people know it.
    pub fn described(&self, stream: Stream) -> String {
        let Stream::Collection(id) = stream else { return "the catalog".to_owned() };
        let named = |c: &crate::catalog::Collection| format!("{}/{}/{}", c.tenant, c.database, c.name);
        self.catalog.collection(id).map_or_else(|| id.to_string(), |c| format!("{} ({id})", named(c)))
    }
}

//! Dead letters: accepted entries that a node refuses. What an operator may decide about one, and what
//! that changes here. The log remembers it first; a letter ends by itself once the collection is copied
//! anew, or the entry is applied after all.

use super::{Hindrance, NodeLog, Sequencer};
use crate::ids::{NodeId, Seq, Stream};
use crate::lane::{Lane, Phase};

impl NodeLog {
    /// The entry of the stream that the node refuses although it was accepted.
    pub fn letter(&self, stream: Stream) -> Option<Seq> {
        self.troubles.letters.get(&stream).copied()
    }

    /// Every such entry, in log order.
    pub fn letters(&self) -> Vec<(Seq, Stream)> {
        let mut all: Vec<_> = self.troubles.letters.iter().map(|(stream, seq)| (*seq, *stream)).collect();
        all.sort_unstable();
        all
    }
}

impl Sequencer {
    /// The node refused the entry often enough: its collection is set aside there. The catalog's entries
    /// cannot be copied: they are tried again at that moment.
    pub(super) fn take_letter(
        &mut self,
        node: NodeId,
        (stream, seq): (Stream, Seq),
        reason: String,
        until_ms: u64,
    ) {
        if self.is_deleted(stream) {
            // What is left of a deleted collection is passed over, not judged.
            return self.nodes[node.0].change(stream, |lane| lane.phase = Phase::Idle);
        }
        self.suspects.dead(node, stream, self.limits.attempts);
        let log = &mut self.nodes[node.0];
        log.troubles.letters.insert(stream, seq);
        log.change(stream, |lane| {
            lane.attempts += 1;
            lane.phase = match stream {
                Stream::Catalog => Phase::BackOff { until_ms },
                Stream::Collection(_) => Phase::Quarantined { reason },
            };
        });
    }

    /// The stream of an open letter about which an operator may decide now.
    pub fn disputable(&self, node: NodeId, seq: Seq) -> Result<Stream, Hindrance> {
        let log = &self.nodes[node.0];
        let letter = log.troubles.letters.iter().find(|(_, letter)| **letter == seq);
        let stream = letter.map(|(stream, _)| *stream).ok_or(Hindrance::NoSuchLetter)?;
        let Stream::Collection(id) = stream else {
            let busy = log.lane(stream).is_some_and(Lane::is_busy);
            return if busy { Err(Hindrance::BeingTried) } else { Ok(stream) };
        };
        if log.copying == Some(id) {
            return Err(Hindrance::BeingCopied);
        }
        if log.node_collection(id).is_none() {
            return Err(Hindrance::NoCopy);
        }
        if log.is_quarantined(stream) { Ok(stream) } else { Err(Hindrance::BeingTried) }
    }

    /// The lane tries the entry again. The letter stays until the node has taken it.
    pub fn retry_letter(&mut self, node: NodeId, seq: Seq) -> Result<(), Hindrance> {
        let stream = self.disputable(node, seq)?;
        self.nodes[node.0].change(stream, |lane| lane.phase = Phase::Idle);
        Ok(())
    }

    /// The node passes the entry over and serves the collection without it.
    pub fn accept_difference(&mut self, node: NodeId, seq: Seq) -> Result<(), Hindrance> {
        let stream = self.disputable(node, seq)?;
        let log = &mut self.nodes[node.0];
        log.troubles.letters.remove(&stream);
        log.troubles.skips.insert(seq);
        log.change(stream, |lane| lane.phase = Phase::Idle);
        Ok(())
    }

    /// Nobody waits for the entry any more; the collection stays set aside until it is copied.
    pub fn drop_letter(&mut self, node: NodeId, seq: Seq) {
        self.nodes[node.0].troubles.letters.retain(|_, letter| *letter != seq);
    }
}

//! What a page of the log changes that was read for one lane, or could not be read. It asks for none:
//! `ready` does; pages for a whole node are `feed`'s.

use std::sync::Arc;

use super::Sequencer;
use crate::entry::Entry;
use crate::ids::{NodeId, Seq, Stream};
use crate::lane::Phase;

impl Sequencer {
    /// A page of one lane's span was read, or could not be.
    pub fn loaded(
        &mut self,
        node: NodeId,
        life: u64,
        stream: Stream,
        from: Seq,
        entries: Vec<Arc<Entry>>,
        through: Seq,
    ) {
        if life != self.life {
            return;
        }
        if self.nodes[node.0].wanted(stream).is_none_or(|span| span.first != from) {
            return; // read for an earlier life of this lane
        }
        let entries = entries.iter().map(|entry| self.note(entry)).collect();
        self.nodes[node.0].change(stream, |lane| lane.loaded(entries, through));
    }

    /// Reading a page failed; the next pass asks again.
    pub fn load_failed(&mut self, node: NodeId, life: u64, stream: Option<Stream>) {
        match stream {
            _ if life != self.life => {}
            None => self.nodes[node.0].feeding = false,
            Some(stream) => self.nodes[node.0].change(stream, |lane| {
                if lane.phase == Phase::Loading {
                    lane.phase = Phase::Idle;
                }
            }),
        }
    }
}

//! What may a copy's request that was given up still change? One of an attempt that broke off may be
//! executed after the copy is complete: an `add` brings back what was deleted since, a delete by name
//! takes the complete copy away. What came to a collection that is gone finds nothing. Only what comes into
//! doubt is decided here.

use uuid::Uuid;

use super::{Doubt, Doubts};
use crate::ids::{Seq, Stream};
use crate::port::LeftoverState;
use crate::sequencer::CopyTask;

impl Doubts {
    /// The copy is complete, and the log went up to `head` then. What earlier attempts had sent nobody
    /// remembers, a restart least of all.
    pub(in crate::sequencer) fn copied(&mut self, task: &CopyTask, own: Uuid, head: Seq) {
        match task.leftover {
            Some(left) if left.state == LeftoverState::Void => self.all_of(Stream::Catalog, head, head),
            Some(left) if left.node_collection == own && matches!(left.state, LeftoverState::Begun(_)) => {
                self.all_of(Stream::Collection(task.collection), task.position.next(), head);
            }
            _ => {}
        }
    }

    fn all_of(&mut self, stream: Stream, first: Seq, last: Seq) {
        let version = self.of(stream).map_or(0, |doubt| doubt.version + 1);
        let first = self.of(stream).map_or(first, |doubt| doubt.first.min(first)).min(last);
        self.forget(stream);
        self.streams.insert(stream, Doubt { first, last, version, ..Doubt::default() });
    }
}

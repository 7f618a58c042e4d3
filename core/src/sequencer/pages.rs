//! How large is the next page of the log that is read for a node, and what does it change once it was read, or
//! could not be? When one is read, `ready` says; what a page for a whole node changes, `feed`.

use std::sync::Arc;

use super::{Limits, Sequencer};
use crate::entry::Entry;
use crate::ids::{NodeId, Seq, Stream};
use crate::lane::{Phase, Span};
use crate::port::Page;
use crate::pressure::Pressure;

/// While a node's memory is full, so many of its lanes, by log order, are given an entry all the same: one of
/// them that cannot go on must not stop the others.
const FIRST: usize = 64;

impl Sequencer {
    /// How short memory is: how much is read and kept from now on. To be said again and again, because a batch
    /// grows step by step while a node is far behind.
    pub fn adapt(&mut self, pressure: Pressure) {
        self.pressure = pressure;
        let limits = self.limits.under(pressure);
        for (log, batch) in self.nodes.iter_mut().zip(&mut self.batches) {
            let lag = self.head.0 - log.cursor().0;
            batch.next(pressure, usize::try_from(lag).unwrap_or(usize::MAX));
            if pressure == Pressure::Shed {
                log.give_back(limits.node_bytes);
            }
        }
    }

    /// By memory, as it was said last.
    pub fn pressure(&self) -> Pressure {
        self.pressure
    }

    /// How many entries are read at a time for the node, and how many of them go to it in one request.
    pub fn batch(&self, node: NodeId) -> usize {
        self.batches[node.0].current()
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits.under(self.pressure)
    }

    /// The next page of the whole log for the node, if there is room for it.
    pub(super) fn feed_page(&self, node: NodeId) -> Option<Page> {
        let (log, limits) = (&self.nodes[node.0], self.limits());
        let wanted = log.fed < self.head && !log.feeding && log.queued_bytes() < limits.node_bytes;
        wanted.then(|| Page {
            stream: None,
            from: log.fed.next(),
            through: self.head,
            max_entries: self.batch(node),
            max_bytes: limits.page_bytes,
        })
    }

    /// The next page for a lane that has nothing in memory. A few are read at a time, whatever the number of
    /// lanes; with no room left a page is one entry, and only for the first lanes in the log's order.
    pub(super) fn lane_page(&self, node: NodeId, stream: Stream, span: Span, nth: usize) -> Option<Page> {
        let (log, limits) = (&self.nodes[node.0], self.limits());
        if log.loading() >= limits.pages {
            return None;
        }
        let taken = log.queued_bytes() + log.loading() * limits.page_bytes;
        let room = limits.node_bytes.saturating_sub(taken);
        let max_entries = if room > 0 { self.batch(node) } else { 1 };
        (room > 0 || nth < FIRST).then(|| Page {
            stream: Some(stream),
            from: span.first,
            through: span.last,
            max_entries,
            max_bytes: room.min(limits.page_bytes),
        })
    }

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

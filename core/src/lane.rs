//! One node's applier of one stream: a bounded queue of entries in log order, with the log itself
//! as spill. It says what comes next and never lets two requests be in flight; who may ask and who
//! must follow is decided by `sequencer`.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::entry::Entry;
use crate::ids::Seq;

mod phase;
mod together;

pub use phase::Phase;
use together::Together;

/// Entries of a stream that are in the log but not in memory, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: Seq,
    pub last: Seq,
}

#[derive(Debug, Default)]
pub struct Lane {
    queue: VecDeque<Arc<Entry>>,
    spilled: Option<Span>,
    /// When the first entry of the span was logged, where that was seen.
    spilled_since_ms: Option<u64>,
    pub phase: Phase,
    /// Failed deliveries of the front entry.
    pub attempts: u32,
    together: Together,
    bytes: usize,
    /// An effect or a refusal from here on became durable while a page was being read: it may lack it.
    stale_from: Option<Seq>,
}

impl Lane {
    /// The first position that is not applied; `None` when nothing is waiting.
    pub fn first(&self) -> Option<Seq> {
        self.queue.front().map(|e| e.seq).or(self.spilled.map(|s| s.first))
    }

    /// When the first entry that is not applied was logged (ms since the Unix epoch). Not known for a while
    /// once part of a span was read, or the lane was set back.
    pub fn since_ms(&self) -> Option<u64> {
        self.queue.front().map(|entry| entry.logged_at_ms).or(self.spilled_since_ms)
    }

    pub fn front(&self) -> Option<&Arc<Entry>> {
        self.queue.front()
    }

    /// What is in memory, in log order.
    pub fn queue(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.queue.iter()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.spilled.is_none()
    }

    /// What must be read from the log before anything can move: what went out together is looked at together.
    pub fn wanted(&self) -> Option<Span> {
        self.spilled.filter(|_| self.queue.is_empty() || self.queue.len() < self.together.unread())
    }

    pub fn is_spilled(&self) -> bool {
        self.spilled.is_some()
    }

    /// So many entries at the front go out in one request.
    pub fn send(&mut self, count: usize) {
        self.phase = Phase::Asking;
        self.together.sent(count);
    }

    /// Takes the next entry of the stream: into memory if there is room, else as part of the span.
    pub fn offer(&mut self, entry: Arc<Entry>, room: bool) {
        match &mut self.spilled {
            Some(span) => span.last = entry.seq,
            None if room && !matches!(self.phase, Phase::Quarantined { .. }) => {
                self.bytes += entry.size_bytes();
                self.queue.push_back(entry);
            }
            None => {
                self.spilled = Some(Span { first: entry.seq, last: entry.seq });
                self.spilled_since_ms = Some(entry.logged_at_ms);
            }
        }
    }

    /// A page of the span was read: `entries` is all there is up to `complete_through`.
    pub fn loaded(&mut self, entries: Vec<Arc<Entry>>, complete_through: Seq) {
        if self.phase == Phase::Loading {
            self.phase = Phase::Idle;
        }
        let stale_from = self.stale_from.take();
        let Some(span) = self.spilled else { return };
        let through = complete_through.min(stale_from.map_or(span.last, Seq::prev)).min(span.last);
        for entry in entries.into_iter().filter(|e| e.seq >= span.first && e.seq <= through) {
            self.bytes += entry.size_bytes();
            self.queue.push_back(entry);
        }
        let rest = Span { first: through.next().max(span.first), last: span.last };
        self.spilled_since_ms = self.spilled_since_ms.filter(|_| rest.first == span.first);
        self.spilled = (rest.first <= rest.last).then_some(rest);
    }

    /// Gives the memory back: everything queued becomes part of the span.
    pub fn spill(&mut self) {
        let (Some(first), Some(last)) = (self.first(), self.last()) else { return };
        self.spilled_since_ms = self.since_ms();
        self.queue.clear();
        self.bytes = 0;
        self.spilled = Some(Span { first, last });
    }

    /// A request is at the node, or its outcome is being made durable.
    pub fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Asking | Phase::Committing { .. })
    }

    /// What the node has applied from `first` on is to be applied again, through here.
    pub fn rewind(&mut self, first: Seq, through: Seq) {
        self.spill();
        let last = self.spilled.map_or(through, |span| span.last.max(through));
        self.spilled = Some(Span { first, last });
        self.spilled_since_ms = None;
        self.attempts = 0;
        self.together.mask();
    }

    /// Everything up to here is on the node already.
    pub fn skip_through(&mut self, position: Seq) {
        self.together.forget_unread();
        while self.queue.front().is_some_and(|entry| entry.seq <= position) {
            if let Some(entry) = self.queue.pop_front() {
                self.bytes -= entry.size_bytes();
            }
        }
        if let Some(span) = &mut self.spilled
            && span.first <= position
        {
            span.first = position.next();
            self.spilled_since_ms = None;
            if span.first > span.last {
                self.spilled = None;
            }
        }
    }

    fn last(&self) -> Option<Seq> {
        self.spilled.map(|s| s.last).or(self.queue.back().map(|e| e.seq))
    }

    /// The front entry is done with.
    pub fn advance(&mut self) {
        if let Some(entry) = self.queue.pop_front() {
            self.bytes -= entry.size_bytes();
        }
        self.attempts = 0;
        self.together.mask();
        if !matches!(self.phase, Phase::Quarantined { .. }) {
            self.phase = Phase::Idle;
        }
    }

    /// Another lane's copy of this entry was decided: take that copy, with its effect and decision.
    pub fn adopt(&mut self, entry: &Arc<Entry>) {
        if self.phase == Phase::Loading && entry.outdates_pages() {
            self.stale_from = Some(self.stale_from.map_or(entry.seq, |from| from.min(entry.seq)));
        }
        if let Ok(at) = self.queue.binary_search_by_key(&entry.seq, |e| e.seq) {
            self.queue[at] = Arc::clone(entry);
        }
    }
}

#[cfg(test)]
mod tests;

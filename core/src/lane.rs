//! One node's applier of one stream: a bounded queue of entries in log order, with the log itself
//! as spill. It says what comes next and never lets two requests be in flight; who may ask and who
//! must follow is decided by `sequencer`.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::entry::Entry;
use crate::ids::Seq;

mod phase;

pub use phase::Phase;

/// Entries of a stream that are in the log but not in memory, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: Seq,
    pub last: Seq,
}

#[derive(Debug)]
pub struct Lane {
    queue: VecDeque<Arc<Entry>>,
    spilled: Option<Span>,
    /// When the first entry of the span was logged, where that was seen.
    spilled_since_ms: Option<u64>,
    pub phase: Phase,
    /// Failed deliveries of the front entry.
    pub attempts: u32,
    /// Entries at the front that went out in the last request.
    flying: usize,
    /// Entries that may go out in one request: fewer after a refusal, until it is known whose it is.
    pub most: usize,
    /// Entries up to here go out one by one: something went wrong under a request with several.
    pub alone_through: Seq,
    /// So many entries at the front went out in one request that came to nothing: whether the node has applied
    /// them is read first. Applied again one by one, earlier ones would go over later ones.
    pub unread: usize,
    /// One of them was applied again all the same, accepted by another node: up to here records do not tell
    /// what the node has applied.
    pub masked_through: Seq,
    bytes: usize,
    /// An effect or a refusal from here on became durable while a page was being read: it may lack it.
    stale_from: Option<Seq>,
}

impl Default for Lane {
    fn default() -> Self {
        Lane {
            queue: VecDeque::new(),
            spilled: None,
            spilled_since_ms: None,
            phase: Phase::Idle,
            attempts: 0,
            flying: 0,
            most: usize::MAX,
            alone_through: Seq::ZERO,
            unread: 0,
            masked_through: Seq::ZERO,
            bytes: 0,
            stale_from: None,
        }
    }
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

    /// What comes after the request that is under way, or after the first entry.
    pub fn next_run(&self) -> Option<&Arc<Entry>> {
        self.queue.get(if self.is_busy() { self.flying.max(1) } else { 1 })
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
        self.spilled.filter(|_| self.queue.is_empty() || self.queue.len() < self.unread)
    }

    pub fn is_spilled(&self) -> bool {
        self.spilled.is_some()
    }

    /// So many entries at the front go out in one request.
    pub fn send(&mut self, count: usize) {
        self.phase = Phase::Asking;
        self.flying = count;
    }

    /// Fewer go out than was thought.
    pub fn shorten(&mut self, count: usize) {
        self.flying = self.flying.min(count);
    }

    /// The entries of the request that is under way.
    pub fn run(&self) -> Vec<Arc<Entry>> {
        let count = if self.is_busy() { self.flying } else { 0 };
        self.queue.iter().take(count).cloned().collect()
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
        self.unread = 0;
    }

    /// Everything up to here is on the node already.
    pub fn skip_through(&mut self, position: Seq) {
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
        if std::mem::take(&mut self.unread) > 1 {
            self.masked_through = self.alone_through;
        }
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
mod tests {
    use super::*;
    use crate::entry::{Draft, Op};
    use bytes::Bytes;
    use proptest::prelude::*;

    pub(crate) fn entry(seq: u64) -> Arc<Entry> {
        let draft = Draft {
            write_id: seq.to_string(),
            op: Op::Add,
            target: Some(uuid::Uuid::from_u128(1)),
            method: "POST".into(),
            path: "/".into(),
            body: Bytes::new(),
            headers: Vec::new(),
        };
        Arc::new(Entry::new(Seq(seq), draft, seq * 10))
    }

    #[test]
    fn the_time_of_the_first_entry_outlives_its_memory() {
        let mut lane = Lane::default();
        assert_eq!(lane.since_ms(), None);
        (1..=2).for_each(|seq| lane.offer(entry(seq), true));
        lane.offer(entry(3), false);
        lane.spill();
        assert_eq!((lane.front().is_none(), lane.since_ms()), (true, Some(10)));
        lane.loaded(vec![entry(1)], Seq(1));
        assert_eq!(lane.since_ms(), Some(10));
        // Its successor was not read: no time is better than that of another entry.
        lane.advance();
        assert_eq!(lane.since_ms(), None);
        lane.loaded(vec![entry(2), entry(3)], Seq(3));
        assert_eq!(lane.since_ms(), Some(20));
        lane.skip_through(Seq(2));
        assert_eq!(lane.since_ms(), Some(30));
        lane.rewind(Seq(1), Seq(3));
        assert_eq!(lane.since_ms(), None);
    }

    proptest! {
        /// Whatever the room, the spills and the page sizes: every entry comes out once, in order.
        #[test]
        fn nothing_is_lost_or_reordered(steps in prop::collection::vec((0u8..4, any::<bool>(), 1usize..4), 1..120)) {
            let mut lane = Lane::default();
            let (mut logged, mut applied) = (0u64, Vec::new());
            for (step, room, page) in steps {
                match step {
                    0 => { logged += 1; lane.offer(entry(logged), room) }
                    1 => if let Some(e) = lane.front().cloned() { applied.push(e.seq.0); lane.advance() },
                    2 => lane.spill(),
                    _ => if let Some(span) = lane.wanted() {
                        let through = Seq((span.first.0 + page as u64 - 1).min(span.last.0));
                        lane.loaded((span.first.0..=through.0).map(entry).collect(), through);
                    },
                }
                // Unknown, perhaps, but never another entry's.
                let since_ms = lane.first().map(|first| first.0 * 10);
                prop_assert!(lane.since_ms().is_none_or(|shown| Some(shown) == since_ms));
            }
            while !lane.is_empty() {
                match lane.wanted() {
                    Some(span) => lane.loaded((span.first.0..=span.last.0).map(entry).collect(), span.last),
                    None => { applied.push(lane.front().unwrap().seq.0); lane.advance() }
                }
            }
            prop_assert_eq!(applied, (1..=logged).collect::<Vec<_>>());
            prop_assert_eq!(lane.bytes(), 0);
        }
    }
}

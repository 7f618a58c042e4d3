//! Which doubts does a restart find by a note of their own? A doubt holds a node's durable cursor back, so that a
//! restart comes by it again. One that would hold it far back is kept itself, and the cursor goes on: else a node
//! that catches up for hours would begin anew with every restart. What is in doubt, `doubt` says.

use super::{Doubt, Doubts, NodeLog};
use crate::ids::{NodeId, Seq, Stream};
use crate::sequencer::Sequencer;

/// A doubt that is kept from its first entry on, or (`None`) no longer.
pub type Keeping = (Stream, Option<Seq>);

/// Said at a time: each is a statement, and all that is flushed together is one transaction.
const AT_ONCE: usize = 200;

impl NodeLog {
    /// What is to be kept of its doubts at so many entries, and what no longer.
    fn to_keep(&self, held: u64) -> Vec<Keeping> {
        let (doubts, cursor) = (&self.doubts, self.cursor());
        let ended = doubts.kept.keys().filter(|stream| self.is_over(**stream)).map(|stream| (*stream, None));
        let far = |doubt: &Doubt| doubt.is_fresh() && doubt.first.0.saturating_add(held) < cursor.0;
        let unkept = |stream: &Stream, doubt: &Doubt| far(doubt) && !doubts.is_kept(*stream, doubt);
        let due = doubts.streams.iter().filter(|(stream, doubt)| unkept(stream, doubt));
        let due = due.map(|(stream, doubt)| (*stream, Some(doubt.first)));
        ended.take(AT_ONCE).chain(due.take(AT_ONCE)).collect()
    }

    /// Looked at, or applied again to the end: in between a restart must still find it, because the durable
    /// cursor is past it.
    fn is_over(&self, stream: Stream) -> bool {
        let open = |doubt: &Doubt| doubt.is_fresh() || self.position(stream) < doubt.through;
        !self.doubts.of(stream).is_some_and(open)
    }
}

impl Doubts {
    fn is_kept(&self, stream: Stream, doubt: &Doubt) -> bool {
        self.kept.get(&stream).is_some_and(|first| *first <= doubt.first)
    }

    /// Where a restart must begin, so that what nobody has looked at is in doubt again.
    fn first_unkept(&self, keeping: &[Keeping]) -> Option<Seq> {
        let will_be = |stream: &Stream| keeping.iter().any(|(s, first)| s == stream && first.is_some());
        let unkept = |(stream, doubt): &(&Stream, &Doubt)| {
            doubt.is_fresh() && !self.is_kept(**stream, doubt) && !will_be(stream)
        };
        self.streams.iter().filter(unkept).map(|(_, doubt)| doubt.first).min()
    }

    /// A restart finds these: every record of the stream is in doubt, up to the log's end.
    pub(super) fn restore(&mut self, through: Seq) {
        for (stream, first) in &self.kept {
            let (first, last) = (*first, through.max(*first));
            self.streams.insert(*stream, Doubt { first, last, ..Doubt::default() });
        }
    }
}

impl NodeLog {
    pub(in crate::sequencer) fn remember_doubts(&mut self, kept: Vec<(Stream, Seq)>) {
        self.doubts.kept = kept.into_iter().collect();
    }
}

impl Sequencer {
    /// A node's cursor as it may become durable, together with what is to be kept of its doubts.
    pub fn durable(&self, node: NodeId) -> (Seq, Vec<Keeping>) {
        let log = &self.nodes[node.0];
        let keeping = log.to_keep(self.limits.held_entries);
        let doubtful = log.doubts.first_unkept(&keeping).map(Seq::prev);
        (doubtful.map_or(log.cursor(), |first| first.min(log.cursor())), keeping)
    }

    /// This is being made durable: what is no longer kept does not count from now on, whatever becomes of that.
    pub fn unkeep(&mut self, node: NodeId, keeping: &[Keeping]) {
        let kept = &mut self.nodes[node.0].doubts.kept;
        for (stream, _) in keeping.iter().filter(|(_, first)| first.is_none()) {
            kept.remove(stream);
        }
    }

    /// That became durable.
    pub fn kept(&mut self, node: NodeId, keeping: &[Keeping]) {
        let kept = &mut self.nodes[node.0].doubts.kept;
        let begun = keeping.iter().filter_map(|(stream, first)| Some((*stream, (*first)?)));
        kept.extend(begun);
    }
}

//! Which doubts does a restart find by a note of their own? A doubt holds a node's durable cursor back, so that a
//! restart comes by it again. One that would hold it far back is kept itself, and the cursor goes on: else a node
//! that catches up for hours would begin anew with every restart. What is in doubt, `doubt` says.

use super::{Doubt, Doubts, NodeLog};
use crate::ids::{NodeId, Seq, Stream};
use crate::sequencer::Sequencer;

/// A doubt that is kept from its first entry on, or (`None`) no longer.
pub type Keeping = (Stream, Option<Seq>);

impl Doubts {
    /// What is to be kept for a node that is so far, and what no longer.
    fn to_keep(&self, cursor: Seq, held: u64) -> Vec<Keeping> {
        let over = |stream: &Stream| !self.is_fresh(*stream);
        let ended = self.kept.keys().filter(|stream| over(stream)).map(|stream| (*stream, None));
        let far = |doubt: &Doubt| doubt.is_fresh() && doubt.first.0.saturating_add(held) < cursor.0;
        let due = self.streams.iter().filter(|(stream, doubt)| far(doubt) && !self.is_kept(**stream, doubt));
        ended.chain(due.map(|(stream, doubt)| (*stream, Some(doubt.first)))).collect()
    }

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
        let keeping = log.doubts.to_keep(log.cursor(), self.limits.held_entries);
        let doubtful = log.doubts.first_unkept(&keeping).map(Seq::prev);
        (doubtful.map_or(log.cursor(), |first| first.min(log.cursor())), keeping)
    }

    /// That became durable.
    pub fn kept(&mut self, node: NodeId, keeping: &[Keeping]) {
        let kept = &mut self.nodes[node.0].doubts.kept;
        for (stream, first) in keeping {
            match first {
                Some(first) => drop(kept.insert(*stream, *first)),
                None => drop(kept.remove(stream)),
            }
        }
    }
}

//! What happened here lately: figures of the last hour, changes of who does what, alerts. Kept in memory and
//! bounded, for people who look; the counters themselves are `stats`. A restart forgets it, but for what the log
//! kept of the nodes' states.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use chroma_ha_core::alert::{Alert, Phase};
use chroma_ha_core::ids::NodeId;
use chroma_ha_core::port::PastTurn;
use serde::Serialize;

mod figures;
mod latencies;

pub use figures::{NodePoint, Point};
pub use latencies::Latency;

use figures::Counted;
use latencies::Latencies;

use crate::board::Board;
use crate::resources::Load;
use crate::stats::Stats;
use crate::wal::now_unix_ms;

/// One hour at one point each 5 s.
const POINTS: usize = 720;
/// Of alerts, and of changes.
const KEPT: usize = 100;

/// Who does what changed.
#[derive(Clone, Debug, Serialize)]
pub struct Turn {
    pub at_ms: u64,
    /// A node's name, `the log` or `acting node`.
    pub of: String,
    pub from: String,
    pub to: String,
    pub reason: String,
}

/// What `Turn::of` says of the lease.
pub const LOG: &str = "the log";
/// And of the node that judges.
pub const ACTING: &str = "acting node";

/// A fact with its number: whoever has seen that needs only later ones.
#[derive(Clone, Debug, Serialize)]
pub struct Numbered<T> {
    pub n: u64,
    #[serde(flatten)]
    pub fact: T,
}

#[derive(Debug)]
struct Ring<T> {
    facts: VecDeque<Numbered<T>>,
    most: usize,
    next: u64,
}

impl<T: Clone> Ring<T> {
    fn new(most: usize) -> Ring<T> {
        Ring { facts: VecDeque::with_capacity(most), most, next: 1 }
    }

    fn push(&mut self, fact: T) {
        if self.facts.len() == self.most {
            self.facts.pop_front();
        }
        self.facts.push_back(Numbered { n: self.next, fact });
        self.next += 1;
    }

    /// What is later than `seen`, which moves on.
    fn after(&self, seen: &mut u64) -> Vec<Numbered<T>> {
        let known = self.facts.partition_point(|fact| fact.n <= *seen);
        *seen = self.next - 1;
        self.facts.iter().skip(known).cloned().collect()
    }
}

/// How far somebody has looked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    points: u64,
    turns: u64,
    alerts: u64,
}

/// What is new to somebody.
#[derive(Debug, Serialize)]
pub struct Lately {
    pub points: Vec<Numbered<Point>>,
    pub changes: Vec<Numbered<Turn>>,
    pub alerts: Vec<Numbered<Alert>>,
}

#[derive(Debug)]
struct Kept {
    points: Ring<Point>,
    turns: Ring<Turn>,
    alerts: Ring<Alert>,
    /// The last change of each, however long ago.
    last: BTreeMap<String, Turn>,
    /// The log was asked what happened before.
    remembered: bool,
    counted: Option<Counted>,
    latencies: Latencies,
}

#[derive(Debug)]
pub struct History {
    kept: Mutex<Kept>,
    started_ms: u64,
}

impl Default for History {
    fn default() -> History {
        let kept = Kept {
            points: Ring::new(POINTS),
            turns: Ring::new(KEPT),
            alerts: Ring::new(KEPT),
            last: BTreeMap::new(),
            remembered: false,
            counted: None,
            latencies: Latencies::default(),
        };
        History { kept: Mutex::new(kept), started_ms: now_unix_ms() }
    }
}

impl History {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happened before this balancer started, as the log remembers it. It makes no room for itself.
    pub fn remember(&self, past: Vec<PastTurn>) {
        let mut kept = self.kept();
        if std::mem::replace(&mut kept.remembered, true) {
            return;
        }
        let before = past.into_iter().filter(|turn| turn.at_ms < self.started_ms);
        let room = KEPT.saturating_sub(kept.turns.facts.len());
        let before: Vec<PastTurn> = before.collect();
        for PastTurn { at_ms, node: of, from, to, reason } in before.into_iter().rev().take(room).rev() {
            kept.turns.push(Turn { at_ms, of, from, to, reason });
        }
    }

    /// Nothing is kept if it is what it was.
    pub fn turn(&self, of: &str, from: &str, to: &str, reason: &str) {
        if from == to {
            return;
        }
        let [of, from, to, reason] = [of, from, to, reason].map(str::to_owned);
        let turn = Turn { at_ms: now_unix_ms(), of, from, to, reason };
        let mut kept = self.kept();
        kept.last.insert(turn.of.clone(), turn.clone());
        kept.turns.push(turn);
    }

    /// The same for what is looked at from time to time, and known by its last change only.
    pub fn now(&self, of: &str, to: &str, reason: &str) {
        let from = self.kept().last.get(of).map_or_else(|| "not known".to_owned(), |last| last.to.clone());
        self.turn(of, &from, to, reason);
    }

    /// Since when it is as it is, and why.
    pub fn since(&self, of: &str) -> (u64, String) {
        let kept = self.kept();
        let last = kept.last.get(of).map(|turn| (turn.at_ms, turn.reason.clone()));
        last.unwrap_or_else(|| (self.started_ms, "the balancer started".to_owned()))
    }

    /// When the balancer started.
    pub fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// An alert was told.
    pub fn told(&self, alert: Alert) {
        self.kept().alerts.push(alert);
    }

    /// When the matter was opened that has this key, as far as it is remembered.
    pub fn opened_ms(&self, key: &str) -> Option<u64> {
        let kept = self.kept();
        let last = kept.alerts.facts.iter().rev().find(|alert| alert.fact.key == key)?;
        (last.fact.phase == Phase::Opened).then_some(last.fact.at_ms)
    }

    /// Takes a point of the figures as they are now.
    pub fn sample(&self, board: &Board, stats: &Stats, load: &Load) {
        let counted = Counted::now(board, stats);
        let before = {
            let mut kept = self.kept();
            kept.latencies.take(stats, board.posts.len());
            kept.counted.replace(counted.clone())
        };
        // The first time there is nothing to compare with.
        if let Some(before) = before {
            // The sequencer is asked for it: never with this lock held, others take them the other way round.
            let point = counted.since(&before, board, load);
            self.kept().points.push(point);
        }
    }

    /// How fast a node was in the last minute.
    pub fn latency(&self, node: NodeId) -> Latency {
        self.kept().latencies.of(node)
    }

    pub fn lately(&self, seen: &mut Seen) -> Lately {
        let kept = self.kept();
        Lately {
            points: kept.points.after(&mut seen.points),
            changes: kept.turns.after(&mut seen.turns),
            alerts: kept.alerts.after(&mut seen.alerts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_keeps_the_last_and_tells_each_once() {
        let mut ring = Ring::new(3);
        let mut seen = 0;
        assert!(ring.after(&mut seen).is_empty());
        (0..2).for_each(|n| ring.push(n));
        assert_eq!(ring.after(&mut seen).iter().map(|f| f.fact).collect::<Vec<_>>(), [0, 1]);
        assert!(ring.after(&mut seen).is_empty());
        (2..7).for_each(|n| ring.push(n));
        assert_eq!(ring.after(&mut seen).iter().map(|f| f.fact).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(ring.after(&mut 0).len(), 3);
    }

    #[test]
    fn the_last_change_outlives_the_ring_and_no_change_is_none() {
        let history = History::default();
        history.turn("replica-1", "up", "down", "killed");
        (0..KEPT).for_each(|n| history.turn("primary", &n.to_string(), "other", ""));
        assert_eq!(history.since("replica-1").1, "killed");
        assert_eq!(history.since("replica-2").1, "the balancer started");
        history.turn("replica-1", "down", "down", "again");
        assert_eq!(history.since("replica-1").1, "killed");
        history.now("replica-1", "down", "again");
        assert_eq!(history.since("replica-1").1, "killed");
        assert_eq!(history.lately(&mut Seen::default()).changes.len(), KEPT);
    }

    #[test]
    fn what_the_log_remembers_is_taken_once_and_pushes_nothing_out() {
        let history = History::default();
        let past = |at_ms: u64, to: &str| PastTurn {
            at_ms,
            node: "primary".to_owned(),
            from: "up".to_owned(),
            to: to.to_owned(),
            reason: "killed".to_owned(),
        };
        (0..KEPT - 1).for_each(|n| history.turn("primary", &n.to_string(), "other", ""));
        let own = history.started_ms;
        history.remember(vec![past(1, "suspect"), past(2, "down"), past(own, "settling")]);
        let changes = history.lately(&mut Seen::default()).changes;
        assert_eq!((changes.len(), changes[KEPT - 1].fact.to.as_str()), (KEPT, "down"));
        history.remember(vec![past(1, "suspect")]);
        assert_eq!(history.lately(&mut Seen::default()).changes.len(), KEPT);
        // Nor does it say since when something is as it is now.
        assert_eq!(history.since("primary").0, changes[KEPT - 2].fact.at_ms);
    }
}

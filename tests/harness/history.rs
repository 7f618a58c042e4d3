//! Which states may an object be in, after calls of several clients whose answers were partly lost? Looks
//! for orders of the log that explain everything that was heard; it asks no server and knows no protocol.
//!
//! Writes take effect in one order, the log's. A read shows the state after some prefix of that order:
//! one with everything acknowledged before it began, and nothing sent after it ended. Two reads may show
//! a write that is not acknowledged, and then not: no node is bound to have it. But what was shown once is
//! in the log, and must be there in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

pub(crate) mod names;
pub(crate) mod record;
mod tests;

/// More possibilities than this are not looked at; the object is then counted as undecided.
const MOST: usize = 20_000;

/// What is written and read as one: a record, or the names of one owner.
pub(crate) trait Object: Clone + Debug {
    type State: Clone + Ord + Debug;
    type Op: Clone + Debug;
    type Seen: Clone + Debug;

    /// What a write makes of a state; `None` when it is refused there.
    fn after(op: &Self::Op, state: &Self::State) -> Option<Self::State>;

    fn shows(state: &Self::State, seen: &Self::Seen) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It happened before the answer.
    Acknowledged,
    /// It was judged before the answer, and changed nothing.
    Refused,
    /// In the log before the answer: happens at that place, seen whenever.
    Logged,
    /// Answered without a verdict: at a place in the log from before the answer, or never.
    Undecided,
    /// No answer: at any time from the beginning on, or never.
    Unanswered,
}

#[derive(Clone, Debug)]
pub(crate) enum What<O: Object> {
    Write(O::Op, Outcome),
    Read(O::Seen),
}

#[derive(Clone, Debug)]
pub(crate) struct Call<O: Object> {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) what: What<O>,
}

pub(crate) struct Judgement<O: Object> {
    /// Calls whose answer no order explains.
    pub(crate) wrong: Vec<usize>,
    /// What the object may be when everything is over.
    pub(crate) finals: BTreeSet<O::State>,
    /// Too many possibilities: nothing is said.
    pub(crate) undecided: bool,
}

/// One way in which the log may have gone until now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order<S> {
    /// Sent, not placed yet.
    pending: BTreeSet<usize>,
    /// States that a read may still be about, oldest first; the last is the present one.
    path: Vec<(usize, S)>,
    /// The last acknowledged state in `path`.
    floor: usize,
    /// Reads under way, and where in `path` they may look from.
    reads: BTreeMap<usize, usize>,
}

impl<S: Clone> Order<S> {
    fn present(&self) -> &S {
        &self.path.last().expect("a path has a beginning").1
    }

    /// Nobody reads: only the present counts.
    fn forget(&mut self) {
        self.path.drain(..self.path.len() - 1);
        self.floor = 0;
    }

    /// Forgets what no read can be about any more.
    fn trim(&mut self) {
        let oldest = self.reads.values().copied().chain([self.floor]).min().unwrap_or(0);
        self.path.drain(..oldest);
        self.floor -= oldest;
        self.reads.values_mut().for_each(|from| *from -= oldest);
    }
}

struct Search<'a, O: Object> {
    calls: &'a [Call<O>],
    orders: BTreeSet<Order<O::State>>,
    /// Writes whose end is behind us and whose verdict is not known.
    closed: BTreeSet<usize>,
    judgement: Judgement<O>,
}

/// What may be, and what cannot have been, of an object that began as `initial`.
pub(crate) fn judge<O: Object>(initial: O::State, calls: &[Call<O>]) -> Judgement<O> {
    let order = Order {
        pending: BTreeSet::new(),
        path: vec![(usize::MAX, initial)],
        floor: 0,
        reads: BTreeMap::new(),
    };
    let judgement = Judgement { wrong: Vec::new(), finals: BTreeSet::new(), undecided: false };
    let mut search = Search { calls, orders: BTreeSet::from([order]), closed: BTreeSet::new(), judgement };
    let begins = calls.iter().enumerate().map(|(at, call)| (call.begin, 1, at));
    let ends = calls.iter().enumerate().map(|(at, call)| (call.end, 0, at));
    let mut events: Vec<_> = begins.chain(ends).collect();
    events.sort_unstable();
    for (_, begins, at) in events {
        if begins == 1 {
            search.begun(at)
        } else {
            search.ended(at)
        }
        if search.judgement.undecided {
            return search.judgement;
        }
    }
    search.finish();
    search.judgement
}

impl<O: Object> Search<'_, O> {
    fn outcome(&self, at: usize) -> Option<Outcome> {
        match self.calls[at].what {
            What::Write(_, outcome) => Some(outcome),
            What::Read(_) => None,
        }
    }

    /// Whether the call only looks: a refusal tells of a state and changes none.
    fn looks(&self, at: usize) -> bool {
        matches!(self.outcome(at), None | Some(Outcome::Refused))
    }

    fn begun(&mut self, at: usize) {
        let looks = self.looks(at);
        let begun = std::mem::take(&mut self.orders).into_iter().map(|mut order| {
            if looks {
                order.reads.insert(at, order.floor);
            } else {
                order.pending.insert(at);
            }
            order
        });
        self.orders = begun.collect();
    }

    fn ended(&mut self, at: usize) {
        match self.outcome(at) {
            None | Some(Outcome::Refused) => self.looked(at),
            Some(Outcome::Acknowledged) => self.acknowledged(at),
            Some(Outcome::Logged | Outcome::Undecided) => {
                self.closed.insert(at);
            }
            Some(Outcome::Unanswered) => {}
        }
    }

    fn explains(&self, at: usize, state: &O::State) -> bool {
        match &self.calls[at].what {
            What::Read(seen) => O::shows(state, seen),
            What::Write(op, _) => O::after(op, state).is_none(),
        }
    }

    fn looked(&mut self, at: usize) {
        let mut explained = BTreeSet::new();
        let mut others = Vec::new();
        for order in &self.orders {
            let from = order.reads[&at];
            if order.path[from..].iter().any(|(_, state)| self.explains(at, state)) {
                explained.insert(order.clone());
            } else {
                others.push(order.clone());
            }
        }
        for order in others {
            self.search(order, false, |search, order| search.explains(at, order.present()), &mut explained);
        }
        if self.judgement.undecided {
            return;
        }
        if explained.is_empty() {
            self.judgement.wrong.push(at);
            explained = std::mem::take(&mut self.orders);
        }
        let without = explained.into_iter().map(|mut order| {
            order.reads.remove(&at);
            order.trim();
            order
        });
        self.orders = without.collect();
    }

    fn acknowledged(&mut self, at: usize) {
        let mut placed = BTreeSet::new();
        for order in std::mem::take(&mut self.orders) {
            if order.pending.contains(&at) {
                self.search(order, true, |_, order| !order.pending.contains(&at), &mut placed);
            } else {
                placed.insert(order);
            }
        }
        if placed.is_empty() && !self.judgement.undecided {
            self.judgement.wrong.push(at);
            self.judgement.undecided = true;
        }
        let raised = placed.into_iter().map(|mut order| {
            let place = order.path.iter().position(|(op, _)| *op == at);
            order.floor = place.map_or(order.floor, |place| order.floor.max(place));
            order.trim();
            order
        });
        self.orders = raised.collect();
    }

    /// Adds every order that comes from this one by placing pending writes until it is good; beyond the
    /// first good one nothing is placed before it must be. `passed`: what comes before the good one is
    /// behind us then, but for reads that are under way.
    fn search(
        &mut self,
        order: Order<O::State>,
        passed: bool,
        good: impl Fn(&Self, &Order<O::State>) -> bool,
        found: &mut BTreeSet<Order<O::State>>,
    ) {
        let mut seen = BTreeSet::new();
        let mut open = vec![order];
        while let Some(order) = open.pop() {
            for at in order.pending.clone() {
                let Some(mut next) = self.placing(&order, at) else { continue };
                if passed && next.reads.is_empty() {
                    next.forget();
                }
                if good(self, &next) {
                    found.insert(next);
                } else if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
            if seen.len() + found.len() > MOST {
                self.judgement.undecided = true;
                return;
            }
        }
    }

    fn placing(&self, order: &Order<O::State>, at: usize) -> Option<Order<O::State>> {
        let What::Write(op, outcome) = &self.calls[at].what else { return None };
        let state = O::after(op, order.present())?;
        // Without effect here, and free to wait for a place where it has one.
        if state == *order.present() && matches!(outcome, Outcome::Undecided | Outcome::Unanswered) {
            return None;
        }
        let mut next = order.clone();
        next.pending.remove(&at);
        let begin = self.calls[at].begin;
        for earlier in order.pending.intersection(&self.closed).filter(|one| self.calls[**one].end < begin) {
            if self.outcome(*earlier) == Some(Outcome::Logged) {
                return None;
            }
            next.pending.remove(earlier);
        }
        next.path.push((at, state));
        Some(next)
    }

    fn finish(&mut self) {
        let mut seen = BTreeSet::new();
        let mut open: Vec<_> = std::mem::take(&mut self.orders).into_iter().collect();
        while let Some(mut order) = open.pop() {
            order.forget();
            if !seen.insert(order.clone()) {
                continue;
            }
            if seen.len() > MOST {
                self.judgement.undecided = true;
                return;
            }
            if order.pending.iter().all(|at| self.outcome(*at) != Some(Outcome::Logged)) {
                self.judgement.finals.insert(order.present().clone());
            }
            open.extend(order.pending.iter().filter_map(|at| self.placing(&order, *at)));
        }
    }
}

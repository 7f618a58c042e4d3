//! Clients that wait for the verdict on a write, by the write's position: the one that sent it, and those
//! that sent it again under its key. It tells each once and judges nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chroma_ha_core::answer::Answer;
use chroma_ha_core::ids::{Seq, Stream};
use tokio::sync::oneshot;

use super::Board;

/// What a client hears about its write.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The acting node's answer.
    Answer(Answer),
    /// Durable in the log; no node is up to judge it.
    Queued,
    /// Logged, but nothing can be said about the outcome yet.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) stream: Stream,
    pub(super) verdict: oneshot::Sender<Verdict>,
}

#[derive(Default)]
pub(super) struct Waiters {
    waiting: Mutex<HashMap<Seq, Vec<Waiter>>>,
}

impl Waiters {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Seq, Vec<Waiter>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, waiters: impl IntoIterator<Item = (Seq, Waiter)>) {
        let mut waiting = self.waiting();
        for (seq, waiter) in waiters {
            waiting.entry(seq).or_default().push(waiter);
        }
    }

    pub(super) fn answer(&self, seq: Seq, verdict: &Verdict) {
        let waiters = self.waiting().remove(&seq).unwrap_or_default();
        waiters.into_iter().for_each(|waiter| drop(waiter.verdict.send(verdict.clone())));
    }

    /// Forgets who does not listen any more.
    pub(super) fn forget(&self, seq: Seq) {
        let mut waiting = self.waiting();
        if let Some(waiters) = waiting.get_mut(&seq) {
            waiters.retain(|waiter| !waiter.verdict.is_closed());
            if waiters.is_empty() {
                waiting.remove(&seq);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().values().map(Vec::len).sum()
    }

    /// The writes that somebody waits for.
    pub(super) fn awaited(&self) -> Vec<(Seq, Stream)> {
        let stream = |all: &Vec<Waiter>| all.first().map(|waiter| waiter.stream);
        self.waiting().iter().filter_map(|(seq, all)| Some((*seq, stream(all)?))).collect()
    }

    /// Tells every client that still waits.
    pub(super) fn release(&self, verdict: impl Fn(Seq, Stream) -> Verdict) {
        let waiting: Vec<(Seq, Vec<Waiter>)> = self.waiting().drain().collect();
        for (seq, waiter) in waiting.into_iter().flat_map(|(seq, all)| all.into_iter().map(move |w| (seq, w)))
        {
            let _ = waiter.verdict.send(verdict(seq, waiter.stream));
        }
    }
}

impl Board {
    /// Waits for the verdict on a write that is in the log already. What was told before is not heard here:
    /// look for it in the log afterwards.
    pub fn attend(&self, seq: Seq, stream: Stream) -> oneshot::Receiver<Verdict> {
        let (verdict, hears) = oneshot::channel();
        self.waiters.add([(seq, Waiter { stream, verdict })]);
        if self.sequencer().all_gone() {
            self.release_waiters();
        }
        hears
    }

    /// Writes that somebody waits for.
    pub fn attended(&self) -> Vec<(Seq, Stream)> {
        self.waiters.awaited()
    }

    /// Tells the clients of this entry, if any still wait.
    pub fn answer(&self, seq: Seq, verdict: Verdict) {
        self.waiters.answer(seq, &verdict);
    }

    /// The client stopped waiting.
    pub fn forget_waiter(&self, seq: Seq) {
        self.waiters.forget(seq);
    }

    pub fn waiting_clients(&self) -> usize {
        self.waiters.len()
    }

    /// No node is up: record writes are queued, catalog writes cannot be answered.
    pub(super) fn release_waiters(&self) {
        self.waiters.release(|seq, stream| {
            if stream == Stream::Catalog {
                return Verdict::Unknown;
            }
            self.sequencer().acknowledge_queued(stream, seq);
            Verdict::Queued
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(waiters: &Waiters, seq: u64) -> oneshot::Receiver<Verdict> {
        let (verdict, hears) = oneshot::channel();
        waiters.add([(Seq(seq), Waiter { stream: Stream::Catalog, verdict })]);
        hears
    }

    #[test]
    fn all_that_wait_for_a_write_hear_and_who_left_is_forgotten_alone() {
        let waiters = Waiters::default();
        let (mut one, left, mut other) = (wait(&waiters, 1), wait(&waiters, 1), wait(&waiters, 2));
        drop(left);
        waiters.forget(Seq(1));
        assert_eq!((waiters.len(), waiters.awaited().len()), (2, 2));
        waiters.answer(Seq(1), &Verdict::Queued);
        assert!(matches!(one.try_recv(), Ok(Verdict::Queued)));
        waiters.release(|seq, _| if seq == Seq(2) { Verdict::Unknown } else { Verdict::Queued });
        assert!(matches!(other.try_recv(), Ok(Verdict::Unknown)));
        assert_eq!(waiters.len(), 0);
    }
}

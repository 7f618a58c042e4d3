//! Clients that wait for the verdict on their write, by the write's position. It answers each once and
//! judges nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chroma_ha_core::answer::Answer;
use chroma_ha_core::entry::Entry;
use chroma_ha_core::ids::Seq;
use tokio::sync::oneshot;

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

struct Waiter {
    entry: Arc<Entry>,
    verdict: oneshot::Sender<Verdict>,
}

#[derive(Default)]
pub(super) struct Waiters {
    waiting: Mutex<HashMap<Seq, Waiter>>,
}

impl Waiters {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Seq, Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, entries: Vec<(Arc<Entry>, oneshot::Sender<Verdict>)>) {
        let waiters = entries.into_iter().map(|(entry, verdict)| (entry.seq, Waiter { entry, verdict }));
        self.waiting().extend(waiters);
    }

    pub(super) fn answer(&self, seq: Seq, verdict: Verdict) {
        if let Some(waiter) = self.waiting().remove(&seq) {
            let _ = waiter.verdict.send(verdict);
        }
    }

    pub(super) fn forget(&self, seq: Seq) {
        self.waiting().remove(&seq);
    }

    pub(super) fn len(&self) -> usize {
        self.waiting().len()
    }

    /// Tells every client that still waits.
    pub(super) fn release(&self, verdict: impl Fn(&Entry) -> Verdict) {
        let waiting: Vec<Waiter> = self.waiting().drain().map(|(_, waiter)| waiter).collect();
        for waiter in waiting {
            let verdict = verdict(&waiter.entry);
            let _ = waiter.verdict.send(verdict);
        }
    }
}

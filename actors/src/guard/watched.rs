//! What is known of one actor: how often it fell and why, what it has under way, when it was last heard.
//! Its guard, its own handlers and the supervisor write here, `/status` reads. It decides nothing.

use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Waker;

use actix::prelude::*;
use chroma_ha_core::supervision::ActorState;
use futures_util::future::FutureExt;
use futures_util::task::AtomicWaker;
use serde::Serialize;

use super::heartbeat::Heartbeat;
use super::{FallCause, text_of};

#[derive(Debug)]
pub struct Watched {
    pub name: String,
    pub capacity: usize,
    panics: AtomicU64,
    stops: AtomicU64,
    errors: AtomicU64,
    handled: AtomicU64,
    in_flight: AtomicUsize,
    last_error: Mutex<Option<String>>,
    in_flight_limit: OnceLock<usize>,
    pub(crate) heartbeat: Heartbeat,
    /// For the guard: what befell the actor outside of its own future.
    blow: Mutex<Option<Blow>>,
    guard: AtomicWaker,
}

#[derive(Debug)]
pub(super) enum Blow {
    /// A task of the actor's panicked.
    Panicked(String),
    #[cfg(debug_assertions)]
    Stop,
}

/// The row of `/status` about one actor.
#[derive(Clone, Debug, Serialize)]
pub struct ActorRow {
    pub name: String,
    pub state: ActorState,
    pub mailbox_capacity: usize,
    /// Begun and not ended: answers that are waited for, and tasks. actix does not tell what waits in a mailbox.
    pub in_flight: usize,
    /// Of it, by the permits that its work bears; none where no permit is needed.
    pub in_flight_limit: Option<usize>,
    pub handled: u64,
    pub restarts_after_panic: u64,
    pub restarts_after_stop: u64,
    /// Met and survived without a restart.
    pub errors: u64,
    pub last_error: Option<String>,
    pub last_heard_ms: Option<u64>,
}

/// Are you there? Sent through the mailbox of an actor, so that only one that works answers.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ping(pub(crate) Arc<Watched>);

impl Ping {
    /// The whole of what its handlers do.
    pub fn answer(self) {
        self.0.heartbeat.answered();
        self.0.heard();
    }
}

/// Counts as in flight until it is dropped.
struct UnderWay(Arc<Watched>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watched {
    pub fn new(name: impl Into<String>, capacity: usize) -> Arc<Watched> {
        Arc::new(Watched {
            name: name.into(),
            capacity,
            panics: AtomicU64::new(0),
            stops: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            last_error: Mutex::new(None),
            in_flight_limit: OnceLock::new(),
            heartbeat: Heartbeat::default(),
            blow: Mutex::new(None),
            guard: AtomicWaker::new(),
        })
    }

    /// What it has under way bears one of so many permits.
    pub(crate) fn bears_permits(&self, limit: usize) {
        let _the_first_stays = self.in_flight_limit.set(limit);
    }

    /// The actor handled a message, or did what its timer says.
    pub fn beat(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        self.heard();
    }

    fn heard(&self) {
        #[cfg(debug_assertions)]
        super::fault::strike(self);
        self.heartbeat.heard();
    }

    /// The actor met an error that it survived.
    pub fn error(&self, error: impl ToString) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.note(error.to_string());
    }

    fn note(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn under_way(self: &Arc<Self>) -> UnderWay {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    /// Runs a task of the actor's. A panic in it is one of the actor: it is restarted, since it may wait for
    /// the task's end.
    pub fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + 'static) {
        let watched = Arc::clone(self);
        let caught = watched.caught(task);
        actix_rt::spawn(async move {
            if let Err(panic) = caught.await {
                watched.strike(Blow::Panicked(panic));
            }
        });
    }

    /// For a task whose end the actor is told in any case: the text of its panic.
    pub fn caught<T, F>(self: &Arc<Self>, task: F) -> impl Future<Output = Result<T, String>> + use<T, F>
    where
        F: Future<Output = T>,
    {
        let under_way = self.under_way();
        #[cfg(debug_assertions)]
        let task = super::fault::within(Arc::clone(self), task);
        async move {
            let _under_way = under_way;
            AssertUnwindSafe(task).catch_unwind().await.map_err(|panic| text_of(&*panic))
        }
    }

    /// For an answer that only its asker waits for: a panic in it is an error, and the asker hears that the
    /// mailbox closed.
    pub fn answering<T, F>(self: &Arc<Self>, answer: F) -> impl Future<Output = T> + use<T, F>
    where
        F: Future<Output = T>,
    {
        let (watched, under_way) = (Arc::clone(self), self.under_way());
        async move {
            let _under_way = under_way;
            AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|panic| {
                watched.error(text_of(&*panic));
                resume_unwind(panic)
            })
        }
    }

    pub(super) fn strike(&self, blow: Blow) {
        *self.blow.lock().unwrap_or_else(PoisonError::into_inner) = Some(blow);
        self.guard.wake();
    }

    pub(super) fn take_blow(&self, guard: &Waker) -> Option<Blow> {
        self.guard.register(guard);
        self.blow.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn fell(&self, cause: FallCause, error: Option<String>) {
        let count = match cause {
            FallCause::Panic => &self.panics,
            FallCause::Stop => &self.stops,
        };
        count.fetch_add(1, Ordering::Relaxed);
        error.into_iter().for_each(|error| self.note(error));
        self.heartbeat.fell();
    }

    pub fn row(&self) -> ActorRow {
        ActorRow {
            name: self.name.clone(),
            state: self.heartbeat.state(),
            mailbox_capacity: self.capacity,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            in_flight_limit: self.in_flight_limit.get().copied(),
            handled: self.handled.load(Ordering::Relaxed),
            restarts_after_panic: self.panics.load(Ordering::Relaxed),
            restarts_after_stop: self.stops.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            last_heard_ms: self.heartbeat.last_heard_ms(),
        }
    }
}

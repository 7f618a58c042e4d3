//! Keeps one actor alive. `actix::Supervisor` restarts only an actor that stops; a panic kills it for
//! good, with every queued message. The guard polls the actor's context inside `catch_unwind`, waits
//! (exponential back-off) and restarts it on the same mailbox: the address stays and queued messages
//! are answered. It does not know what the actor does; `restarting` rebuilds the actor's state.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use actix::dev::{ContextFut, channel};
use actix::prelude::*;
use chroma_ha_core::backoff::Backoff;
use serde::Serialize;

/// What is known about one guarded actor.
#[derive(Debug)]
pub struct Watched {
    pub name: String,
    pub capacity: usize,
    panics: AtomicU64,
    stops: AtomicU64,
    pub handled: AtomicU64,
    last_error: Mutex<Option<String>>,
    last_heard: Mutex<Option<Instant>>,
}

/// The row of `/status` about one actor.
#[derive(Clone, Debug, Serialize)]
pub struct ActorRow {
    pub name: String,
    pub mailbox_capacity: usize,
    pub handled: u64,
    pub restarts_after_panic: u64,
    pub restarts_after_stop: u64,
    pub last_error: Option<String>,
    pub last_heard_ms: Option<u64>,
}

impl Watched {
    pub fn new(name: impl Into<String>, capacity: usize) -> Arc<Watched> {
        Arc::new(Watched {
            name: name.into(),
            capacity,
            panics: AtomicU64::new(0),
            stops: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            last_error: Mutex::new(None),
            last_heard: Mutex::new(None),
        })
    }

    /// The actor handled a message.
    pub fn beat(&self) {
        self.handled.fetch_add(1, Ordering::Relaxed);
        *self.last_heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The actor met an error that it survived.
    pub fn error(&self, error: impl ToString) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    pub fn restarts(&self) -> u64 {
        self.panics.load(Ordering::Relaxed) + self.stops.load(Ordering::Relaxed)
    }

    pub fn row(&self) -> ActorRow {
        let heard = *self.last_heard.lock().unwrap_or_else(PoisonError::into_inner);
        ActorRow {
            name: self.name.clone(),
            mailbox_capacity: self.capacity,
            handled: self.handled.load(Ordering::Relaxed),
            restarts_after_panic: self.panics.load(Ordering::Relaxed),
            restarts_after_stop: self.stops.load(Ordering::Relaxed),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            last_heard_ms: heard.map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

/// What the supervisor hears when an actor went down and will be restarted.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Fell {
    pub actor: String,
    pub cause: FallCause,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallCause {
    /// A handler, a hook or one of the actor's own futures panicked.
    Panic,
    /// The actor stopped itself.
    Stop,
}

type Tell = Box<dyn Fn(Fell)>;

struct Guard<A: Actor<Context = Context<A>>> {
    actor: Pin<Box<ContextFut<A, Context<A>>>>,
    nap: Option<Pin<Box<tokio::time::Sleep>>>,
    watched: Arc<Watched>,
    tell: Tell,
    backoff: Backoff,
    falls: u32,
    last_fall: Option<Instant>,
}

/// An actor that ran this long has recovered: its back-off starts over.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// Starts a guarded actor on an arbiter. `tell` hears of every fall, on that arbiter.
pub fn start<A>(
    arbiter: &ArbiterHandle,
    watched: Arc<Watched>,
    tell: impl Fn(Fell) + Send + 'static,
    make: impl FnOnce(&mut Context<A>) -> A + Send + 'static,
) -> Addr<A>
where
    A: Supervised + Actor<Context = Context<A>>,
{
    let (sender, receiver) = channel::channel(watched.capacity);
    arbiter.spawn_fn(move || {
        let mut context = Context::with_receiver(receiver);
        context.set_mailbox_capacity(watched.capacity);
        let actor = make(&mut context);
        actix_rt::spawn(Guard {
            actor: Box::pin(context.into_future(actor)),
            nap: None,
            watched,
            tell: Box::new(tell),
            backoff: Backoff::default(),
            falls: 0,
            last_fall: None,
        });
    });
    Addr::new(sender)
}

impl<A: Supervised + Actor<Context = Context<A>>> Guard<A> {
    fn fell(&mut self, cause: FallCause, error: Option<String>) {
        let count = match cause {
            FallCause::Panic => &self.watched.panics,
            FallCause::Stop => &self.watched.stops,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = error {
            self.watched.error(error);
        }
        if self.last_fall.is_some_and(|at| at.elapsed() > RECOVERED_AFTER) {
            self.falls = 0;
        }
        let delay = self.backoff.delay(self.falls, 0.5);
        self.falls += 1;
        self.last_fall = Some(Instant::now());
        self.nap = Some(Box::pin(tokio::time::sleep(delay)));
        (self.tell)(Fell { actor: self.watched.name.clone(), cause });
    }
}

impl<A: Supervised + Actor<Context = Context<A>>> Future for Guard<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            if let Some(nap) = &mut this.nap {
                std::task::ready!(nap.as_mut().poll(cx));
                this.nap = None;
                if !this.actor.restart() {
                    return Poll::Ready(()); // nobody holds the address any more
                }
            }
            let polled = std::panic::catch_unwind(AssertUnwindSafe(|| this.actor.as_mut().poll(cx)));
            match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                // Nobody holds the address any more: that is how an actor is meant to end.
                Ok(Poll::Ready(())) if !this.actor.ctx().connected() => return Poll::Ready(()),
                Ok(Poll::Ready(())) => this.fell(FallCause::Stop, None),
                Err(panic) => this.fell(FallCause::Panic, Some(text_of(&*panic))),
            }
        }
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Counter {
        handled: u32,
        lives: u32,
    }

    impl Actor for Counter {
        type Context = Context<Self>;

        fn started(&mut self, _: &mut Self::Context) {
            self.lives += 1;
        }
    }

    impl Supervised for Counter {}

    #[derive(Message)]
    #[rtype(result = "(u32, u32)")]
    enum Do {
        Count,
        Panic,
        PanicInOwnFuture,
        Stop,
    }

    impl Handler<Do> for Counter {
        type Result = MessageResult<Do>;

        fn handle(&mut self, order: Do, ctx: &mut Self::Context) -> Self::Result {
            match order {
                Do::Count => self.handled += 1,
                Do::Panic => panic!("as told"),
                Do::PanicInOwnFuture => {
                    ctx.spawn(actix::fut::wrap_future(async { panic!("as told") }));
                }
                Do::Stop => ctx.stop(),
            }
            MessageResult((self.handled, self.lives))
        }
    }

    /// Sends a fate and three messages behind it; returns what the last one answered, and the falls heard.
    fn survive(fate: Do) -> ((u32, u32), Vec<FallCause>, ActorRow) {
        let (tell, falls) = mpsc::channel();
        let watched = Watched::new("counter", 8);
        let row = Arc::clone(&watched);
        let last = System::new().block_on(async move {
            let tell = move |fell: Fell| {
                let _ = tell.send(fell.cause);
            };
            let addr = start(&Arbiter::current(), watched, tell, |_| Counter { handled: 0, lives: 0 });
            addr.do_send(fate);
            addr.do_send(Do::Count);
            addr.do_send(Do::Count);
            addr.send(Do::Count).await.unwrap()
        });
        (last, falls.try_iter().collect(), row.row())
    }

    #[test]
    fn queued_messages_are_answered_after_a_panic_in_a_handler() {
        let (last, falls, row) = survive(Do::Panic);
        assert_eq!((last, falls), ((3, 2), vec![FallCause::Panic]));
        assert_eq!((row.restarts_after_panic, row.last_error.as_deref()), (1, Some("as told")));
    }

    #[test]
    fn a_panic_in_the_actors_own_future_is_survived_too() {
        let (last, falls, _) = survive(Do::PanicInOwnFuture);
        assert_eq!((last.0, falls), (3, vec![FallCause::Panic]));
    }

    #[test]
    fn a_stop_is_counted_apart() {
        let (last, falls, row) = survive(Do::Stop);
        assert_eq!((last, falls), ((3, 2), vec![FallCause::Stop]));
        assert_eq!((row.restarts_after_panic, row.restarts_after_stop), (0, 1));
    }
}

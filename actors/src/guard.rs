//! Keeps one actor alive. `actix::Supervisor` restarts only an actor that stops; a panic kills it for
//! good, with every queued message. The guard polls the actor's context inside `catch_unwind`, waits
//! (exponential back-off) and restarts it on the same mailbox: the address stays and queued messages
//! are answered. It does not know what the actor does; `restarting` rebuilds the actor's state.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use actix::dev::{ContextFut, channel};
use actix::prelude::*;
use chroma_ha_core::supervision::Restarts;

#[cfg(debug_assertions)]
mod fault;
mod heartbeat;
mod watched;

pub use watched::{ActorRow, Ping, Watched};

use watched::Blow;

/// What the supervisor hears when an actor went down and will be restarted.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Fell {
    pub actor: String,
    pub cause: FallCause,
    /// What the panic said.
    pub error: Option<String>,
    pub restart_in: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallCause {
    /// A handler, a hook, or one of the actor's own futures or tasks panicked.
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
    restarts: Restarts,
    born: Instant,
}

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
            restarts: Restarts::default(),
            born: Instant::now(),
        });
    });
    Addr::new(sender)
}

impl<A: Supervised + Actor<Context = Context<A>>> Guard<A> {
    fn fell(&mut self, cause: FallCause, error: Option<String>) {
        self.watched.fell(cause, error.clone());
        let restart_in = self.restarts.wait(self.born.elapsed());
        self.nap = Some(Box::pin(tokio::time::sleep(restart_in)));
        (self.tell)(Fell { actor: self.watched.name.clone(), cause, error, restart_in });
    }

    /// Pending while it naps; then it is restarted.
    fn rise(&mut self, cx: &mut TaskContext<'_>) -> Poll<Life> {
        while let Some(nap) = &mut self.nap {
            std::task::ready!(nap.as_mut().poll(cx));
            self.nap = None;
            match catch_unwind(AssertUnwindSafe(|| self.actor.restart())) {
                Ok(true) => self.watched.heartbeat.risen(),
                Ok(false) => return Poll::Ready(Life::Over),
                Err(panic) => self.fell(FallCause::Panic, Some(text_of(&*panic))),
            }
        }
        Poll::Ready(Life::GoesOn)
    }

    /// What befell the actor outside of its own future.
    fn take_blow(&mut self, cx: &mut TaskContext<'_>) {
        match self.watched.take_blow(cx.waker()) {
            Some(Blow::Panicked(text)) => self.fell(FallCause::Panic, Some(text)),
            #[cfg(debug_assertions)]
            Some(Blow::Stop) => self.actor.ctx().stop(),
            None => {}
        }
    }
}

/// Whether anybody holds the address: without, an actor is meant to end.
enum Life {
    GoesOn,
    Over,
}

impl<A: Supervised + Actor<Context = Context<A>>> Future for Guard<A> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            if let Life::Over = std::task::ready!(this.rise(cx)) {
                return Poll::Ready(());
            }
            this.take_blow(cx);
            if this.nap.is_some() {
                continue;
            }
            match catch_unwind(AssertUnwindSafe(|| this.actor.as_mut().poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(())) if !this.actor.ctx().connected() => return Poll::Ready(()),
                Ok(Poll::Ready(())) => this.fell(FallCause::Stop, None),
                Err(panic) => this.fell(FallCause::Panic, Some(text_of(&*panic))),
            }
        }
    }
}

impl<A: Actor<Context = Context<A>>> Drop for Guard<A> {
    fn drop(&mut self) {
        self.watched.heartbeat.end();
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panic".to_owned())
}

#[cfg(test)]
mod tests;

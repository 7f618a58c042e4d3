//! Each fate of an actor: what it was, what is counted, and whether what was queued is answered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use chroma_ha_core::supervision::ActorState;

use super::*;

struct Counter {
    handled: u32,
    lives: u32,
    /// The next `started` or `restarting` panics.
    started_panics: bool,
    restarting_panics: bool,
    watched: Arc<Watched>,
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.lives += 1;
        assert!(!std::mem::take(&mut self.started_panics), "in started");
    }
}

impl Supervised for Counter {
    fn restarting(&mut self, _: &mut Self::Context) {
        assert!(!std::mem::take(&mut self.restarting_panics), "in restarting");
    }
}

#[derive(Message)]
#[rtype(result = "(u32, u32)")]
enum Do {
    Count,
    Panic,
    PanicThenInStarted,
    PanicThenInRestarting,
    PanicInOwnFuture,
    PanicInATask,
    Stop,
    Err,
}

impl Handler<Do> for Counter {
    type Result = MessageResult<Do>;

    fn handle(&mut self, order: Do, ctx: &mut Self::Context) -> Self::Result {
        self.watched.beat();
        match order {
            Do::Count => self.handled += 1,
            Do::Panic => panic!("as told"),
            Do::PanicThenInStarted => {
                self.started_panics = true;
                panic!("as told");
            }
            Do::PanicThenInRestarting => {
                self.restarting_panics = true;
                panic!("as told");
            }
            Do::PanicInOwnFuture => {
                ctx.spawn(actix::fut::wrap_future(async { panic!("as told") }));
            }
            Do::PanicInATask => self.watched.spawn(async { panic!("as told") }),
            Do::Stop => ctx.stop(),
            Do::Err => self.watched.error("survived"),
        }
        MessageResult((self.handled, self.lives))
    }
}

/// Answered by a future that panics.
#[derive(Message)]
#[rtype(result = "()")]
struct Ask;

impl Handler<Ask> for Counter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Ask, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.watched.answering(async { panic!("while answering") }))
    }
}

impl Handler<Ping> for Counter {
    type Result = ();

    fn handle(&mut self, ping: Ping, _: &mut Self::Context) {
        ping.answer();
    }
}

fn counter(started_panics: bool, tell: impl Fn(Fell) + Send + 'static) -> (Addr<Counter>, Arc<Watched>) {
    let watched = Watched::new("counter", 8);
    let own = Arc::clone(&watched);
    let make = move |_: &mut Context<Counter>| Counter {
        handled: 0,
        lives: 0,
        started_panics,
        restarting_panics: false,
        watched: own,
    };
    (start(&Arbiter::current(), Arc::clone(&watched), tell, make), watched)
}

/// Sends a fate and three messages behind it; returns what the last one answered, and the falls heard.
fn survive(fate: Do) -> ((u32, u32), Vec<FallCause>, ActorRow) {
    survive_with(false, fate)
}

fn survive_with(started_panics: bool, fate: Do) -> ((u32, u32), Vec<FallCause>, ActorRow) {
    let (tell, falls) = mpsc::channel();
    let (last, row) = System::new().block_on(async move {
        let tell = move |fell: Fell| {
            let _ = tell.send(fell.cause);
        };
        let (addr, watched) = counter(started_panics, tell);
        addr.do_send(fate);
        addr.do_send(Do::Count);
        // A task that panics does so after the handlers that were due.
        actix_rt::task::yield_now().await;
        actix_rt::task::yield_now().await;
        addr.do_send(Do::Count);
        (addr.send(Do::Count).await.unwrap(), watched.row())
    });
    (last, falls.try_iter().collect(), row)
}

#[test]
fn queued_messages_are_answered_after_a_panic_in_a_handler() {
    let (last, falls, row) = survive(Do::Panic);
    assert_eq!((last, falls), ((3, 2), vec![FallCause::Panic]));
    assert_eq!((row.restarts_after_panic, row.last_error.as_deref()), (1, Some("as told")));
    assert_eq!((row.errors, row.restarts_after_stop, row.state), (0, 0, ActorState::Running));
}

#[test]
fn a_panic_in_the_actors_own_future_is_survived_too() {
    let (last, falls, _) = survive(Do::PanicInOwnFuture);
    assert_eq!((last.0, falls), (3, vec![FallCause::Panic]));
}

#[test]
fn a_panic_in_a_task_restarts_the_actor_that_may_wait_for_its_end() {
    let (last, falls, row) = survive(Do::PanicInATask);
    assert_eq!((last, falls), ((3, 2), vec![FallCause::Panic]));
    assert_eq!((row.restarts_after_panic, row.in_flight), (1, 0));
}

#[test]
fn a_panic_in_started_is_survived_at_the_first_start_and_later() {
    let (last, falls, row) = survive_with(true, Do::Count);
    assert_eq!((last, falls), ((4, 2), vec![FallCause::Panic]));
    assert_eq!(row.last_error.as_deref(), Some("in started"));
    let (last, falls, row) = survive(Do::PanicThenInStarted);
    assert_eq!((last, falls), ((3, 3), vec![FallCause::Panic; 2]));
    assert_eq!(row.restarts_after_panic, 2);
}

#[test]
fn a_panic_in_restarting_is_survived() {
    let (last, falls, row) = survive(Do::PanicThenInRestarting);
    assert_eq!((last, falls), ((3, 2), vec![FallCause::Panic; 2]));
    assert_eq!((row.restarts_after_panic, row.last_error.as_deref()), (2, Some("in restarting")));
}

#[test]
fn a_stop_is_counted_apart() {
    let (last, falls, row) = survive(Do::Stop);
    assert_eq!((last, falls), ((3, 2), vec![FallCause::Stop]));
    assert_eq!((row.restarts_after_panic, row.restarts_after_stop, row.errors), (0, 1, 0));
}

#[test]
fn an_error_is_counted_and_restarts_nothing() {
    let (last, falls, row) = survive(Do::Err);
    assert_eq!((last, falls), ((3, 1), Vec::new()));
    assert_eq!((row.restarts_after_panic, row.restarts_after_stop, row.errors), (0, 0, 1));
    assert_eq!(row.last_error.as_deref(), Some("survived"));
}

#[test]
fn a_panic_while_answering_is_an_error_that_its_asker_hears_of() {
    System::new().block_on(async {
        let (addr, watched) = counter(false, drop);
        assert!(addr.send(Ask).await.is_err());
        assert_eq!(addr.send(Do::Count).await.unwrap(), (1, 1));
        let row = watched.row();
        assert_eq!((row.errors, row.in_flight, row.last_error.as_deref()), (1, 0, Some("while answering")));
    });
}

#[test]
fn each_fall_in_a_row_is_followed_by_a_longer_wait() {
    let (tell, falls) = mpsc::channel();
    System::new().block_on(async move {
        let tell = move |fell: Fell| {
            let _ = tell.send(fell.restart_in);
        };
        let (addr, _) = counter(false, tell);
        for _ in 0..3 {
            addr.do_send(Do::Panic);
        }
        assert_eq!(addr.send(Do::Count).await.unwrap(), (1, 4));
    });
    let waits: Vec<Duration> = falls.try_iter().collect();
    assert_eq!(waits.len(), 3);
    assert!(waits.windows(2).all(|two| two[1] == two[0] * 2), "{waits:?}");
}

#[test]
fn a_ping_is_answered_through_the_mailbox_and_not_while_the_actor_is_busy() {
    let freed = Arc::new(AtomicBool::new(false));
    let holds = Arc::clone(&freed);
    System::new().block_on(async move {
        let busy = Arbiter::new();
        let watched = Watched::new("counter", 8);
        let (own, now) = (Arc::clone(&watched), Instant::now());
        let addr = start(&busy.handle(), Arc::clone(&watched), drop, move |_| Counter {
            handled: 0,
            lives: 0,
            started_panics: false,
            restarting_panics: false,
            watched: own,
        });
        busy.spawn_fn(move || {
            while !holds.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        });
        assert!(watched.heartbeat.asks(now));
        addr.do_send(Ping(Arc::clone(&watched)));
        let late = now + Duration::from_secs(60);
        assert_eq!(watched.heartbeat.silence(late), Duration::from_secs(60));
        freed.store(true, Ordering::Relaxed);
        addr.send(Do::Count).await.unwrap();
        assert_eq!(watched.heartbeat.silence(late), Duration::ZERO);
        assert_eq!(watched.row().handled, 1, "a ping is not work");
        busy.stop();
    });
}

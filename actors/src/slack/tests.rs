//! Sending through a sender that fails as scripted: what arrives, in which order, and how often.

use std::sync::Mutex;

use chroma_ha_core::alert::kind::{Kind, Words};
use chroma_ha_core::alert::{Phase, Severity};
use chroma_ha_core::health::NodeState;
use chroma_ha_core::sequencer::Limits;

use super::*;
use crate::guard;

/// What one attempt meets.
#[derive(Clone, Copy)]
enum Fate {
    Taken,
    Later,
    Refused,
    Panic,
    /// Unanswered until the test lets it go.
    Hangs,
}

/// A Slack of its own.
#[derive(Default)]
struct Stub {
    script: Mutex<Vec<Fate>>,
    arrived: Mutex<Vec<String>>,
    go_on: tokio::sync::Notify,
}

impl Stub {
    fn sender(self: &Arc<Self>) -> Sender {
        let stub = Arc::clone(self);
        Arc::new(move |alert| {
            let stub = Arc::clone(&stub);
            Box::pin(async move { stub.take(alert).await })
        })
    }

    fn fate(&self) -> Fate {
        let mut script = self.script.lock().expect("the script");
        if script.is_empty() { Fate::Taken } else { script.remove(0) }
    }

    async fn take(&self, alert: Alert) -> Result<(), Undelivered> {
        match self.fate() {
            Fate::Taken => {}
            Fate::Later => {
                let cause = "status 500".to_owned();
                return Err(Undelivered::Later { not_before: Duration::ZERO, cause });
            }
            Fate::Refused => return Err(Undelivered::Refused("status 404".to_owned())),
            Fate::Panic => panic!("as told"),
            Fate::Hangs => self.go_on.notified().await,
        }
        self.arrived.lock().expect("the list").push(format!("{:?} {}", alert.phase, alert.key));
        Ok(())
    }

    async fn until(&self, count: usize) -> Vec<String> {
        let mut arrived = Vec::new();
        for _ in 0..2_000 {
            arrived = self.arrived.lock().expect("the list").clone();
            if arrived.len() >= count {
                return arrived;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("only these arrived: {arrived:?}");
    }
}

fn actor(stub: &Arc<Stub>) -> (Addr<SlackActor>, Arc<Watched>) {
    let board = Board::new(Limits::default(), 1, NodeState::Up, Duration::from_secs(10));
    let backoff =
        Backoff::try_new(Duration::from_millis(20), 2, Duration::from_millis(40)).expect("a schedule");
    let outlet = Outlet { sender: Some(stub.sender()), backoff };
    let (stats, watched) = (Arc::new(Stats::try_new().expect("figures")), Watched::new("slack", 64));
    let own = Arc::clone(&watched);
    let addr = guard::start(&Arbiter::current(), Arc::clone(&watched), drop, move |_| {
        SlackActor::new(board, None, outlet, stats, own)
    });
    (addr, watched)
}

fn stub(script: &[Fate]) -> Arc<Stub> {
    Arc::new(Stub { script: Mutex::new(script.to_vec()), ..Stub::default() })
}

fn raise(of: &str, phase: Phase) -> Raise {
    let words = Words::new("t", "w", "e", "a");
    let alert = match phase {
        Phase::Resolved => Kind::NodeDown.resolved(of, 1, words),
        _ => Kind::NodeDown.opened(of, Severity::Warning, 1, words),
    };
    Raise { alert }
}

#[test]
fn an_end_never_overtakes_its_beginning_and_each_arrives_once() {
    System::new().block_on(async {
        // Sent at once each, the end of `a` would arrive while its beginning waits for the next attempt.
        let stub = stub(&[Fate::Later, Fate::Later, Fate::Panic, Fate::Taken]);
        let (slack, _) = actor(&stub);
        for (of, phase) in [("a", Phase::Opened), ("a", Phase::Resolved), ("b", Phase::Opened)] {
            slack.do_send(raise(of, phase));
        }
        let arrived = stub.until(3).await;
        assert_eq!(arrived, ["Opened node-down:a", "Resolved node-down:a", "Opened node-down:b"]);
    });
}

#[test]
fn what_is_refused_for_good_does_not_hold_up_the_rest() {
    System::new().block_on(async {
        let stub = stub(&[Fate::Refused]);
        let (slack, watched) = actor(&stub);
        slack.do_send(raise("a", Phase::Opened));
        slack.do_send(raise("b", Phase::Opened));
        assert_eq!(stub.until(1).await, ["Opened node-down:b"]);
        assert_eq!(watched.row().last_error.as_deref(), Some("status 404"));
    });
}

#[test]
fn nobody_waits_for_slack_and_what_it_missed_is_told_in_few_messages() {
    System::new().block_on(async {
        let stub = stub(&[Fate::Hangs]);
        let (slack, watched) = actor(&stub);
        for n in 0..500 {
            // Answered at once, although nothing can leave; past the burst limit they are held as one.
            slack.send(raise(&n.to_string(), Phase::Opened)).await.expect("an answer");
        }
        assert_eq!(stub.arrived.lock().expect("the list").len(), 0);
        assert_eq!(watched.row().in_flight, 1, "one attempt at a time");
        stub.go_on.notify_one();
        let arrived = stub.until(10).await;
        assert_eq!(arrived[0], "Opened node-down:0");
        assert_eq!(arrived[9], "Opened node-down:9");
    });
}

#[test]
fn a_fall_of_the_actor_loses_nothing_that_waits() {
    System::new().block_on(async {
        let stub = stub(&[Fate::Hangs]);
        let (slack, watched) = actor(&stub);
        for of in ["a", "b"] {
            slack.send(raise(of, Phase::Opened)).await.expect("an answer");
        }
        watched.spawn(async { panic!("as told") });
        while watched.row().restarts_after_panic == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stub.go_on.notify_one();
        assert_eq!(stub.until(2).await, ["Opened node-down:a", "Opened node-down:b"]);
    });
}

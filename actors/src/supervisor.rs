//! Hears of every fallen actor and listens for every silent one, on a thread of its own. It gives up when
//! restarts no longer help: an actor that falls too often, or does not answer for too long, ends the
//! process, so that the container starts it afresh. It restarts nobody itself; guards do.
//!
//! What wakes it: 1. a fall; 2. every second, to ask each actor whether it is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chroma_ha_core::alert::outbox::Undelivered;
use chroma_ha_core::alert::{Alert, actor};
use chroma_ha_core::supervision::{Falls, Intensity, Patience, Pulse, PulseChange};
use tracing::{error, info, warn};

use crate::guard::{FallCause, Fell, Ping, Watched};
use crate::roster::Roster;
use crate::slack::{Raise, Sender};
use crate::wal::now_unix_ms;

/// Between two looks at all actors.
const LOOK: Duration = Duration::from_secs(1);

/// How long the last alert may take to leave before the process ends without it.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Between two attempts to send it.
const LAST_PAUSE: Duration = Duration::from_millis(500);

/// Ends the process with a failure.
pub type Escalate = Arc<dyn Fn(String) + Send + Sync>;

/// How a supervisor speaks: to people by way of the slack actor, and without it in the end.
pub struct Voice {
    pub slack: Recipient<Raise>,
    pub sender: Option<Sender>,
    pub escalate: Escalate,
}

pub struct SupervisorActor {
    roster: Arc<Roster>,
    voice: Voice,
    intensity: Intensity,
    patience: Patience,
    started: Instant,
    looked: Instant,
    falls: HashMap<String, Falls>,
    pulses: HashMap<String, Pulse>,
    given_up: bool,
    watched: Arc<Watched>,
}

impl SupervisorActor {
    pub fn new(roster: Arc<Roster>, voice: Voice, watched: Arc<Watched>) -> SupervisorActor {
        SupervisorActor {
            roster,
            voice,
            intensity: Intensity::default(),
            patience: Patience::default(),
            started: Instant::now(),
            looked: Instant::now(),
            falls: HashMap::new(),
            pulses: HashMap::new(),
            given_up: false,
            watched,
        }
    }

    fn look(&mut self) {
        self.watched.beat();
        let now = Instant::now();
        let away = self.patience.was_away(now.duration_since(self.looked));
        self.looked = now;
        for member in self.roster.members() {
            if Arc::ptr_eq(&member.watched, &self.watched) {
                member.watched.heartbeat.looked(now);
                continue;
            }
            if away {
                member.watched.heartbeat.excuse(now);
            }
            self.judge(&member.watched.name, member.watched.heartbeat.silence(now));
            member.ping(now);
        }
    }

    fn judge(&mut self, actor: &str, silence: Duration) {
        let pulse = self.pulses.entry(actor.to_owned()).or_default();
        let Some(change) = pulse.observe(silence, self.patience) else { return };
        let seconds = silence.as_secs();
        match change {
            PulseChange::Hangs => {
                error!(actor, seconds, "an actor hangs");
                self.raise(actor::hangs(actor, silence, self.patience.given_up, now_unix_ms()));
            }
            PulseChange::BeatsAgain => {
                info!(actor, "an actor that hung answers again");
                self.raise(actor::answers(actor, now_unix_ms()));
            }
            PulseChange::GivenUp => self.give_up(format!("actor {actor} did not answer for {seconds} s")),
        }
    }

    fn raise(&self, alert: Alert) {
        let _ = self.voice.slack.try_send(Raise { alert });
    }

    /// The last alert goes out from here: the actor that sends the others may be the one that is stuck.
    fn give_up(&mut self, reason: String) {
        if std::mem::replace(&mut self.given_up, true) {
            return;
        }
        let alert = actor::giving_up(&reason, now_unix_ms());
        let (sender, escalate) = (self.voice.sender.clone(), Arc::clone(&self.voice.escalate));
        info!(key = alert.key, title = alert.title, what = alert.what, "alert");
        actix_rt::spawn(async move {
            if let Some(sender) = sender
                && tokio::time::timeout(LAST_WORDS, insist(&sender, &alert)).await.is_err()
            {
                warn!("the last alert could not be delivered in time");
            }
            escalate(reason);
        });
    }
}

impl Actor for SupervisorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.looked = Instant::now();
        ctx.run_interval(LOOK, |actor, _| actor.look());
    }
}

impl Supervised for SupervisorActor {}

impl Handler<Fell> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, fell: Fell, _: &mut Self::Context) {
        let Intensity { falls, window } = self.intensity;
        let count =
            self.falls.entry(fell.actor.clone()).or_default().add(self.started.elapsed(), self.intensity);
        self.raise(actor::fallen(&fell.actor, &why(&fell), count, window, now_unix_ms()));
        if count > falls {
            let seconds = window.as_secs();
            self.give_up(format!("actor {} fell {count} times within {seconds} s", fell.actor));
        }
    }
}

/// Its own look is its heartbeat.
impl Handler<Ping> for SupervisorActor {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
}

/// What befell it, as a sentence without its end.
fn why(fell: &Fell) -> String {
    match (fell.cause, &fell.error) {
        (FallCause::Panic, Some(error)) => format!("It panicked: {error}"),
        (FallCause::Panic, None) => "It panicked".to_owned(),
        (FallCause::Stop, _) => "It stopped itself".to_owned(),
    }
}

/// Until it arrived, or never can.
async fn insist(sender: &Sender, alert: &Alert) {
    loop {
        match sender(alert.clone()).await {
            Ok(()) => return,
            Err(error @ Undelivered::Refused(_)) => {
                return warn!(%error, "the last alert could not be delivered");
            }
            Err(error @ Undelivered::Later { .. }) => warn!(%error, "the last alert is sent again"),
        }
        tokio::time::sleep(LAST_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;
    use crate::guard;

    /// What was raised, and why it gave up.
    struct Ear(mpsc::Sender<String>);

    impl Actor for Ear {
        type Context = Context<Self>;
    }

    impl Supervised for Ear {}

    impl Handler<Raise> for Ear {
        type Result = ();

        fn handle(&mut self, Raise { alert }: Raise, _: &mut Self::Context) {
            let _ = self.0.send(format!("{:?} {}", alert.phase, alert.key));
        }
    }

    struct Mute;

    impl Actor for Mute {
        type Context = Context<Self>;
    }

    impl Supervised for Mute {}

    impl Handler<Ping> for Mute {
        type Result = ();

        fn handle(&mut self, _: Ping, _: &mut Self::Context) {}
    }

    fn supervisor() -> (SupervisorActor, Arc<Watched>, mpsc::Receiver<String>) {
        let (tell, told) = mpsc::channel();
        let roster = Arc::new(Roster::default());
        roster.start(&Arbiter::current(), "mute", |_| Mute);
        let mute = Arc::clone(&roster.members()[0].watched);
        let ear = Ear(tell.clone());
        let slack = guard::start(&Arbiter::current(), Watched::new("ear", 8), drop, |_| ear).recipient();
        let escalate: Escalate = Arc::new(move |reason| drop(tell.send(reason)));
        let voice = Voice { slack, sender: None, escalate };
        (SupervisorActor::new(roster, voice, Watched::new("supervisor", 1)), mute, told)
    }

    async fn heard(told: &mpsc::Receiver<String>) -> Vec<String> {
        for _ in 0..3 {
            actix_rt::task::yield_now().await;
        }
        told.try_iter().collect()
    }

    fn ago(seconds: u64) -> Instant {
        Instant::now() - Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_told_once_then_its_end_and_too_much_of_it_ends_the_process() {
        System::new().block_on(async {
            let (mut supervisor, mute, told) = supervisor();
            assert!(mute.heartbeat.asks(ago(12)));
            supervisor.look();
            supervisor.look();
            assert_eq!(heard(&told).await, ["Opened actor-hangs:mute"]);
            mute.heartbeat.excuse(ago(0));
            supervisor.look();
            assert_eq!(heard(&told).await, ["Resolved actor-hangs:mute"]);
            mute.heartbeat.excuse(ago(31));
            supervisor.look();
            supervisor.look();
            supervisor.look();
            let words = heard(&told).await;
            assert_eq!(words, ["Opened actor-hangs:mute", "actor mute did not answer for 31 s"]);
        });
    }

    #[test]
    fn the_last_alert_is_sent_until_it_arrived_or_never_can() {
        System::new().block_on(async {
            for (last, attempts) in [(Ok(()), 2), (Err(Undelivered::Refused("404".to_owned())), 2)] {
                let (tell, told) = mpsc::channel();
                let first = Undelivered::Later { not_before: Duration::ZERO, cause: "500".to_owned() };
                let script = Mutex::new(vec![Err(first), last]);
                let sender: Sender = Arc::new(move |alert| {
                    let _ = tell.send(alert.key);
                    let outcome = script.lock().expect("the script").remove(0);
                    Box::pin(async move { outcome })
                });
                insist(&sender, &actor::giving_up("a test", 1)).await;
                assert_eq!(told.try_iter().count(), attempts);
            }
        });
    }

    #[test]
    fn a_pause_of_the_whole_process_is_held_against_nobody() {
        System::new().block_on(async {
            let (mut supervisor, mute, told) = supervisor();
            assert!(mute.heartbeat.asks(ago(300)));
            supervisor.looked = ago(300);
            supervisor.look();
            supervisor.look();
            assert_eq!(heard(&told).await, Vec::<String>::new());
        });
    }
}

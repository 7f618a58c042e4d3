//! Hears of every fallen actor and listens for every silent one, on a thread of its own. It gives up when
//! restarts no longer help: an actor that falls too often, or does not answer for too long, ends the
//! process, so that the container starts it afresh. It restarts nobody itself; guards do.
//!
//! What wakes it: 1. a fall; 2. every second, to ask each actor whether it is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use chroma_ha_core::alert::{Alert, Phase, Severity};
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
                self.raise(hangs(actor, seconds, self.patience));
            }
            PulseChange::BeatsAgain => {
                info!(actor, "an actor that hung answers again");
                self.raise(answers(actor));
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
        let (alert, sender, escalate) =
            (giving_up(&reason), self.voice.sender.clone(), Arc::clone(&self.voice.escalate));
        info!(key = alert.key, title = alert.title, what = alert.what, "alert");
        actix_rt::spawn(async move {
            if let Some(sender) = sender {
                match tokio::time::timeout(LAST_WORDS, sender(alert)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => warn!(error, "the last alert could not be delivered"),
                    Err(_) => warn!("the last alert could not be delivered in time"),
                }
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
        self.raise(fallen(&fell, count, window));
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

fn alert(key: String, severity: Severity, phase: Phase, words: [String; 4]) -> Alert {
    let [title, what, effect, action] = words;
    Alert { key, severity, phase, title, what, effect, action, at_ms: now_unix_ms() }
}

fn fallen(fell: &Fell, count: usize, window: Duration) -> Alert {
    let why = match (fell.cause, &fell.error) {
        (FallCause::Panic, Some(error)) => format!("It panicked: {error}"),
        (FallCause::Panic, None) => "It panicked".to_owned(),
        (FallCause::Stop, _) => "It stopped itself".to_owned(),
    };
    let words = [
        format!("Actor {} was restarted", fell.actor),
        format!("{why}. That was fall {count} within {} s.", window.as_secs()),
        "Requests under way in it may have been answered 503.".to_owned(),
        "Nothing if it stays at one; else report the log lines around it.".to_owned(),
    ];
    alert(format!("actor:{}", fell.actor), Severity::Warning, Phase::Notice, words)
}

fn hangs(actor: &str, seconds: u64, patience: Patience) -> Alert {
    let words = [
        format!("Actor {actor} hangs"),
        format!("It has not answered for {seconds} s."),
        "Its work stands still, and that of the actors on its thread.".to_owned(),
        format!(
            "Nothing: after {} s the balancer ends itself to be started again. Keep the log.",
            patience.given_up.as_secs()
        ),
    ];
    alert(format!("actor-hangs:{actor}"), Severity::Critical, Phase::Opened, words)
}

fn answers(actor: &str) -> Alert {
    let words = [
        format!("Actor {actor} answers again"),
        "It answers.".to_owned(),
        "None.".to_owned(),
        "Report the log lines around it.".to_owned(),
    ];
    alert(format!("actor-hangs:{actor}"), Severity::Critical, Phase::Resolved, words)
}

fn giving_up(reason: &str) -> Alert {
    let words = [
        "The balancer ends itself".to_owned(),
        format!("{reason}: a restart of the whole process is what is left."),
        "Until the container has started it again, or another balancer took over, nothing is served."
            .to_owned(),
        "See that it comes back; report the log lines before.".to_owned(),
    ];
    alert("escalated".to_owned(), Severity::Critical, Phase::Notice, words)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

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

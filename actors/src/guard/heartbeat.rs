//! When was an actor last heard, and since when does it owe an answer? The supervisor asks, the actor
//! answers by whatever it does; what its silence means is `core::supervision`'s to say.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chroma_ha_core::supervision::{ActorState, Patience};

#[derive(Debug, Default)]
pub(crate) struct Heartbeat(Mutex<Vitals>);

#[derive(Clone, Copy, Debug, Default)]
struct Vitals {
    heard: Option<Instant>,
    /// When the ping was sent that is not answered.
    asked: Option<Instant>,
    fallen: bool,
    ended: bool,
}

impl Heartbeat {
    fn vitals(&self) -> MutexGuard<'_, Vitals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn heard(&self) {
        self.vitals().heard = Some(Instant::now());
    }

    pub(super) fn answered(&self) {
        self.vitals().asked = None;
    }

    pub(super) fn fell(&self) {
        self.vitals().fallen = true;
    }

    /// It has not had the time to answer.
    pub(super) fn risen(&self) {
        let mut vitals = self.vitals();
        vitals.fallen = false;
        vitals.asked = vitals.asked.map(|_| Instant::now());
    }

    pub(super) fn end(&self) {
        self.vitals().ended = true;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.vitals().ended
    }

    /// Whether a ping is to be sent now: never more than one waits in a mailbox.
    pub(crate) fn asks(&self, now: Instant) -> bool {
        let mut vitals = self.vitals();
        let asks = vitals.asked.is_none();
        vitals.asked.get_or_insert(now);
        asks
    }

    /// Silence counts from now on, if at all.
    pub(crate) fn excuse(&self, now: Instant) {
        let mut vitals = self.vitals();
        vitals.asked = vitals.asked.map(|_| now);
    }

    /// Of who asks the others: it owes the next look from this one on.
    pub(crate) fn looked(&self, now: Instant) {
        let mut vitals = self.vitals();
        vitals.heard = Some(now);
        vitals.asked = Some(now);
    }

    /// For how long it has not been heard since it was asked. Silence of one that is being restarted is
    /// no news.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        let vitals = self.vitals();
        let Some(asked) = vitals.asked.filter(|_| !vitals.fallen && !vitals.ended) else {
            return Duration::ZERO;
        };
        now.saturating_duration_since(vitals.heard.map_or(asked, |heard| heard.max(asked)))
    }

    pub(super) fn state(&self) -> ActorState {
        let hung = self.silence(Instant::now()) >= Patience::default().hung;
        match (self.vitals().fallen, hung) {
            (true, _) => ActorState::Restarting,
            (false, true) => ActorState::Hung,
            (false, false) => ActorState::Running,
        }
    }

    pub(super) fn last_heard_ms(&self) -> Option<u64> {
        self.vitals().heard.map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_unanswered_ping_on() {
        let (beat, start) = (Heartbeat::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(beat.silence(at(50)), Duration::ZERO, "nobody asked");
        assert!(beat.asks(at(100)));
        assert!(!beat.asks(at(101)), "one waits in the mailbox");
        assert_eq!(beat.silence(at(112)), Duration::from_secs(12));
        beat.excuse(at(110));
        assert_eq!(beat.silence(at(112)), Duration::from_secs(2));
        beat.answered();
        assert_eq!(beat.silence(at(500)), Duration::ZERO);
        assert!(beat.asks(at(501)));
    }

    #[test]
    fn whoever_is_being_restarted_or_has_ended_is_not_silent() {
        let (beat, long_ago) = (Heartbeat::default(), Instant::now() - Duration::from_secs(60));
        assert!(beat.asks(long_ago));
        assert_eq!(beat.state(), ActorState::Hung);
        beat.fell();
        assert_eq!(beat.state(), ActorState::Restarting);
        beat.risen();
        assert_eq!(beat.state(), ActorState::Running);
        beat.excuse(long_ago);
        beat.end();
        assert_eq!(beat.state(), ActorState::Running);
    }
}

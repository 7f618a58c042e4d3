//! How long does a fallen actor wait before it is started again, when does that no longer help, and when
//! is one that says nothing given up? It reads no clock and restarts nothing.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use crate::backoff::Backoff;

/// An actor that ran this long has recovered: its back-off starts over.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// The waits of one actor before its restarts: each longer than the one before, until it has recovered.
#[derive(Clone, Debug, Default)]
pub struct Restarts {
    backoff: Backoff,
    falls: u32,
    last: Option<Duration>,
}

impl Restarts {
    /// It fell now; returns how long it stays down.
    pub fn wait(&mut self, now: Duration) -> Duration {
        if self.last.is_some_and(|last| now.saturating_sub(last) > RECOVERED_AFTER) {
            self.falls = 0;
        }
        let wait = self.backoff.delay(self.falls, 0.5);
        self.falls += 1;
        self.last = Some(now);
        wait
    }
}

/// How often one actor may fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    pub falls: usize,
    pub window: Duration,
}

impl Default for Intensity {
    fn default() -> Intensity {
        Intensity { falls: 10, window: Duration::from_secs(60) }
    }
}

/// The falls of one actor within the window.
#[derive(Clone, Debug, Default)]
pub struct Falls {
    at: VecDeque<Duration>,
}

impl Falls {
    /// Takes one in; returns how many there are now, this one included.
    pub fn add(&mut self, now: Duration, intensity: Intensity) -> usize {
        self.at.push_back(now);
        while self.at.front().is_some_and(|at| now.saturating_sub(*at) > intensity.window) {
            self.at.pop_front();
        }
        self.at.len()
    }
}

/// How long an actor may leave a ping unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Then it hangs, which is told.
    pub hung: Duration,
    /// Then it is not waited for any longer.
    pub given_up: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { hung: Duration::from_secs(10), given_up: Duration::from_secs(30) }
    }
}

impl Patience {
    /// Who did not look for so long was away itself: the process was paused, or the machine. Silence
    /// meanwhile says nothing about the others.
    pub fn was_away(self, since_last_look: Duration) -> bool {
        since_last_look >= self.hung / 2
    }
}

/// What an actor is doing, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorState {
    Running,
    /// It fell, and waits until it is started again.
    Restarting,
    Hung,
}

/// What is believed of an actor's heartbeat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pulse {
    #[default]
    Beats,
    Hangs,
    GivenUp,
}

/// What became different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PulseChange {
    Hangs,
    BeatsAgain,
    GivenUp,
}

impl Pulse {
    /// A look at an actor that has been silent for so long.
    pub fn observe(&mut self, silence: Duration, patience: Patience) -> Option<PulseChange> {
        let (next, change) = match *self {
            Pulse::Beats if silence >= patience.hung => (Pulse::Hangs, PulseChange::Hangs),
            Pulse::Hangs | Pulse::GivenUp if silence < patience.hung => {
                (Pulse::Beats, PulseChange::BeatsAgain)
            }
            Pulse::Hangs if silence >= patience.given_up => (Pulse::GivenUp, PulseChange::GivenUp),
            _ => return None,
        };
        *self = next;
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_grow_up_to_the_cap_and_start_over_after_calm() {
        let mut restarts = Restarts::default();
        let mut waits = |at: &[u32]| -> Vec<u128> {
            at.iter().map(|second| restarts.wait(*second * SECOND).as_micros()).collect()
        };
        assert_eq!(waits(&[0, 1, 2, 3]), [37_500, 75_000, 150_000, 300_000]);
        assert_eq!(waits(&[60; 8]).last(), Some(&7_500_000));
        assert_eq!(waits(&[120]), [7_500_000], "not calm for long enough");
        assert_eq!(waits(&[181, 182]), [37_500, 75_000]);
    }

    #[test]
    fn falls_outside_the_window_do_not_count() {
        let intensity = Intensity { falls: 3, window: 10 * SECOND };
        let mut falls = Falls::default();
        let counts: Vec<usize> = [0, 5, 10, 11, 30].map(|at| falls.add(at * SECOND, intensity)).into();
        assert_eq!(counts, [1, 2, 3, 3, 1]);
    }

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let (mut pulse, patience) = (Pulse::default(), Patience::default());
        let mut look = |seconds: u32| pulse.observe(seconds * SECOND, patience);
        assert_eq!([look(0), look(9), look(10), look(11)], [None, None, Some(PulseChange::Hangs), None]);
        assert_eq!([look(1), look(0)], [Some(PulseChange::BeatsAgain), None]);
        assert_eq!(
            [look(29), look(30), look(31)],
            [Some(PulseChange::Hangs), Some(PulseChange::GivenUp), None]
        );
    }

    #[test]
    fn who_was_away_itself_is_noticed() {
        let patience = Patience::default();
        assert_eq!([1, 4, 5, 600].map(|s| patience.was_away(s * SECOND)), [false, false, true, true]);
    }

    proptest! {
        /// Nobody is given up who was not said to hang before.
        #[test]
        fn changes_come_in_order(silences in prop::collection::vec(0u64..60, 0..40)) {
            let (mut pulse, mut told) = (Pulse::default(), None);
            for silence in silences {
                let Some(change) = pulse.observe(Duration::from_secs(silence), Patience::default()) else { continue };
                let before = told.replace(change);
                let fits = match change {
                    PulseChange::Hangs => matches!(before, None | Some(PulseChange::BeatsAgain)),
                    PulseChange::BeatsAgain => matches!(before, Some(PulseChange::Hangs | PulseChange::GivenUp)),
                    PulseChange::GivenUp => before == Some(PulseChange::Hangs),
                };
                prop_assert!(fits, "{change:?} after {before:?}");
            }
        }
    }
}

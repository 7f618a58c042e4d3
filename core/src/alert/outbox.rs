//! In which order do alerts leave, and what becomes of one that does not arrive? One after the other, each
//! until it arrived or was refused for good; the oldest are told as one when too many wait. It sends nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::Alert;
use super::fold::Fold;
use crate::backoff::Backoff;

/// Why an alert did not arrive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// It would not be taken later either: a wrong or revoked webhook.
    #[error("{0}")]
    Refused(String),
    /// It may arrive later, not sooner than after this time. It may even have arrived.
    #[error("{cause}")]
    Later { not_before: Duration, cause: String },
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It arrived: on to the next one.
    Arrived,
    /// It never will: on to the next one.
    Dropped,
    /// The same one, after this time.
    Again(Duration),
}

/// Alerts on their way out.
#[derive(Clone, Debug)]
pub struct Outbox {
    /// The one that is being sent.
    in_hand: Option<Alert>,
    waiting: VecDeque<Alert>,
    /// The oldest, when too many wait.
    folded: Option<Fold>,
    most: usize,
    backoff: Backoff,
    failures: u32,
}

impl Outbox {
    /// At most so many wait.
    pub fn new(most: usize, backoff: Backoff) -> Outbox {
        Outbox {
            in_hand: None,
            waiting: VecDeque::new(),
            folded: None,
            most: most.max(1),
            backoff,
            failures: 0,
        }
    }

    pub fn push(&mut self, alert: Alert) {
        if self.waiting.len() == self.most
            && let Some(oldest) = self.waiting.pop_front()
        {
            match &mut self.folded {
                Some(fold) => fold.add(&oldest),
                None => self.folded = Some(Fold::of(&oldest)),
            }
        }
        self.waiting.push_back(alert);
    }

    /// The one to be sent now. It stays in hand until its outcome is told.
    pub fn to_send(&mut self) -> Option<&Alert> {
        if self.in_hand.is_none() {
            self.in_hand = self.folded.take().map(Fold::told).or_else(|| self.waiting.pop_front());
        }
        self.in_hand.as_ref()
    }

    /// What became of the one in hand. `jitter` in `0..1` spreads the wait.
    pub fn outcome(&mut self, outcome: &Result<(), Undelivered>, jitter: f64) -> Next {
        let next = match outcome {
            Ok(()) => Next::Arrived,
            Err(Undelivered::Refused(_)) => Next::Dropped,
            Err(Undelivered::Later { not_before, .. }) => {
                let wait = self.backoff.delay(self.failures, jitter).max(*not_before);
                self.failures = self.failures.saturating_add(1);
                return Next::Again(wait);
            }
        };
        self.in_hand = None;
        self.failures = 0;
        next
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alert::kind::{Kind, Words};
    use crate::alert::{Phase, Severity};

    fn outbox(most: usize) -> Outbox {
        Outbox::new(most, Backoff::try_new(Duration::from_secs(1), 2, Duration::from_secs(60)).unwrap())
    }

    fn alert(title: &str) -> Alert {
        Kind::Test.notice("", Severity::Info, 1, Words::new(title, "", "", ""))
    }

    fn later() -> Result<(), Undelivered> {
        Err(Undelivered::Later { not_before: Duration::ZERO, cause: "status 500".to_owned() })
    }

    #[test]
    fn the_second_waits_until_the_first_arrived_or_was_refused() {
        let mut outbox = outbox(9);
        for title in ["first", "second", "third"] {
            outbox.push(alert(title));
        }
        assert_eq!(outbox.to_send().unwrap().title, "first");
        let waits: Vec<Next> = (0..8).map(|_| outbox.outcome(&later(), 1.0)).collect();
        let seconds = [1, 2, 4, 8, 16, 32, 60, 60].map(|s| Next::Again(Duration::from_secs(s)));
        assert_eq!(waits, seconds);
        assert_eq!(outbox.to_send().unwrap().title, "first");
        assert_eq!(outbox.outcome(&Ok(()), 1.0), Next::Arrived);
        assert_eq!(outbox.to_send().unwrap().title, "second");
        let asked =
            Err(Undelivered::Later { not_before: Duration::from_secs(30), cause: "status 429".to_owned() });
        assert_eq!(outbox.outcome(&asked, 1.0), Next::Again(Duration::from_secs(30)));
        assert_eq!(outbox.outcome(&Err(Undelivered::Refused("404".to_owned())), 1.0), Next::Dropped);
        assert_eq!(outbox.to_send().unwrap().title, "third");
        assert_eq!(
            outbox.outcome(&later(), 1.0),
            Next::Again(Duration::from_secs(1)),
            "a new one, a new wait"
        );
        assert_eq!(outbox.outcome(&Ok(()), 1.0), Next::Arrived);
        assert!(outbox.to_send().is_none());
    }

    #[test]
    fn what_waits_too_long_is_told_as_one_and_first() {
        let mut outbox = outbox(3);
        outbox.push(alert("in hand"));
        assert_eq!(outbox.to_send().unwrap().title, "in hand");
        (0..100_000).for_each(|n| outbox.push(alert(&format!("alert {n}"))));
        assert!(
            outbox.waiting.len() == 3
                && outbox.folded.as_ref().is_some_and(|fold| format!("{fold:?}").len() < 2_000)
        );
        assert_eq!(outbox.outcome(&Ok(()), 0.0), Next::Arrived);
        let summary = outbox.to_send().unwrap().clone();
        assert_eq!(
            (summary.title.as_str(), summary.phase),
            ("99,997 more alerts within a short time", Phase::Notice)
        );
        assert!(
            summary.what.starts_with("alert 0\nalert 1\n")
                && summary.what.ends_with("alert 19\nand 99977 more")
        );
        for title in ["alert 99997", "alert 99998", "alert 99999"] {
            assert_eq!(outbox.outcome(&Ok(()), 0.0), Next::Arrived);
            assert_eq!(outbox.to_send().unwrap().title, title);
        }
    }

    proptest! {
        /// Whatever fails in between: in the order in which they came, each once.
        #[test]
        fn nothing_overtakes(outcomes in prop::collection::vec(any::<bool>(), 0..200), pushes in 1usize..30) {
            let mut outbox = outbox(100);
            let mut arrived = Vec::new();
            let mut outcomes = outcomes.into_iter();
            for n in 0..pushes {
                outbox.push(alert(&n.to_string()));
                let title = outbox.to_send().unwrap().title.clone();
                let ok = outcomes.next().unwrap_or(true);
                let outcome = if ok { Ok(()) } else { later() };
                if outbox.outcome(&outcome, 0.5) == Next::Arrived {
                    arrived.push(title);
                }
            }
            while let Some(title) = outbox.to_send().map(|alert| alert.title.clone()) {
                outbox.outcome(&Ok(()), 0.5);
                arrived.push(title);
            }
            let all: Vec<String> = (0..pushes).map(|n| n.to_string()).collect();
            prop_assert_eq!(arrived, all);
        }
    }
}

//! Who else works on the log, until when is the lease certain, and may reads be answered once it is not?
//! Instants come from a clock
//! that never jumps; whether the lease is held at all is the log store's to say.

use std::fmt;
use std::time::Duration;

use crate::orders::Followed;

/// A balancer on the same log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it says that others reach it; may hold credentials.
    pub address: String,
    /// Of the lease that it took last.
    pub epoch: u64,
}

/// Who else works on this log.
#[derive(Clone, Debug, Default)]
pub struct Company {
    /// The holder of the lease, if it is another balancer and has not let go.
    pub holder: Option<Peer>,
    /// Addresses of all others that were alive a moment ago.
    pub others: Vec<String>,
    /// By what balancers on one log know each other.
    pub key: PeerKey,
    /// What operators ordered about nodes, and who has not done it yet.
    pub followed: Followed,
}

/// A secret that only balancers on one log know.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PeerKey(pub String);

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What is known of the lease that this balancer holds, or held last.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    lease: Duration,
    /// When the last check that succeeded was begun.
    checked: Option<Duration>,
    /// No other balancer was alive at the last look.
    alone: bool,
}

/// Why reads may, or may not, be answered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Nobody else can have taken the lease yet.
    Certain,
    /// The log cannot be reached, and no other balancer is known that could have taken the lease.
    Alone,
    /// Another balancer may have acknowledged writes that are not known here.
    Doubtful,
    /// The log was never read, or the lease was given away.
    Strange,
}

impl Reads {
    pub fn allowed(self) -> bool {
        matches!(self, Reads::Certain | Reads::Alone)
    }
}

impl Tenure {
    pub fn new(lease: Duration) -> Tenure {
        Tenure { lease, checked: None, alone: false }
    }

    /// Left free of the lease: for clocks that do not run alike, and for what happens between the look at
    /// the clock and the request's first byte.
    pub fn margin(&self) -> Duration {
        self.lease / 5
    }

    /// A check that was begun at `begun` found the lease in our hands. Others measure from a later moment.
    pub fn check(&mut self, begun: Duration) {
        self.checked = self.checked.max(Some(begun));
    }

    /// Who else was alive at the last look.
    pub fn look(&mut self, others: usize) {
        self.alone = others == 0;
    }

    /// The lease was given away, or another balancer has it.
    pub fn end(&mut self) {
        *self = Tenure::new(self.lease);
    }

    /// Whether nobody else can have taken the lease by now.
    pub fn certain(&self, now: Duration) -> bool {
        self.checked.is_some_and(|checked| now < checked + self.lease.saturating_sub(self.margin()))
    }

    pub fn reads(&self, now: Duration) -> Reads {
        match self.checked {
            None => Reads::Strange,
            Some(_) if self.certain(now) => Reads::Certain,
            Some(_) if self.alone => Reads::Alone,
            Some(_) => Reads::Doubtful,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn held() -> Tenure {
        let mut tenure = Tenure::new(at(10));
        tenure.check(at(100));
        tenure
    }

    #[test]
    fn it_is_certain_from_the_beginning_of_a_check_until_a_margin_before_the_end() {
        let tenure = held();
        assert!(tenure.certain(at(107)) && !tenure.certain(at(108)));
        assert!(!Tenure::new(at(10)).certain(at(0)));
    }

    #[test]
    fn a_check_that_answers_late_takes_nothing_back() {
        let mut tenure = held();
        tenure.check(at(95));
        assert!(tenure.certain(at(107)));
    }

    #[test]
    fn past_its_time_reads_go_on_only_where_nobody_else_can_write() {
        let mut tenure = held();
        tenure.look(1);
        assert_eq!(tenure.reads(at(107)), Reads::Certain);
        assert_eq!(tenure.reads(at(108)), Reads::Doubtful);
        tenure.look(0);
        assert_eq!(tenure.reads(at(500)), Reads::Alone);
    }

    #[test]
    fn what_was_given_away_is_not_read() {
        let mut tenure = held();
        tenure.look(0);
        tenure.end();
        assert_eq!(tenure.reads(at(101)), Reads::Strange);
        assert!(!tenure.certain(at(101)));
    }
}

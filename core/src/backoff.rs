//! How long to wait before the next attempt? A schedule that doubles up to a cap, spread by jitter. It
//! does not sleep, does not count attempts and draws no chance: attempt and jitter are arguments.

use std::time::Duration;

/// A validated schedule: `base`, `base · factor`, `base · factor²`, … never above `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    factor: u32,
    cap: Duration,
}

/// Why a schedule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// A base of zero would try again without any wait.
    #[error("the first delay of a back-off must be above zero")]
    ZeroBase,
    /// A factor of zero would make the second delay zero.
    #[error("the factor of a back-off must be at least 1")]
    ZeroFactor,
    /// The cap lies below the first delay.
    #[error("the cap of a back-off must not be below its first delay")]
    CapBelowBase,
}

impl Backoff {
    pub fn try_new(base: Duration, factor: u32, cap: Duration) -> Result<Backoff, BackoffError> {
        if base.is_zero() {
            return Err(BackoffError::ZeroBase);
        }
        if factor == 0 {
            return Err(BackoffError::ZeroFactor);
        }
        if cap < base {
            return Err(BackoffError::CapBelowBase);
        }
        Ok(Backoff { base, factor, cap })
    }

    /// The longest delay before jitter takes its share: attempt 0 waits `base`.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let steps = self.factor.checked_pow(attempt);
        steps.and_then(|steps| self.base.checked_mul(steps)).unwrap_or(self.cap).min(self.cap)
    }

    /// The delay before trying again after failed attempt number `attempt` (the first is 0): between
    /// half of the ceiling (`jitter` 0) and the whole of it (`jitter` 1).
    pub fn delay(&self, attempt: u32, jitter: f64) -> Duration {
        let share = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 };
        self.ceiling(attempt).mul_f64(0.5 + 0.5 * share)
    }
}

/// Short waits inside the process: from 50 ms to 10 s.
impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { base: Duration::from_millis(50), factor: 2, cap: Duration::from_secs(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn schedule() -> Backoff {
        Backoff::try_new(Duration::from_secs(1), 2, Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn it_doubles_up_to_the_cap() {
        let seconds: Vec<u64> = (0..8).map(|attempt| schedule().delay(attempt, 1.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn a_schedule_that_cannot_wait_is_refused() {
        let second = Duration::from_secs(1);
        assert_eq!(Backoff::try_new(Duration::ZERO, 2, second), Err(BackoffError::ZeroBase));
        assert_eq!(Backoff::try_new(second, 0, second), Err(BackoffError::ZeroFactor));
        assert_eq!(Backoff::try_new(second, 2, Duration::ZERO), Err(BackoffError::CapBelowBase));
    }

    proptest! {
        #[test]
        fn a_delay_stays_within_its_bounds(attempt: u32, jitter in prop::num::f64::ANY) {
            let delay = schedule().delay(attempt, jitter);
            prop_assert!(delay >= Duration::from_millis(500) && delay <= Duration::from_secs(30));
        }

        #[test]
        fn ceilings_never_fall(attempt in 0u32..1000) {
            prop_assert!(schedule().ceiling(attempt) <= schedule().ceiling(attempt + 1));
        }
    }
}

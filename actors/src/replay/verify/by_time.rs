//! When does a verification begin by itself, and who says that it is over? It compares nothing.

use std::time::Duration;

use tracing::{debug, info};

use crate::board::Board;
use crate::wal::now_unix_ms;

/// A verification because it is time for one.
pub(in crate::replay) fn begin(board: &Board) {
    match board.sequencer().verify(None, true, now_unix_ms()) {
        Ok(id) => info!(id, "verifying all collections: it is time"),
        Err(hindrance) => debug!(%hindrance, "no verification at this time"),
    }
    board.wake_all();
}

/// Ends the verification if everything is compared.
pub(in crate::replay) fn conclude(board: &Board) {
    let mut sequencer = board.sequencer();
    if sequencer.conclude_verification(now_unix_ms()) {
        let run = sequencer.verification();
        let (id, equal, differing, skipped) = (run.id, run.equal, run.differing, run.skipped);
        info!(id, equal, differing, skipped, undecided = run.undecided, clean = run.is_clean(), "verified");
    }
}

/// Up to a tenth longer, so that balancers that were started together do not verify together.
pub(in crate::replay) fn spread(interval: Duration) -> Duration {
    let share = f64::from(u32::try_from(now_unix_ms() % 1_000).unwrap_or_default()) / 10_000.0;
    interval.mul_f64(1.0 + share)
}

//! Is one figure above its threshold, for long enough to count, or below it, for long enough to be over? It
//! does not know what the figure is of.

use super::{MARGIN, STEADY};

#[derive(Clone, Debug)]
pub(super) struct Alarm {
    at: f64,
    /// Samples in a row at or above `at` until it rings.
    patience: u32,
    rings: bool,
    over: u32,
    under: u32,
}

impl Alarm {
    pub(super) fn new(at: f64, patience: u32) -> Alarm {
        Alarm { at, patience, rings: false, over: 0, under: 0 }
    }

    pub(super) fn rings(&self) -> bool {
        self.rings
    }

    /// Takes the next figure in; says whether it begins (`true`) or ends to ring.
    pub(super) fn observe(&mut self, value: f64) -> Option<bool> {
        // A low threshold must be possible to fall below.
        let relief = self.at - MARGIN.min(self.at / 2.0);
        self.over = if value >= self.at { self.over.saturating_add(1) } else { 0 };
        self.under = if value < relief { self.under.saturating_add(1) } else { 0 };
        let turns = if self.rings { self.under >= STEADY } else { self.over >= self.patience };
        turns.then(|| {
            (self.over, self.under) = (0, 0);
            self.rings = !self.rings;
            self.rings
        })
    }

    #[cfg(test)]
    pub(super) fn at(&self) -> f64 {
        self.at
    }
}

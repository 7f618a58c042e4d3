//! How many entries are taken at a time, given how many wait and how short memory is? Sizes only; what is
//! taken, and whether there is room for it, others say.

use super::Pressure;

/// The usual number, growing to the high one while a backlog lasts and memory is not short, and a quarter of the
/// usual one while it is nearly used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    usual: usize,
    high: usize,
    current: usize,
}

impl BatchSize {
    pub fn new(usual: usize, high: usize) -> BatchSize {
        let usual = usual.max(1);
        BatchSize { usual, high: high.max(usual), current: usual }
    }

    pub fn current(&self) -> usize {
        self.current
    }

    /// The size until it is adapted again, given how many entries wait.
    pub fn next(&mut self, pressure: Pressure, backlog: usize) -> usize {
        let step = ((self.high - self.usual) / 4).max(1);
        self.current = match pressure {
            Pressure::Shed => (self.usual / 4).max(1),
            Pressure::Busy => self.usual,
            Pressure::Calm if backlog > self.current => (self.current + step).clamp(self.usual, self.high),
            Pressure::Calm => self.current.saturating_sub(step).max(self.usual),
        };
        self.current
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn batches_grow_with_the_backlog_and_shrink_with_memory() {
        let mut size = BatchSize::new(100, 200);
        let grown: Vec<usize> = (0..5).map(|_| size.next(Pressure::Calm, 10_000)).collect();
        assert_eq!(grown, [125, 150, 175, 200, 200]);
        assert_eq!(size.next(Pressure::Calm, 3), 175);
        assert_eq!(size.next(Pressure::Busy, 10_000), 100);
        assert_eq!(size.next(Pressure::Shed, 10_000), 25);
        assert_eq!(size.next(Pressure::Calm, 10_000), 100);
        assert_eq!(BatchSize::new(0, 0).next(Pressure::Shed, 0), 1);
    }

    proptest! {
        #[test]
        fn batch_sizes_keep_their_bounds(
            usual in 0usize..5000, high in 0usize..5000,
            steps in prop::collection::vec((0u8..3, 0usize..20_000), 0..100),
        ) {
            let mut size = BatchSize::new(usual, high);
            for (level, backlog) in steps {
                let level = [Pressure::Calm, Pressure::Busy, Pressure::Shed][usize::from(level)];
                let next = size.next(level, backlog);
                prop_assert!(next >= 1 && next <= high.max(usual).max(1));
                prop_assert!(level == Pressure::Shed || next >= usual);
            }
        }
    }
}

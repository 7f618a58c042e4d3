//! How loaded is this host, and how many entries go into one request because of it? Samples in, a level
//! with hysteresis out. It reads no `/proc`, sheds nothing itself and keeps no history.

use std::fmt;

use serde::Serialize;

/// What was measured of the container, or of the host where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Sample {
    /// Share of the CPU time allowed, since the last sample.
    pub cpu_percent: f64,
    /// Share of the memory allowed that is used and cannot be reclaimed.
    pub memory_percent: f64,
    pub memory_used_bytes: u64,
    pub memory_limit_bytes: u64,
    /// Resident memory of this process.
    pub rss_bytes: u64,
    /// CPU time that this process has used since it started.
    pub process_cpu_seconds: f64,
}

/// How loaded the host is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pressure {
    /// Below both thresholds.
    #[default]
    Calm,
    /// Memory reached its threshold, or CPU did for several samples: replay slows down.
    Busy,
    /// Memory is nearly used up: new work is refused until it falls.
    Shed,
}

impl Pressure {
    pub fn name(self) -> &'static str {
        match self {
            Pressure::Calm => "calm",
            Pressure::Busy => "busy",
            Pressure::Shed => "shed",
        }
    }
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// From where on a host is busy, in per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub memory_percent: f64,
    pub cpu_percent: f64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { memory_percent: 80.0, cpu_percent: 80.0 }
    }
}

/// Why the level changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PressureReason {
    /// At once: the next step would be an out-of-memory kill.
    #[error("memory is nearly used up")]
    MemoryShort,
    /// At once.
    #[error("memory use reached its threshold")]
    MemoryHigh,
    /// Several samples in a row.
    #[error("CPU use stayed above its threshold")]
    CpuHigh,
    /// Several samples in a row were clearly below.
    #[error("the load fell")]
    Relieved,
}

/// A move from one level to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PressureChange {
    pub from: Pressure,
    pub to: Pressure,
    pub reason: PressureReason,
}

/// Samples in a row that make CPU use count, and that end a level.
const STEADY: u32 = 3;
/// How far below a threshold a sample must lie to count as relief, in points.
const MARGIN: f64 = 5.0;

/// The host's level over time.
#[derive(Clone, Debug)]
pub struct Gauge {
    thresholds: Thresholds,
    level: Pressure,
    hot_cpu: u32,
    relieved: u32,
}

impl Gauge {
    pub fn new(thresholds: Thresholds) -> Gauge {
        Gauge { thresholds, level: Pressure::Calm, hot_cpu: 0, relieved: 0 }
    }

    pub fn level(&self) -> Pressure {
        self.level
    }

    /// Takes a sample in. Rises at once (CPU: when it lasts), falls one level at a time when it lasts.
    pub fn observe(&mut self, sample: Sample) -> Option<PressureChange> {
        let hot = sample.cpu_percent >= self.thresholds.cpu_percent;
        self.hot_cpu = if hot { self.hot_cpu.saturating_add(1) } else { 0 };
        if let Some((to, reason)) = self.demanded(sample).filter(|(to, _)| *to > self.level) {
            return Some(self.enter(to, reason));
        }
        self.relieved = if self.is_relief(sample) { self.relieved + 1 } else { 0 };
        let below = match self.level {
            Pressure::Shed => Pressure::Busy,
            Pressure::Busy => Pressure::Calm,
            Pressure::Calm => return None,
        };
        (self.relieved >= STEADY).then(|| self.enter(below, PressureReason::Relieved))
    }

    /// Memory use from which new work is refused: three fifths of the way from busy to full.
    fn shed_percent(&self) -> f64 {
        self.thresholds.memory_percent + (100.0 - self.thresholds.memory_percent) * 0.6
    }

    fn demanded(&self, sample: Sample) -> Option<(Pressure, PressureReason)> {
        if sample.memory_percent >= self.shed_percent() {
            Some((Pressure::Shed, PressureReason::MemoryShort))
        } else if sample.memory_percent >= self.thresholds.memory_percent {
            Some((Pressure::Busy, PressureReason::MemoryHigh))
        } else {
            (self.hot_cpu >= STEADY).then_some((Pressure::Busy, PressureReason::CpuHigh))
        }
    }

    fn is_relief(&self, sample: Sample) -> bool {
        match self.level {
            Pressure::Calm => false,
            Pressure::Busy => {
                sample.memory_percent < self.thresholds.memory_percent - MARGIN
                    && sample.cpu_percent < self.thresholds.cpu_percent - MARGIN
            }
            Pressure::Shed => sample.memory_percent < self.shed_percent() - MARGIN,
        }
    }

    fn enter(&mut self, to: Pressure, reason: PressureReason) -> PressureChange {
        self.relieved = 0;
        PressureChange { from: std::mem::replace(&mut self.level, to), to, reason }
    }
}

/// How many entries are merged into one request: the usual number, growing to the high one while a
/// backlog lasts and the host is calm, and a quarter of the usual one while memory is short.
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

    /// The size for the next request, given how many entries wait.
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

    fn sample(memory_percent: f64, cpu_percent: f64) -> Sample {
        Sample { memory_percent, cpu_percent, ..Sample::default() }
    }

    fn levels(samples: &[(f64, f64)]) -> Vec<Pressure> {
        let mut gauge = Gauge::new(Thresholds::default());
        let level = |(memory, cpu): &(f64, f64)| {
            gauge.observe(sample(*memory, *cpu));
            gauge.level()
        };
        samples.iter().map(level).collect()
    }

    #[test]
    fn memory_counts_at_once_and_cpu_when_it_lasts() {
        use Pressure::{Busy, Calm, Shed};
        assert_eq!(levels(&[(79.0, 0.0), (80.0, 0.0), (92.0, 0.0)]), [Calm, Busy, Shed]);
        assert_eq!(levels(&[(10.0, 99.0), (10.0, 99.0), (10.0, 99.0)]), [Calm, Calm, Busy]);
        assert_eq!(levels(&[(10.0, 99.0), (10.0, 99.0), (10.0, 9.0), (10.0, 99.0)]), [Calm; 4]);
    }

    #[test]
    fn relief_must_last_and_goes_one_level_at_a_time() {
        use Pressure::{Busy, Calm, Shed};
        let mut samples = vec![(95.0, 0.0)];
        samples.extend([(10.0, 0.0); 6]);
        assert_eq!(levels(&samples), [Shed, Shed, Shed, Busy, Busy, Busy, Calm]);
    }

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
        fn a_load_inside_the_margin_never_flaps(loads in prop::collection::vec(76.0f64..84.0, 1..100)) {
            let mut gauge = Gauge::new(Thresholds::default());
            let changes = loads.iter().filter(|load| gauge.observe(sample(**load, 0.0)).is_some()).count();
            prop_assert!(changes <= 1);
        }

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

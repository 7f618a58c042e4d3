//! How loaded are this balancer and its host, by what, and since when does it count? Samples in, strains with
//! hysteresis and a level out. It reads no `/proc`, refuses nothing itself and keeps no history.

use std::fmt;

use serde::Serialize;

mod alarm;
mod batch;

pub use batch::BatchSize;

use alarm::Alarm;

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
    pub queue: Queue,
}

/// Requests that wait, at the moment of the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Requests that hold a permit, and permits that there are.
    pub in_flight: usize,
    pub in_flight_limit: usize,
    /// Requests that wait for a permit, and how many may.
    pub queued: usize,
    pub queued_limit: usize,
    /// Writes that wait for the next transaction of the log.
    pub appends_waiting: usize,
}

impl Queue {
    /// How full the queue is; where none may wait, how many of the permits are taken.
    pub fn percent(&self) -> f64 {
        let (part, whole) = match self.queued_limit {
            0 => (self.in_flight, self.in_flight_limit),
            limit => (self.queued, limit),
        };
        if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
    }
}

/// How loaded the balancer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pressure {
    /// Nothing is short.
    #[default]
    Calm,
    /// Memory or CPU reached its threshold, or the queue is nearly full: people are told.
    Busy,
    /// Memory is nearly used up: new writes are refused until it falls, and less of the log is read at a time.
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

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strain {
    /// Memory is nearly used up. At once: the next step would be an out-of-memory kill.
    MemoryShort,
    /// Memory use reached its threshold. At once.
    Memory,
    /// CPU use stayed above its threshold for several samples.
    Cpu,
    /// The queue of requests stayed nearly full for several samples.
    Queue,
}

impl Strain {
    pub const ALL: [Strain; 4] = [Strain::MemoryShort, Strain::Memory, Strain::Cpu, Strain::Queue];

    pub fn name(self) -> &'static str {
        match self {
            Strain::MemoryShort => "memory-short",
            Strain::Memory => "memory",
            Strain::Cpu => "cpu",
            Strain::Queue => "queue",
        }
    }

    /// The level while it lasts.
    pub fn level(self) -> Pressure {
        match self {
            Strain::MemoryShort => Pressure::Shed,
            Strain::Memory | Strain::Cpu | Strain::Queue => Pressure::Busy,
        }
    }
}

/// From where on something is short, in per cent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    pub memory_percent: f64,
    pub cpu_percent: f64,
}

/// A queue so full is nearly full.
pub const QUEUE_PERCENT: f64 = 80.0;

impl Thresholds {
    /// Memory use from which new writes are refused: three fifths of the way from the threshold to full.
    pub fn shed_percent(&self) -> f64 {
        self.memory_percent + (100.0 - self.memory_percent) * 0.6
    }
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds { memory_percent: 80.0, cpu_percent: 80.0 }
    }
}

/// A strain began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrainChange {
    pub strain: Strain,
    pub began: bool,
}

/// Samples in a row that make CPU use and a full queue count, and that end a strain.
const STEADY: u32 = 3;
/// How far below a threshold a sample must lie to count as relief, in points.
const MARGIN: f64 = 5.0;

/// The strains over time. They begin at once (CPU and queue: when it lasts) and end when relief lasts.
#[derive(Clone, Debug)]
pub struct Gauge {
    short: Alarm,
    memory: Alarm,
    cpu: Alarm,
    queue: Alarm,
}

impl Gauge {
    pub fn new(thresholds: Thresholds) -> Gauge {
        Gauge {
            short: Alarm::new(thresholds.shed_percent(), 1),
            memory: Alarm::new(thresholds.memory_percent, 1),
            cpu: Alarm::new(thresholds.cpu_percent, STEADY),
            queue: Alarm::new(QUEUE_PERCENT, STEADY),
        }
    }

    /// The strains that last.
    pub fn strains(&self) -> impl Iterator<Item = Strain> + '_ {
        Strain::ALL.into_iter().filter(|strain| self.alarm(*strain).rings())
    }

    pub fn level(&self) -> Pressure {
        self.strains().map(Strain::level).max().unwrap_or_default()
    }

    /// The level by memory alone, which is what batches take: with CPU short, small ones would make it shorter.
    pub fn of_memory(&self) -> Pressure {
        let of_memory = |strain: &Strain| matches!(strain, Strain::Memory | Strain::MemoryShort);
        self.strains().filter(of_memory).map(Strain::level).max().unwrap_or_default()
    }

    /// Takes a sample in; says what began and what ended.
    pub fn observe(&mut self, sample: Sample) -> Vec<StrainChange> {
        // One level at a time: memory that is nearly used up is above its threshold, too.
        let memory_percent = if self.short.rings() { 100.0 } else { sample.memory_percent };
        let turned = [
            (Strain::MemoryShort, self.short.observe(sample.memory_percent)),
            (Strain::Memory, self.memory.observe(memory_percent)),
            (Strain::Cpu, self.cpu.observe(sample.cpu_percent)),
            (Strain::Queue, self.queue.observe(sample.queue.percent())),
        ];
        let changes = turned.into_iter();
        changes.filter_map(|(strain, began)| began.map(|began| StrainChange { strain, began })).collect()
    }

    fn alarm(&self, strain: Strain) -> &Alarm {
        match strain {
            Strain::MemoryShort => &self.short,
            Strain::Memory => &self.memory,
            Strain::Cpu => &self.cpu,
            Strain::Queue => &self.queue,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(memory_percent: f64, cpu_percent: f64) -> Sample {
        Sample { memory_percent, cpu_percent, ..Sample::default() }
    }

    fn queued(queued: usize) -> Sample {
        let queue = Queue { queued, queued_limit: 10, ..Queue::default() };
        Sample { queue, ..Sample::default() }
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
    fn a_queue_that_stays_nearly_full_is_a_strain_of_its_own() {
        let mut gauge = Gauge::new(Thresholds::default());
        let mut strains = |sample| {
            gauge.observe(sample);
            gauge.strains().collect::<Vec<_>>()
        };
        assert_eq!((strains(queued(8)), strains(queued(10))), (vec![], vec![]));
        assert_eq!(strains(queued(8)), [Strain::Queue]);
        let cpu_too = Sample { cpu_percent: 100.0, ..queued(9) };
        (0..2).for_each(|_| drop(strains(cpu_too)));
        assert_eq!(strains(cpu_too), [Strain::Cpu, Strain::Queue]);
        // The one ends without the other.
        (0..2).for_each(|_| drop(strains(queued(9))));
        assert_eq!(strains(queued(9)), [Strain::Queue]);
        (0..2).for_each(|_| drop(strains(queued(0))));
        assert_eq!(strains(queued(0)), []);
    }

    #[test]
    fn batches_heed_memory_alone() {
        let mut gauge = Gauge::new(Thresholds::default());
        (0..3).for_each(|_| drop(gauge.observe(Sample { cpu_percent: 99.0, ..queued(10) })));
        assert_eq!((gauge.level(), gauge.of_memory()), (Pressure::Busy, Pressure::Calm));
        let levels = [85.0, 95.0].map(|memory| {
            gauge.observe(sample(memory, 99.0));
            gauge.of_memory()
        });
        assert_eq!(levels, [Pressure::Busy, Pressure::Shed]);
    }

    #[test]
    fn without_a_queue_the_permits_are_what_fills() {
        let full = Queue { in_flight: 4, in_flight_limit: 4, ..Queue::default() };
        assert_eq!((full.percent(), Queue { queued_limit: 9, ..full }.percent()), (100.0, 0.0));
        assert_eq!(Queue::default().percent(), 0.0);
    }

    #[test]
    fn a_low_threshold_ends_as_well() {
        let mut gauge = Gauge::new(Thresholds { memory_percent: 1.0, cpu_percent: 1.0 });
        gauge.observe(sample(2.0, 0.0));
        assert_eq!(gauge.level(), Pressure::Busy);
        (0..3).for_each(|_| drop(gauge.observe(sample(0.4, 0.0))));
        assert_eq!(gauge.level(), Pressure::Calm);
    }

    proptest! {
        #[test]
        fn a_load_inside_the_margin_never_flaps(loads in prop::collection::vec(76.0f64..84.0, 1..100)) {
            let mut gauge = Gauge::new(Thresholds::default());
            let changes: usize = loads.iter().map(|load| gauge.observe(sample(*load, 0.0)).len()).sum();
            prop_assert!(changes <= 1);
        }

        /// What is told is what is so: each strain begins and ends in turn, and the level follows them.
        #[test]
        fn strains_begin_and_end_in_turn(
            loads in prop::collection::vec((0.0f64..=100.0, 0.0f64..=100.0, 0usize..=10), 1..200),
            memory_percent in 1.0f64..=100.0,
        ) {
            let mut gauge = Gauge::new(Thresholds { memory_percent, cpu_percent: 80.0 });
            let mut lasting = std::collections::BTreeSet::new();
            for (memory, cpu, waiting) in loads {
                let load = Sample { memory_percent: memory, cpu_percent: cpu, ..queued(waiting) };
                for change in gauge.observe(load) {
                    let turned =
                        if change.began { lasting.insert(change.strain) } else { lasting.remove(&change.strain) };
                    prop_assert!(turned, "{:?} twice", change);
                }
                prop_assert_eq!(gauge.strains().collect::<std::collections::BTreeSet<_>>(), lasting.clone());
                prop_assert!(memory < gauge.shed_at() || gauge.level() == Pressure::Shed);
                prop_assert!(memory < memory_percent || gauge.level() > Pressure::Calm);
            }
            for _ in 0..2 * STEADY {
                gauge.observe(Sample::default());
            }
            prop_assert_eq!(gauge.level(), Pressure::Calm);
        }
    }

    impl Gauge {
        fn shed_at(&self) -> f64 {
            self.short.at()
        }
    }
}

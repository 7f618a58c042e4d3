//! What is measured, how often and for how long? Words of the command line; it measures nothing.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures chroma-ha side by side with bare Chroma, nginx and HAProxy, on servers that it starts itself.
#[derive(Clone, Debug, Parser)]
#[command(name = "end_to_end")]
pub(crate) struct Options {
    /// How often everything is measured; medians are told.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Only these, comma-separated.
    #[arg(long, value_delimiter = ',', value_enum)]
    pub(crate) only: Vec<Measurement>,
    /// A minute or two: shows that everything works. Its figures say little.
    #[arg(long)]
    pub(crate) quick: bool,
    /// How cost grows: collections, nodes, bodies, a long log.
    #[arg(long)]
    pub(crate) scale: bool,
    /// Seconds for one measurement.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Writes that are queued for a node that is away.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) queued: u64,
    /// Most collections in the scale mode.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) collections: u64,
    /// Rows of the long log in the scale mode.
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) rows: u64,
    /// Folder for the charts. The table goes to target/bench, and the charts, too, unless this is given.
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Measurement {
    /// Reads of a stub that answers at once: what a proxy costs.
    Stub,
    /// Reads of real Chroma.
    Reads,
    /// One client: at a pace, one after the other, with one node only; and one commit of PostgreSQL.
    Lone,
    /// Many clients, and batches of 100; what two bare servers take that are written at once.
    Writers,
    /// 90 % reads, 10 % writes.
    Mixed,
    /// Writes acknowledged by the log.
    Log,
    /// From the acknowledgement until the replica shows it.
    Lag,
    /// A node comes back to a queue.
    Replay,
    /// The primary is killed, and hangs.
    Failover,
    /// Cost by the number of collections.
    Collections,
    /// Cost by the number of nodes.
    Nodes,
    /// Cost by the size of a body.
    Bodies,
    /// Cost by the length of the log.
    Rows,
}

impl Measurement {
    const ROUND: [Measurement; 9] = [
        Measurement::Stub,
        Measurement::Reads,
        Measurement::Lone,
        Measurement::Writers,
        Measurement::Mixed,
        Measurement::Log,
        Measurement::Lag,
        Measurement::Replay,
        Measurement::Failover,
    ];

    const SCALE: [Measurement; 4] =
        [Measurement::Collections, Measurement::Nodes, Measurement::Bodies, Measurement::Rows];

    /// Measured once: each makes its own servers of another size.
    pub(crate) fn is_scale(self) -> bool {
        Measurement::SCALE.contains(&self)
    }
}

impl Options {
    pub(crate) fn from_args() -> Self {
        Self::parse().hastened()
    }

    fn hastened(self) -> Self {
        if !self.quick {
            return self;
        }
        Self { rounds: 1, seconds: 1.0, queued: 500, collections: 200, rows: 20_000, ..self }
    }

    pub(crate) fn measurements(&self) -> Vec<Measurement> {
        let all: &[Measurement] = if self.scale { &Measurement::SCALE } else { &Measurement::ROUND };
        if self.only.is_empty() { all.to_vec() } else { self.only.clone() }
    }

    pub(crate) fn span(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }
}

//! How much processor time did a process and its children take, and how busy is the machine with other things?
//! Read from `/proc`, so on Linux only; without it there are no such figures.

use std::fs;
use std::time::Duration;

/// Linux counts in hundredths of a second for programs, whatever the kernel's own clock is.
const TICKS_A_SECOND: f64 = 100.0;

/// Of the process and what it started, as workers.
pub(crate) fn seconds(pid: u32) -> Option<f64> {
    let mut total = times(pid)?.1;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let other = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some((parent, seconds)) = other.and_then(times)
            && parent == pid
        {
            total += seconds;
        }
    }
    Some(total)
}

/// The parent, and the seconds in user and in kernel mode.
fn times(pid: u32) -> Option<(u32, f64)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A name may hold anything, even a parenthesis.
    let (_, fields) = line.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((fields.get(1)?.parse().ok()?, (ticks(11)? + ticks(12)?) / TICKS_A_SECOND))
}

/// What all cores have done since the machine was started.
pub(crate) struct Ticks {
    used: f64,
    all: f64,
}

impl Ticks {
    pub(crate) fn now() -> Option<Self> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let all: f64 = ticks.iter().take(8).sum();
        let idle: f64 = ticks.iter().skip(3).take(2).sum();
        Some(Self { used: all - idle, all })
    }

    /// Share of all cores that was in use since then.
    pub(crate) fn share(&self) -> Option<f64> {
        let now = Self::now()?;
        Some((now.used - self.used) / (now.all - self.all).max(1.0))
    }
}

/// Share of all cores that is in use, over a second.
pub(crate) async fn busy() -> Option<f64> {
    let before = Ticks::now()?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    before.share()
}

/// What a reader must know to compare: kind of processor, cores, memory.
pub(crate) fn describe() -> String {
    let line = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let found = text.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        found.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let (kind, memory) = (line("/proc/cpuinfo", "model name"), line("/proc/meminfo", "MemTotal"));
    format!("{cores} cores ({kind}), {memory} of memory")
}

//! How much CPU and memory does the container use of what it may? One sample when asked: cgroup v2 where
//! there is one, else the whole host. It judges nothing; `core::pressure` does. And what is it called?

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chroma_ha_core::pressure::Sample;
use nix::time::{ClockId, clock_gettime};
use sysinfo::System;

mod cgroup;

use cgroup::{Cpu, Groups, Memory};

/// By which name others on its network may know the machine.
pub fn name() -> Option<String> {
    System::host_name().ok()
}

/// Measures the machine; keeps what the last sample saw, since CPU use is a difference.
pub struct Host {
    /// `None` where the platform tells nothing.
    system: Option<System>,
    groups: Groups,
    cores: f64,
    last: Option<(Instant, Cpu)>,
}

impl Host {
    pub fn new() -> Host {
        let membership = std::fs::read_to_string(cgroup::MEMBERSHIP).unwrap_or_default();
        match pretended() {
            Some(root) => Host::at(&root, "0::/"),
            None => Host::at(Path::new(cgroup::ROOT), &membership),
        }
    }

    fn at(root: &Path, membership: &str) -> Host {
        let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
        let mut system = System::new().ok();
        if let Some(system) = &mut system {
            // CPU use is known from the second look on.
            system.refresh_cpu_usage();
        }
        Host { system, groups: Groups::of(root, membership), cores, last: None }
    }

    /// Blocks for some file reads (well under a millisecond). The first sample knows no CPU use yet.
    pub fn sample(&mut self) -> Sample {
        let (memory_used_bytes, memory_limit_bytes) = self.memory();
        Sample {
            cpu_percent: self.cpu_percent(Instant::now()),
            memory_percent: percent(memory_used_bytes as f64, memory_limit_bytes as f64),
            memory_used_bytes,
            memory_limit_bytes,
            rss_bytes: rss_bytes().unwrap_or(0),
            process_cpu_seconds: process_cpu().as_secs_f64(),
            ..Sample::default()
        }
    }

    /// Used and allowed. A group without a limit of its own can be killed by the host's shortage, so
    /// the host counts then.
    fn memory(&mut self) -> (u64, u64) {
        let (used, total) = self.system.as_mut().map_or((0, 0), |system| {
            system.refresh_memory();
            let total = system.total_memory();
            (total.saturating_sub(system.available_memory()), total)
        });
        match self.groups.memory() {
            Some(Memory { used_bytes, limit_bytes }) if limit_bytes < total || total == 0 => {
                (used_bytes, limit_bytes)
            }
            _ => (used, total),
        }
    }

    /// Without a limit the group shares the host's CPU with everything else, so the host counts then.
    fn cpu_percent(&mut self, now: Instant) -> f64 {
        let Some(cpu) = self.groups.cpu().filter(|cpu| cpu.limit_cores < self.cores) else {
            self.last = None;
            return self.host_cpu_percent();
        };
        let before = self.last.replace((now, cpu));
        // Of the same group: a limit that was changed may make it another one.
        let Some((then, was)) = before.filter(|(_, was)| was.limit_cores == cpu.limit_cores) else {
            return 0.0;
        };
        let allowed = now.saturating_duration_since(then).as_secs_f64() * cpu.limit_cores;
        percent(cpu.used.saturating_sub(was.used).as_secs_f64(), allowed).min(100.0)
    }

    fn host_cpu_percent(&mut self) -> f64 {
        let Some(system) = &mut self.system else { return 0.0 };
        system.refresh_cpu_usage();
        f64::from(system.global_cpu_usage()).clamp(0.0, 100.0)
    }
}

/// Builds with debug assertions take the container from a folder that tests fill.
fn pretended() -> Option<PathBuf> {
    if cfg!(debug_assertions) { std::env::var_os("CHROMA_HA_CGROUP").map(PathBuf::from) } else { None }
}

impl Default for Host {
    fn default() -> Host {
        Host::new()
    }
}

fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { 100.0 * part / whole } else { 0.0 }
}

/// Resident memory of this process, from `/proc`; `None` elsewhere than on Linux.
fn rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// CPU time that this process has used, with every thread of it.
fn process_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_figures() {
        let mut host = Host::new();
        let sample = host.sample();
        assert!(sample.memory_limit_bytes > 0 && sample.memory_used_bytes > 0, "{sample:?}");
        assert!((0.0..=100.0).contains(&host.sample().cpu_percent));
        assert!(!cfg!(target_os = "linux") || sample.rss_bytes > 1024 * 1024);
        assert!(sample.process_cpu_seconds > 0.0);
    }

    #[test]
    fn cpu_use_is_the_difference_between_two_samples() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("cpu.max", "10000 100000");
        write("cpu.stat", "usage_usec 1000000\n");
        let mut host = Host::at(folder.path(), "0::/");
        let start = Instant::now();
        assert_eq!(host.cpu_percent(start), 0.0);
        write("cpu.stat", "usage_usec 1050000\n");
        let later = host.cpu_percent(start + Duration::from_secs(1));
        assert!((later - 50.0).abs() < 0.01, "{later}");
    }

    #[test]
    fn a_limit_of_the_container_counts_and_without_one_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("memory.current", "3000000");
        write("memory.stat", "inactive_file 1000000\n");
        write("memory.max", "8000000");
        let mut host = Host::at(folder.path(), "0::/");
        let sample = host.sample();
        assert_eq!((sample.memory_used_bytes, sample.memory_limit_bytes), (2_000_000, 8_000_000));
        assert_eq!(sample.memory_percent, 25.0);
        for unlimited in ["max", "9223372036854771712"] {
            write("memory.max", unlimited);
            let sample = host.sample();
            assert!(
                sample.memory_limit_bytes > 8_000_000 && sample.memory_used_bytes > 2_000_000,
                "{sample:?}"
            );
            assert!(sample.memory_limit_bytes < 1 << 50, "{sample:?}");
        }
    }
}

//! What does the container allow and use? Reads the files of cgroup v2 as text; parsing is apart from
//! reading so that it can be tested. Version 1 is not read: such hosts are measured as a whole.

use std::path::Path;
use std::time::Duration;

/// Where a container sees its own group.
pub(super) const ROOT: &str = "/sys/fs/cgroup";

/// Memory of the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// Without file cache that the kernel can drop at once.
    pub(super) used_bytes: u64,
    /// `None`: no limit of its own.
    pub(super) limit_bytes: Option<u64>,
}

pub(super) fn memory(root: &Path) -> Option<Memory> {
    let current = number(&read(root, "memory.current")?)?;
    let reclaimable = read(root, "memory.stat").and_then(|text| field(&text, "inactive_file")).unwrap_or(0);
    let limit_bytes = read(root, "memory.max").and_then(|text| number(&text));
    Some(Memory { used_bytes: current.saturating_sub(reclaimable), limit_bytes })
}

/// CPU time the group has used so far.
pub(super) fn cpu_used(root: &Path) -> Option<Duration> {
    field(&read(root, "cpu.stat")?, "usage_usec").map(Duration::from_micros)
}

/// How many cores the group may use; `None`: no limit of its own.
pub(super) fn cpu_limit_cores(root: &Path) -> Option<f64> {
    cores(&read(root, "cpu.max")?)
}

fn read(root: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(root.join(file)).ok()
}

/// `max` is no number.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The value of a line `name value`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').and_then(number))
}

/// `quota period`, in microseconds.
fn cores(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then_some(quota / period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn a_limited_container() {
        let folder = group(&[
            ("memory.current", "1000\n"),
            ("memory.max", "4000\n"),
            ("memory.stat", "anon 600\nfile 400\ninactive_file_x 9\ninactive_file 300\n"),
            ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
            ("cpu.max", "150000 100000\n"),
        ]);
        let root = folder.path();
        assert_eq!(memory(root), Some(Memory { used_bytes: 700, limit_bytes: Some(4000) }));
        assert_eq!(cpu_used(root), Some(Duration::from_millis(2500)));
        assert_eq!(cpu_limit_cores(root), Some(1.5));
    }

    #[test]
    fn an_unlimited_container() {
        let folder = group(&[("memory.current", "5"), ("memory.max", "max\n"), ("cpu.max", "max 100000\n")]);
        let root = folder.path();
        assert_eq!(memory(root), Some(Memory { used_bytes: 5, limit_bytes: None }));
        assert_eq!((cpu_used(root), cpu_limit_cores(root)), (None, None));
    }

    #[test]
    fn no_container() {
        let folder = group(&[]);
        assert_eq!(memory(folder.path()), None);
    }
}

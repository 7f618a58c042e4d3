//! What does the container allow and use? Reads the files of cgroup v2 as text. A process is in one group and
//! in all above it, as far as they are seen from here; the tightest limit counts. Version 1 is not read: such
//! hosts are measured as a whole.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Where the groups are seen. A container mostly sees its own as the root of all.
pub(super) const ROOT: &str = "/sys/fs/cgroup";

/// Which group this process is in, below the root.
pub(super) const MEMBERSHIP: &str = "/proc/self/cgroup";

/// The process's own group and those above it, the own one first.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    folders: Vec<PathBuf>,
}

/// Memory of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    /// Without file cache that the kernel can drop at once.
    pub(super) used_bytes: u64,
    pub(super) limit_bytes: u64,
}

/// CPU time of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cpu {
    /// So far.
    pub(super) used: Duration,
    pub(super) limit_cores: f64,
}

impl Groups {
    /// `membership` is the text of `MEMBERSHIP`. A path that is not seen from here is that of another
    /// namespace; the root is what is seen of it then.
    pub(super) fn of(root: &Path, membership: &str) -> Groups {
        let path = membership.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let own = root.join(if inside { path } else { "" });
        let own = if own.is_dir() { own } else { root.to_owned() };
        let above = own.ancestors().take_while(|folder| folder.starts_with(root));
        Groups { folders: above.map(Path::to_owned).collect() }
    }

    /// Of the group that is nearest to its limit; `None`: no group has one.
    pub(super) fn memory(&self) -> Option<Memory> {
        let share = |memory: &Memory| memory.used_bytes as f64 / memory.limit_bytes.max(1) as f64;
        let limited = self.folders.iter().filter_map(|folder| memory(folder));
        limited.max_by(|one, other| share(one).total_cmp(&share(other)))
    }

    /// Of the group that may use the least; `None`: no group has a limit.
    pub(super) fn cpu(&self) -> Option<Cpu> {
        let limited = self.folders.iter().filter_map(|folder| cpu(folder));
        limited.min_by(|one, other| one.limit_cores.total_cmp(&other.limit_cores))
    }
}

fn memory(folder: &Path) -> Option<Memory> {
    let limit_bytes = number(&read(folder, "memory.max")?)?;
    let current = number(&read(folder, "memory.current")?)?;
    let reclaimable = read(folder, "memory.stat").and_then(|text| field(&text, "inactive_file")).unwrap_or(0);
    Some(Memory { used_bytes: current.saturating_sub(reclaimable), limit_bytes })
}

fn cpu(folder: &Path) -> Option<Cpu> {
    let limit_cores = cores(&read(folder, "cpu.max")?)?;
    let used = field(&read(folder, "cpu.stat")?, "usage_usec").map(Duration::from_micros)?;
    Some(Cpu { used, limit_cores })
}

fn read(folder: &Path, file: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(file)).ok()
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

    /// A root with the files of groups, by path.
    fn groups(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = root.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        root
    }

    fn memory(root: &tempfile::TempDir, membership: &str) -> Option<(u64, u64)> {
        Groups::of(root.path(), membership).memory().map(|m| (m.used_bytes, m.limit_bytes))
    }

    #[test]
    fn a_limited_container() {
        let root = groups(&[
            ("memory.current", "1000\n"),
            ("memory.max", "4000\n"),
            ("memory.stat", "anon 600\nfile 400\ninactive_file_x 9\ninactive_file 300\n"),
            ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
            ("cpu.max", "150000 100000\n"),
        ]);
        assert_eq!(memory(&root, "0::/\n"), Some((700, 4000)));
        let cpu = Groups::of(root.path(), "0::/\n").cpu();
        assert_eq!(cpu, Some(Cpu { used: Duration::from_millis(2500), limit_cores: 1.5 }));
    }

    #[test]
    fn an_unlimited_container() {
        let root = groups(&[("memory.current", "5"), ("memory.max", "max\n"), ("cpu.max", "max 100000\n")]);
        assert_eq!(memory(&root, "0::/"), None);
        assert_eq!(Groups::of(root.path(), "0::/").cpu(), None);
    }

    #[test]
    fn a_limit_may_be_of_a_group_further_up() {
        let root = groups(&[
            ("system.slice/memory.current", "90"),
            ("system.slice/memory.max", "100"),
            ("system.slice/cpu.stat", "usage_usec 7"),
            ("system.slice/cpu.max", "50000 100000"),
            ("system.slice/ha.service/memory.current", "20"),
            ("system.slice/ha.service/memory.max", "40"),
            ("system.slice/ha.service/cpu.stat", "usage_usec 3"),
            ("system.slice/ha.service/cpu.max", "200000 100000"),
            ("system.slice/ha.service/inner/memory.max", "max"),
            ("other/memory.max", "1"),
        ]);
        let own = "12:cpu:/other\n0::/system.slice/ha.service/inner\n";
        // Nearest to its limit, not the smallest one.
        assert_eq!(memory(&root, own), Some((90, 100)));
        let cpu = Groups::of(root.path(), own).cpu().unwrap();
        assert_eq!((cpu.used, cpu.limit_cores), (Duration::from_micros(7), 0.5));
        assert_eq!(memory(&root, "0::/system.slice\n"), Some((90, 100)));
        assert_eq!(memory(&root, "0::/\n"), None);
    }

    #[test]
    fn a_path_that_is_not_seen_from_here_is_the_root() {
        let root = groups(&[("memory.current", "1"), ("memory.max", "2"), ("sub/memory.max", "9")]);
        for membership in ["0::/docker/0123", "0::/../sub", "", "9:memory:/sub"] {
            assert_eq!(memory(&root, membership), Some((1, 2)), "{membership}");
        }
    }

    #[test]
    fn no_container() {
        assert_eq!(memory(&groups(&[]), "0::/"), None);
        assert!(Groups::of(Path::new("/nonexistent"), "0::/").memory().is_none());
    }
}

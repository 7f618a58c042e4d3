//! How much memory does a process use, as the kernel counts it? Read from `/proc`, so on Linux only.

pub(crate) const MIB: u64 = 1 << 20;

/// Resident now.
pub(crate) fn resident(pid: u32) -> u64 {
    field(pid, "VmRSS:")
}

/// The most that was ever resident.
pub(crate) fn peak(pid: u32) -> u64 {
    field(pid, "VmHWM:")
}

fn field(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process of ours on Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of the kernel's");
    let kib = line.trim().strip_suffix("kB").map(str::trim).and_then(|kib| kib.parse::<u64>().ok());
    kib.expect("a number of KiB") * 1024
}

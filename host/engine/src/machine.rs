//! How much memory the process may have.

use std::{fs, path::Path};

/// Bytes of memory that the process may have: what the machine has, or less where a control group says so (version 2, and
/// the memory controller of version 1). None where the machine does not say, which is so elsewhere than on Linux.
pub(crate) fn memory() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(least(total_memory()?, &groups, Path::new("/sys/fs/cgroup")))
}

/// Bytes of memory that the machine has, where it says so (Linux).
#[must_use]
pub fn total_memory() -> Option<u64> {
    total(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

/// The least of what the machine has and what the control groups say that the process is in, of which `groups` is the list of
/// proc(5). Those that can't be read say nothing.
fn least(machine: u64, groups: &str, root: &Path) -> u64 {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next(), parts.next());
        let (root, file) = match controllers {
            Some("") => (root.to_owned(), "memory.max"),
            Some(controllers) if controllers.split(',').any(|one| one == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let group = Path::new(group.unwrap_or_default().trim_start_matches('/'));
        let limit = |group: &Path| {
            let text = fs::read_to_string(root.join(group).join(file)).ok()?;
            // Without a limit it says `max`.
            text.trim().parse::<u64>().ok()
        };
        group.ancestors().filter_map(limit).collect()
    });
    limits.fold(machine, u64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_is_said_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let least = |groups: &str| least(9_000, groups, root.path());
        write("memory.max", "max\n");
        write("system/memory.max", "6000\n");
        write("system/host/memory.max", "7000\n");
        write("memory/old/memory.limit_in_bytes", "8000\n");
        write("cpu/old/memory.limit_in_bytes", "1\n");
        for (groups, expected) in [
            ("", 9_000),
            ("0::/", 9_000),
            ("0::/system/host\n", 6_000),
            ("5:memory:/old\n4:cpu,cpuacct:/old\n", 8_000),
            ("5:hugetlb,memory:/old\n", 8_000),
            ("nonsense\n0::/gone", 9_000),
        ] {
            assert_eq!(least(groups), expected, "{groups}");
        }
    }

    #[test]
    fn a_machine_says_what_it_has() {
        assert_eq!(total("MemTotal:  2 kB\nMemFree: 1 kB"), Some(2_048));
        assert_eq!(total("MemTotal:  x kB"), None);
        #[cfg(target_os = "linux")]
        assert!(memory() > Some(1 << 20));
    }
}

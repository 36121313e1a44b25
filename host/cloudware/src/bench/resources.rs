//! What a server and its machine use while a bench runs: processor, memory, disk and network, each as a share
//! of what there is.

use std::{fs, path::Path, time::Instant};

use anyhow::{Context as _, Result};

use super::{
    figure::{Figure, Target},
    server::Server,
};

/// What a network link is taken to carry, where there is none to ask: a gigabit a second.
const LINK_BYTES_PER_SECOND: f64 = 125e6;

/// Largest shares that leave room for what is not planned, in percent.
const CPU_MAX: f64 = 70.0;
const OTHERS_MAX: f64 = 30.0;

/// A look at what was used so far.
pub(super) struct Meter<'a> {
    server: &'a Server,
    began: Instant,
    cpu_seconds: f64,
    disk: Option<String>,
    disk_busy_ms: Option<u64>,
    network_bytes: u64,
}

/// What was used between two looks, in percent.
pub(super) struct Shares {
    /// Of one core, which is what the server has.
    cpu: f64,
    /// Of the machine's memory, the most of it.
    memory: f64,
    /// Of the time; None where the disk of the folder is not known to the system.
    disk: Option<f64>,
    /// Of a gigabit link, in the direction with more.
    network: f64,
}

impl<'a> Meter<'a> {
    /// Looks for the first time. `data` is the server's folder.
    pub(super) fn begin(server: &'a Server, data: &Path) -> Result<Self> {
        let disk = disk_of(data)?;
        server.forget_peak();
        Ok(Self {
            server,
            began: Instant::now(),
            cpu_seconds: server.cpu_seconds()?,
            disk_busy_ms: disk.as_deref().and_then(busy_ms),
            disk,
            network_bytes: loopback_bytes()?,
        })
    }

    /// Looks again.
    pub(super) fn end(self) -> Result<Shares> {
        let seconds = self.began.elapsed().as_secs_f64();
        let busy = self.disk.as_deref().and_then(busy_ms);
        let disk = busy.zip(self.disk_busy_ms);
        let network = loopback_bytes()?.saturating_sub(self.network_bytes);
        Ok(Shares {
            cpu: (self.server.cpu_seconds()? - self.cpu_seconds) / seconds * 100.0,
            memory: self.server.peak_bytes()? as f64 / memory_bytes()? as f64 * 100.0,
            disk: disk.map(|(after, before)| {
                after.saturating_sub(before) as f64 / (seconds * 1_000.0) * 100.0
            }),
            network: network as f64 / seconds / LINK_BYTES_PER_SECOND * 100.0,
        })
    }
}

/// Figures of all rounds, each beside the largest share that is wanted.
pub(super) fn figures(bench: &'static str, during: &str, rounds: &[Shares]) -> Vec<Figure> {
    let figure = |what: &str, share: &dyn Fn(&Shares) -> f64, max| {
        let runs: Vec<f64> = rounds.iter().map(share).collect();
        Figure::new(bench, format!("{what}, {during}"), "%", &runs).target(Target::ValueAtMost(max))
    };
    let disk = if rounds.iter().all(|round| round.disk.is_some()) {
        figure(
            "disk, of the time",
            &|round| round.disk.unwrap_or_default(),
            OTHERS_MAX,
        )
    } else {
        let why = "the data folder is on no disk that /proc/diskstats knows";
        Figure::missing(bench, format!("disk, of the time, {during}"), "%", why)
    };
    vec![
        figure("processor, of one core", &|round| round.cpu, CPU_MAX),
        figure(
            "memory at its peak, of the machine",
            &|round| round.memory,
            OTHERS_MAX,
        ),
        disk,
        figure("network, of a gigabit", &|round| round.network, OTHERS_MAX),
    ]
}

/// The name of the disk that a folder is on, as `/proc/diskstats` has it.
fn disk_of(folder: &Path) -> Result<Option<String>> {
    let folder = folder
        .canonicalize()
        .with_context(|| format!("{} can't be read", folder.display()))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("the mounts can't be read")?;
    let disks = fs::read_to_string("/proc/diskstats").unwrap_or_default();
    Ok(device_of(&mounts, &folder).and_then(|device| disk_name(&disks, device)))
}

/// `major:minor` of what is mounted nearest above a folder.
fn device_of<'a>(mounts: &'a str, folder: &Path) -> Option<&'a str> {
    let mount = |line: &'a str| {
        // The device is the third word and the place the fifth (see proc(5)).
        let words: Vec<&str> = line.split_whitespace().take(5).collect();
        Some((*words.get(2)?, *words.get(4)?))
    };
    let above = mounts
        .lines()
        .filter_map(mount)
        .filter(|(_, place)| folder.starts_with(place));
    above
        .max_by_key(|(_, place)| place.len())
        .map(|(device, _)| device)
}

fn disk_name(disks: &str, device: &str) -> Option<String> {
    let (major, minor) = device.split_once(':')?;
    let is_it = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some(major) && words.next() == Some(minor)
    };
    let line = disks.lines().find(is_it)?;
    line.split_whitespace().nth(2).map(str::to_owned)
}

/// Milliseconds during which a disk had something to do.
fn busy_ms(disk: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/diskstats").ok()?;
    busy_ms_in(&text, disk)
}

fn busy_ms_in(text: &str, disk: &str) -> Option<u64> {
    let of_disk = |line: &&str| line.split_whitespace().nth(2) == Some(disk);
    let line = text.lines().find(of_disk)?;
    // The tenth number behind the name (see the kernel's iostats).
    line.split_whitespace().nth(12)?.parse().ok()
}

/// Bytes that went through the machine's own link so far; what one end sends, the other receives.
fn loopback_bytes() -> Result<u64> {
    let text = fs::read_to_string("/proc/net/dev").context("/proc/net/dev can't be read")?;
    received_bytes(&text, "lo").context("/proc/net/dev does not know `lo`")
}

fn received_bytes(text: &str, link: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, numbers) = lines.find(|(name, _)| name.trim() == link)?;
    numbers.split_whitespace().next()?.parse().ok()
}

fn memory_bytes() -> Result<u64> {
    cloudware_engine::total_memory().context("/proc/meminfo does not say MemTotal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_where_the_kernel_writes_them() {
        let disks =
            " 254 0 vda 1 2 3 4 5 6 7 8 9 1234 11 0 0 0 0 0 0\n 254 1 vdb 1 2 3 4 5 6 7 8 9 10";
        assert_eq!(busy_ms_in(disks, "vda"), Some(1_234));
        assert_eq!(busy_ms_in(disks, "vdc"), None);
        let mounts = "1 0 254:0 / / rw - ext4 /dev/vda rw\n2 1 254:1 / /srv rw - ext4 /dev/vdb rw";
        let device = device_of(mounts, Path::new("/srv/data")).unwrap();
        assert_eq!(disk_name(disks, device).as_deref(), Some("vdb"));
        assert_eq!(device_of(mounts, Path::new("/srv2")), Some("254:0"));
        assert_eq!(disk_name(disks, "7:0"), None);
        let links = "Inter-|   Receive\n face |bytes\n    lo: 4321 5 0 0\n  eth0:77 1";
        assert_eq!(received_bytes(links, "lo"), Some(4_321));
        assert_eq!(received_bytes(links, "eth0"), Some(77));
    }
}

//! The machine that a bench runs on: what it is, and which core does what.

use std::fs;

use anyhow::{Context as _, Result};

/// Which cores servers and load run on. On a machine with one core they share it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    /// All servers.
    pub(super) server: usize,
    /// The load generator, and benches without servers.
    pub(super) load: usize,
}

impl Cores {
    /// The first two cores that this process may use.
    pub(super) fn of_this_process() -> Result<Self> {
        let mut cores = affinity::allowed()?.into_iter();
        let server = cores.next().context("there is no core to run on")?;
        Ok(Self {
            server,
            load: cores.next().unwrap_or(server),
        })
    }

    /// Whether servers and load share a core, which makes figures of servers meaningless.
    pub(super) fn shared(self) -> bool {
        self.server == self.load
    }
}

/// Runs `work` on a thread of its own that stays on one core; what it starts inherits that.
pub(super) fn pinned<T: Send>(core: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            affinity::keep_on(core)
                .with_context(|| format!("a thread can't be kept on core {core}"))?;
            Ok(work())
        });
        match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Has this thread go before everything else that wants its core, which takes root or `CAP_SYS_NICE`. For a load
/// generator that sleeps while nothing is due: what else a machine does would now and then keep it from running for
/// milliseconds, and the server would be blamed for them. One that never sleeps would be held back by the system
/// for a twentieth of each second.
///
/// # Errors
/// The system does not allow it; the thread goes on as before.
pub(super) fn go_first() -> Result<()> {
    affinity::go_first()
}

#[cfg(target_os = "linux")]
mod affinity {
    use anyhow::{Context as _, Result, anyhow};
    use nix::{
        sched::{CpuSet, sched_getaffinity, sched_setaffinity},
        unistd::Pid,
    };
    use thread_priority::{
        RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };

    const THIS_THREAD: Pid = Pid::from_raw(0);

    /// The cores that this thread may run on, in order.
    pub(super) fn allowed() -> Result<Vec<usize>> {
        let set = sched_getaffinity(THIS_THREAD).context("the cores can't be listed")?;
        let allowed = |core: &usize| set.is_set(*core).unwrap_or(false);
        Ok((0..CpuSet::count()).filter(allowed).collect())
    }

    /// Keeps this thread on one core.
    pub(super) fn keep_on(core: usize) -> Result<()> {
        let mut only = CpuSet::new();
        only.set(core)?;
        Ok(sched_setaffinity(THIS_THREAD, &only)?)
    }

    /// Gives this thread the least of the priorities above all ordinary ones (`SCHED_FIFO`, see sched(7)).
    pub(super) fn go_first() -> Result<()> {
        let policy = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
            .map_err(|error| anyhow!("{error}"))
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    use anyhow::{Result, bail};

    const WHY: &str =
        "benches need Linux: they keep servers and load on cores of their own and read /proc";

    /// Refuses.
    pub(super) fn allowed() -> Result<Vec<usize>> {
        bail!(WHY)
    }

    /// Refuses.
    pub(super) fn keep_on(_core: usize) -> Result<()> {
        bail!(WHY)
    }

    /// Refuses.
    pub(super) fn go_first() -> Result<()> {
        bail!(WHY)
    }
}

/// Lets this process, and the servers that it starts, have so many files and sockets open.
pub(super) fn allow_open_files(count: u64) -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft >= count {
        return Ok(());
    }
    anyhow::ensure!(
        hard >= count,
        "the bench needs {count} open files and the system allows this process {hard}: raise the hard limit \
         (`ulimit -Hn`)"
    );
    Ok(setrlimit(Resource::RLIMIT_NOFILE, count, hard)?)
}

/// One line about the machine and this binary.
pub(super) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    format!(
        "machine: {cores} cores, {}, Linux {}; cloudware {} built with profile `{}`",
        cpu_model(&cpuinfo).unwrap_or("unknown processor"),
        kernel.trim(),
        env!("CARGO_PKG_VERSION"),
        env!("BUILT_PROFILE"),
    )
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_sees_one_core_and_leaves_the_caller_alone() {
        let before = affinity::allowed().unwrap();
        let cores = Cores::of_this_process().unwrap();
        let inside = pinned(cores.load, || affinity::allowed().unwrap()).unwrap();
        assert_eq!(inside, [cores.load]);
        assert_eq!(affinity::allowed().unwrap(), before);
    }

    #[test]
    fn the_model_is_read_from_the_first_processor() {
        let text = "processor\t: 0\nmodel name\t: Example CPU @ 2 GHz\nprocessor\t: 1\n";
        assert_eq!(cpu_model(text), Some("Example CPU @ 2 GHz"));
        assert_eq!(cpu_model("processor : 0"), None);
    }
}

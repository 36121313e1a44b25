//! Servers as child processes: started, watched until they are ready, measured from outside, and ended
//! together with whatever they started themselves.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::machine;

/// Lines of a server's output that are kept for an error message.
const LINES_KEPT: usize = 30;

/// Bytes of a line that are read.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// How long a server may take to end when it is asked to.
const STOP_MAX: Duration = Duration::from_secs(15);

/// How often a server that ends is looked at.
const STOP_LOOK: Duration = Duration::from_millis(5);

/// What `/proc` counts processor time in. The same on every architecture for this interface.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server that runs; ended when dropped.
pub(super) struct Server {
    name: String,
    child: Child,
    group: Pid,
}

/// How to start a server.
pub(super) struct Launch<'a, T> {
    /// Its name in messages.
    pub(super) name: &'a str,
    /// The command line.
    pub(super) command: Command,
    /// The core that it is kept on, if on one.
    pub(super) core: Option<usize>,
    /// What a line of its output says when it is ready.
    pub(super) ready: fn(&str) -> Option<T>,
    /// How long it may take.
    pub(super) within: Duration,
}

impl<T> Launch<'_, T> {
    /// Starts the server and waits until it is ready. Gives what its line said, and how long it took.
    pub(super) fn start(mut self) -> Result<(Server, T, Duration)> {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let began = Instant::now();
        let mut command = self.command;
        let spawned = match self.core {
            Some(core) => machine::pinned(core, || command.spawn())?,
            None => command.spawn(),
        };
        let mut child = spawned.with_context(|| format!("{} can't be started", self.name))?;
        let group = i32::try_from(child.id()).context("a process id fits")?;
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (lines, heard) = mpsc::channel();
        let stdout = child.stdout.take().context("standard output was piped")?;
        let stderr = child.stderr.take().context("standard error was piped")?;
        follow(stdout, lines.clone(), Arc::clone(&kept));
        follow(stderr, lines, Arc::clone(&kept));
        let server = Server {
            name: self.name.to_owned(),
            child,
            group: Pid::from_raw(group),
        };
        loop {
            let left = self.within.saturating_sub(began.elapsed());
            match heard.recv_timeout(left) {
                Ok(line) => {
                    if let Some(ready) = (self.ready)(&line) {
                        return Ok((server, ready, began.elapsed()));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} ended before it was ready:\n{}", self.name, text(&kept))
                }
                Err(RecvTimeoutError::Timeout) => bail!(
                    "{} was not ready within {} s:\n{}",
                    self.name,
                    self.within.as_secs(),
                    text(&kept)
                ),
            }
        }
    }
}

/// Reads lines to their end on a thread of its own, so that the server never waits for a reader.
fn follow(
    stream: impl Read + Send + 'static,
    lines: Sender<String>,
    kept: Arc<Mutex<VecDeque<String>>>,
) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        loop {
            let mut bytes = Vec::new();
            let read = (&mut reader)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut bytes);
            if !matches!(read, Ok(count) if count > 0) {
                return;
            }
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if let Ok(mut kept) = kept.lock() {
                if kept.len() == LINES_KEPT {
                    kept.pop_front();
                }
                kept.push_back(line.clone());
            }
            // Nobody listens any more once the server is ready.
            let _ = lines.send(line);
        }
    });
}

fn text(kept: &Mutex<VecDeque<String>>) -> String {
    let Ok(kept) = kept.lock() else {
        return String::new();
    };
    let lines: Vec<&str> = kept.iter().map(String::as_str).collect();
    lines.join("\n")
}

impl Server {
    /// Processor seconds that the server and its own children have used so far.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let mut ticks = 0;
        for entry in fs::read_dir("/proc").context("/proc can't be read")? {
            let stat = entry?.path().join("stat");
            // A process may end while it is looked at; what is no process has no such file.
            let Some(stat) = fs::read_to_string(stat)
                .ok()
                .and_then(|text| Stat::read(&text))
            else {
                continue;
            };
            if stat.group == self.group.as_raw() {
                ticks += stat.ticks;
            }
        }
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    /// Bytes of memory that the server itself occupies.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        let status = self.status()?;
        bytes_of(&status, "VmRSS:").context("the system does not say VmRSS of the server")
    }

    /// The most that it has occupied since [`Self::forget_peak`].
    pub(super) fn peak_bytes(&self) -> Result<u64> {
        let status = self.status()?;
        bytes_of(&status, "VmHWM:").context("the system does not say VmHWM of the server")
    }

    /// Lets the peak begin anew. Where the system refuses, it goes on from the start of the server.
    pub(super) fn forget_peak(&self) {
        // What "5" does is in proc(5).
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
    }

    fn status(&self) -> Result<String> {
        let path = format!("/proc/{}/status", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("{} has ended", self.name))
    }

    /// Asks the server to end and waits for it.
    pub(super) fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        // The group may have ended by itself in between.
        let _ = killpg(self.group, Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < STOP_MAX {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(STOP_LOOK);
        }
        let _ = killpg(self.group, Signal::SIGKILL);
        self.child.wait()?;
        bail!(
            "{} did not end within {} s of being asked to",
            self.name,
            STOP_MAX.as_secs()
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What could not be ended properly was killed; there is nobody to tell.
        let _ = self.end();
    }
}

/// What a line of `/proc/<pid>/stat` says.
#[derive(Debug, PartialEq)]
struct Stat {
    group: i32,
    ticks: u64,
}

impl Stat {
    fn read(line: &str) -> Option<Self> {
        // The name may have spaces and brackets; what follows its last bracket has not. The fields after
        // it are numbered from 3 in proc(5): the group is 5, user and system time are 14 and 15.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let time = |number| field(number)?.parse::<u64>().ok();
        Some(Self {
            group: field(5)?.parse().ok()?,
            ticks: time(14)? + time(15)?,
        })
    }
}

/// A number of bytes in `/proc/<pid>/status`, by the beginning of its line.
fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell<T>(script: &str, ready: fn(&str) -> Option<T>, within: Duration) -> Launch<'_, T> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Launch {
            name: "a script",
            command,
            core: None,
            ready,
            within,
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    fn port(line: &str) -> Option<u16> {
        line.strip_prefix("port ")?.parse().ok()
    }

    #[test]
    fn a_server_is_ready_when_it_says_so_and_ends_with_its_children() {
        let script = "echo starting >&2; sleep 600 & echo child $!; echo port 12; wait";
        let (server, port, _) = shell(script, port, LONG).start().unwrap();
        assert_eq!(port, 12);
        let resident = server.resident_bytes().unwrap();
        assert!(resident > 0 && server.peak_bytes().unwrap() >= resident);
        assert!(server.cpu_seconds().unwrap() >= 0.0);
        let group = server.group;
        server.stop().unwrap();
        // The orphan is reaped by the system at some time; a signal reaches nobody after that.
        let gone = Instant::now();
        while killpg(group, None).is_ok() {
            assert!(gone.elapsed() < LONG, "the group is still there");
            thread::yield_now();
        }
    }

    #[test]
    fn a_server_that_fails_is_quoted() {
        let failed = shell("echo no such option >&2; exit 3", port, LONG).start();
        let text = failed.err().unwrap().to_string();
        assert!(
            text.contains("a script ended") && text.contains("no such option"),
            "{text}"
        );
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up() {
        let silent = shell("sleep 600", port, Duration::from_millis(50)).start();
        let text = silent.err().unwrap().to_string();
        assert!(text.contains("was not ready"), "{text}");
    }

    #[test]
    fn fields_are_counted_behind_the_name() {
        let line = "7 (a ) name) S 1 42 42 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 1 0 5 6 7";
        let stat = Stat::read(line);
        assert_eq!(
            stat,
            Some(Stat {
                group: 42,
                ticks: 200
            })
        );
        assert_eq!(Stat::read("7 (short) S 1"), None);
        let status = "VmPeak:\t  90 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(bytes_of(status, "VmRSS:"), Some(2_097_152));
        assert_eq!(bytes_of("VmPeak: 1 kB", "VmRSS:"), None);
    }
}

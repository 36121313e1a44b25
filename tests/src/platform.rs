//! A platform that runs as a process of its own, with its own data and port.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use http::header;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
    time::timeout,
};

use crate::{Binary, Http};

/// How long a start may take. Two orders of magnitude more than it takes when the machine is free.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// How long a process that was told to stop may take; the host drains for 20 s at most.
const STOPPED_WITHIN: Duration = Duration::from_secs(40);

/// How a platform is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Further arguments of `cloudware up`.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub variables: Vec<(String, String)>,
    /// Whether its log goes to a pipe that nobody reads.
    pub is_log_unread: bool,
    /// How long it may take until it is ready.
    pub ready_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            arguments: Vec::new(),
            variables: Vec::new(),
            is_log_unread: false,
            ready_within: READY_WITHIN,
        }
    }
}

/// A platform. Dropping it kills the process and deletes its data.
pub struct Platform {
    binary: Binary,
    options: Options,
    folder: TempDir,
    process: Child,
    ready: Value,
    ready_after: Duration,
}

impl Platform {
    /// Starts a platform without any content.
    ///
    /// # Panics
    /// With its log where it does not become ready.
    pub async fn start(binary: Binary) -> Self {
        Self::start_with(binary, Options::default()).await
    }

    /// As [`Platform::start`], in another way.
    ///
    /// # Panics
    /// As [`Platform::start`].
    pub async fn start_with(binary: Binary, options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (process, ready, ready_after) = spawn(binary, &options, folder.path()).await;
        Self {
            binary,
            options,
            folder,
            process,
            ready,
            ready_after,
        }
    }

    /// The executable.
    #[must_use]
    pub fn binary(&self) -> Binary {
        self.binary
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data(self.folder.path())
    }

    /// What the platform announced.
    #[must_use]
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// From the start of the process to the announcement.
    #[must_use]
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// The base address.
    #[must_use]
    pub fn address(&self) -> String {
        self.ready["api"].as_str().unwrap_or_default().to_owned()
    }

    /// The socket that it listens on.
    ///
    /// # Panics
    /// Where it announced none.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        let address = self.address();
        let address = address.trim_start_matches("http://").parse();
        address.expect("the announced address has a host and a port")
    }

    /// The operator's token.
    #[must_use]
    pub fn operator(&self) -> String {
        let token = &self.ready["tokens"]["operator"];
        token.as_str().unwrap_or_default().to_owned()
    }

    /// The API, as the operator.
    #[must_use]
    pub fn api(&self) -> Http {
        Http::new(self.address())
            .under("/api/v1")
            .with_token(&self.operator())
    }

    /// A tenant's site by host name, at a mount: `site("acme", "/stock")`.
    #[must_use]
    pub fn site(&self, label: &str, mount: &str) -> Http {
        let host = format!("{label}.localhost:{}", self.socket().port());
        Http::new(self.address())
            .under(mount)
            .with_header(header::HOST, &host)
    }

    /// An instance's site by path, at a mount: `path_site("acme/main", "/stock")`.
    #[must_use]
    pub fn path_site(&self, instance: &str, mount: &str) -> Http {
        Http::new(self.address()).under(&format!("/t/{instance}{mount}"))
    }

    /// The id of the process.
    ///
    /// # Panics
    /// Where it has ended.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id().expect("the platform runs")
    }

    /// What the process keeps in memory at the moment, in bytes.
    ///
    /// # Panics
    /// Where the system does not say.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most that the process has ever kept in memory, in bytes.
    ///
    /// # Panics
    /// Where the system does not say.
    #[must_use]
    pub fn resident_bytes_max(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Whether the kernel may give the process memory in large pages.
    ///
    /// # Panics
    /// Where the system does not say.
    #[must_use]
    pub fn may_have_large_pages(&self) -> bool {
        self.status("THP_enabled:") != "0"
    }

    /// Lets no file of the process grow beyond so many bytes, as if the disk were full there; `None` for as
    /// many as the system allows.
    ///
    /// # Panics
    /// Where the system refuses.
    pub fn limit_file_bytes(&self, bytes_max: Option<u64>) {
        let id = i32::try_from(self.process_id())
            .ok()
            .and_then(Pid::from_raw);
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit {
            current: bytes_max.or(maximum),
            maximum,
        };
        prlimit(id, Resource::Fsize, limit).expect("our own process can be limited");
    }

    /// Processor time that the process has had, to 10 ms.
    ///
    /// # Panics
    /// Where the process is gone.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let path = format!("/proc/{}/stat", self.process_id());
        let stat = fs::read_to_string(path).expect("the system describes its processes");
        // Fields after the name, which may have spaces, are numbered from 3 in proc(5): user and system time are 14 and 15.
        let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
        let times = fields.split_whitespace().skip(14 - 3).take(2);
        let ticks: u64 = times
            .map(|time| time.parse::<u64>().expect("a number"))
            .sum();
        // Whatever the kernel's own ticks are, what it tells is in hundredths of a second.
        Duration::from_millis(ticks * 10)
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let kibibytes = self.status(name).parse::<u64>();
        kibibytes.expect("memory is a number") * 1024
    }

    /// The first word of a line in the system's description of the process.
    fn status(&self, name: &str) -> String {
        let path = format!("/proc/{}/status", self.process_id());
        let status = fs::read_to_string(path).expect("the system describes its processes");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.expect("the description has it").to_owned()
    }

    /// Everything that the platform has written to standard error, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// Reads the log that nobody has read, until a line has this text.
    ///
    /// # Panics
    /// Where it was not started so, or does not write such a line in time.
    pub async fn read_log_until(&mut self, text: &str) {
        let log = self.process.stderr.as_mut().expect("it is piped");
        let mut lines = BufReader::new(log).split(b'\n');
        let found = timeout(STOPPED_WITHIN, async {
            while let Ok(Some(line)) = lines.next_segment().await {
                if String::from_utf8_lossy(&line).contains(text) {
                    return true;
                }
            }
            false
        });
        assert!(matches!(found.await, Ok(true)), "no line has `{text}`");
    }

    /// Sends SIGTERM and does not wait.
    ///
    /// # Panics
    /// Where it has ended already.
    pub fn ask_to_stop(&self) {
        let id = i32::try_from(self.process_id())
            .ok()
            .and_then(Pid::from_raw);
        let id = id.expect("a process has a positive id");
        kill_process(id, Signal::TERM).expect("our own process can be signalled");
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Panics
    /// With its log where it does not.
    pub async fn stopped(&mut self) -> ExitStatus {
        match timeout(STOPPED_WITHIN, self.process.wait()).await {
            Ok(status) => status.expect("our own process can be waited for"),
            Err(_) => panic!("it does not stop:\n{}", self.log()),
        }
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// With its log where it does not end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.stopped().await
    }

    /// Sends SIGKILL: the process ends where it stands.
    ///
    /// # Panics
    /// Where it has ended already.
    pub async fn kill9(&mut self) {
        self.process
            .kill()
            .await
            .expect("our own process can be killed");
    }

    /// Starts again on the same data after an end.
    ///
    /// # Panics
    /// With its log where it does not become ready.
    pub async fn restart(&mut self) {
        let (process, ready, ready_after) =
            spawn(self.binary, &self.options, self.folder.path()).await;
        self.process = process;
        self.ready = ready;
        self.ready_after = ready_after;
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log(folder: &Path) -> String {
    let bytes = fs::read(folder.join("stderr")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn spawn(binary: Binary, options: &Options, folder: &Path) -> (Child, Value, Duration) {
    let stderr = match options.is_log_unread {
        true => Stdio::piped(),
        false => fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("stderr"))
            .expect("our own folder can be written")
            .into(),
    };
    let started = Instant::now();
    let mut process = binary
        .command()
        .args([
            "up",
            "--listen",
            "127.0.0.1:0",
            "--output",
            "json",
            "--data",
        ])
        .arg(data(folder))
        .args(&options.arguments)
        .envs(options.variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("the binary can be run");
    let stdout = process.stdout.take().expect("it is piped");
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    let read = timeout(options.ready_within, reader.read_line(&mut line)).await;
    let ready = match read {
        Ok(Ok(1..)) => serde_json::from_str(&line).ok(),
        _ => None,
    };
    match ready {
        Some(ready) => (process, ready, started.elapsed()),
        None => panic!("the platform did not become ready: {line}\n{}", log(folder)),
    }
}

//! Runs compilers and installers: their output feeds the progress line, and is shown where they fail.

use std::{collections::VecDeque, ffi::OsStr, io, path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context as _, Result, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::Command,
};

use super::progress::Step;

/// Lines of a failed program that are shown. A compiler's errors come last.
const LINES_KEPT: usize = 200;

/// Bytes of one line that are kept.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// Bytes of standard output that are kept for the caller.
const STDOUT_BYTES_MAX: u64 = 32 << 20;

/// Variables that a surrounding cargo sets for its own build and that would change a guest's.
const CARGO_VARIABLES: &[&str] = &[
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTFLAGS",
];

/// A program to run, without the variables of a surrounding cargo.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in CARGO_VARIABLES {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// A program that is not installed (`install` says what to do), or that fails: then with the end of
/// what it said.
pub(crate) async fn run(mut command: Command, install: &str, step: &Step) -> Result<String> {
    let name = program(&command);
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("`{name}` is not installed. {install}")
        }
        Err(error) => return Err(error).with_context(|| format!("`{name}` can't be started")),
    };
    let stdout = child.stdout.take().expect("standard output was piped");
    let stderr = child.stderr.take().expect("standard error was piped");
    let mut text = Vec::new();
    let (said, read) = tokio::join!(follow(stderr, step), async {
        stdout.take(STDOUT_BYTES_MAX).read_to_end(&mut text).await
    });
    read.with_context(|| format!("the output of `{name}` can't be read"))?;
    let status = child
        .wait()
        .await
        .with_context(|| format!("`{name}` can't be waited for"))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    if status.success() {
        return Ok(text);
    }
    let mut lines = said;
    if lines.is_empty() {
        lines.extend(text.lines().map(str::to_owned));
    }
    let shown: Vec<_> = lines.into_iter().collect();
    bail!("`{name}` failed ({status}):\n{}", shown.join("\n"))
}

/// As [`run`], for programs that wait for a network which may not be there.
pub(crate) async fn run_within(
    limit: Duration,
    command: Command,
    install: &str,
    step: &Step,
) -> Result<String> {
    let name = program(&command);
    match tokio::time::timeout(limit, run(command, install, step)).await {
        Ok(result) => result,
        Err(_) => bail!("`{name}` did not finish within {} seconds", limit.as_secs()),
    }
}

/// Reads lines until the end and keeps the last ones.
async fn follow(stream: impl AsyncRead + Unpin, step: &Step) -> VecDeque<String> {
    let mut reader = BufReader::new(stream);
    let mut kept = VecDeque::new();
    loop {
        let mut line = Vec::new();
        // An error here only loses text; the program's status still tells how it ended.
        let read = (&mut reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await;
        if !matches!(read, Ok(count) if count > 0) {
            return kept;
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        step.detail(line.trim());
        if kept.len() == LINES_KEPT {
            kept.pop_front();
        }
        kept.push_back(line);
    }
}

fn program(command: &Command) -> String {
    PathBuf::from(command.as_std().get_program())
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

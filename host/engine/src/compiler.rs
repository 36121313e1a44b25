//! Compiling in a process of its own, with bounds on its time and memory. What a component costs to compile
//! can't be told from its size: a few kilobytes can take minutes and gigabytes, and a compilation can't be
//! interrupted. A process can.

use std::{
    io::{Read, Write},
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::timeout,
};

use crate::{
    CodeError, EngineConfig, SandboxAllocation,
    code::Wasi,
    limits::{
        COMPILE_MESSAGE_BYTES_MAX, COMPILE_NICENESS, COMPILE_WALL_PER_CPU, COMPILED_BYTES_MAX,
    },
    runtime::wasmtime_engine,
};

/// Where components are compiled.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// In this process, without a bound: for tools that compile what their user wrote.
    Here,
    /// In a process started for each component: `program`, with these arguments and the settings as one
    /// more, must call [`compile_for_parent`].
    Process {
        /// The executable.
        program: PathBuf,
        /// Its arguments before the settings.
        arguments: Vec<String>,
    },
}

/// What a compiling process is told.
#[derive(Serialize, Deserialize)]
struct Settings {
    engine: EngineConfig,
    wasi: Wasi,
}

impl Compiler {
    /// The compiled form of a component.
    pub(crate) async fn compile(
        &self,
        config: &EngineConfig,
        wasi: Wasi,
        component: bytes::Bytes,
    ) -> Result<Vec<u8>, CodeError> {
        // A pool of sandboxes would be memory that nobody uses; the code is the same.
        let config = &EngineConfig {
            allocation: SandboxAllocation::OnDemand,
            ..config.clone()
        };
        match self {
            Self::Here => {
                let config = config.clone();
                let compiled = tokio::task::spawn_blocking(move || {
                    wasmtime_engine(&config, wasi)?.precompile_component(&component)
                });
                let compiled = compiled.await.map_err(|error| died(&error.to_string()))?;
                compiled.map_err(|error| CodeError::Invalid(format!("{error:#}")))
            }
            Self::Process { program, arguments } => {
                let settings = Settings {
                    engine: config.clone(),
                    wasi,
                };
                let settings = serde_json::to_string(&settings).expect("settings are plain data");
                let child = Command::new(program)
                    .args(arguments)
                    .arg(settings)
                    .env_clear()
                    // An allocator that takes a gibibyte at once would use up the bound by that alone.
                    .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn()
                    .map_err(|error| died(&format!("it can't be started: {error}")))?;
                let seconds = config.compile_seconds_max;
                // Dropping the child, as happens when the time is over, ends it.
                let wall =
                    std::time::Duration::from_secs(u64::from(seconds)) * COMPILE_WALL_PER_CPU;
                match timeout(wall, converse(child, &component)).await {
                    Ok(Ok(ended)) => ended.compiled(config),
                    Ok(Err(error)) => Err(died(&error.to_string())),
                    Err(_) => Err(too_costly(config)),
                }
            }
        }
    }
}

/// How a compiling process has ended.
struct Ended {
    status: ExitStatus,
    compiled: Vec<u8>,
    message: Vec<u8>,
}

async fn converse(mut child: Child, component: &[u8]) -> std::io::Result<Ended> {
    let mut stdin = child.stdin.take().expect("it is piped");
    let stdout = child.stdout.take().expect("it is piped");
    let stderr = child.stderr.take().expect("it is piped");
    let (mut compiled, mut message) = (Vec::new(), Vec::new());
    let mut stdout = stdout.take(COMPILED_BYTES_MAX);
    let mut stderr = stderr.take(COMPILE_MESSAGE_BYTES_MAX);
    let write = async {
        // One that ends before it has read everything says why by its status.
        let _ = stdin.write_all(component).await;
        drop(stdin);
        Ok(())
    };
    tokio::try_join!(
        write,
        stdout.read_to_end(&mut compiled),
        stderr.read_to_end(&mut message)
    )?;
    // A process that goes on writing beyond the bounds gets a broken pipe.
    drop((stdout, stderr));
    Ok(Ended {
        status: child.wait().await?,
        compiled,
        message,
    })
}

impl Ended {
    fn compiled(self, config: &EngineConfig) -> Result<Vec<u8>, CodeError> {
        match self.status.code() {
            Some(0) => Ok(self.compiled),
            Some(REFUSED) => {
                let message = String::from_utf8_lossy(&self.message);
                Err(CodeError::Invalid(message.trim().to_owned()))
            }
            Some(PANICKED) => Err(CodeError::Invalid(
                "the compiler does not know what to make of it".to_owned(),
            )),
            Some(_) => Err(died(String::from_utf8_lossy(&self.message).trim())),
            // A signal: out of time, or out of memory.
            None => Err(too_costly(config)),
        }
    }
}

fn too_costly(config: &EngineConfig) -> CodeError {
    CodeError::TooCostly {
        seconds: config.compile_seconds_max,
        bytes: config.compile_memory_bytes_max,
    }
}

fn died(reason: &str) -> CodeError {
    CodeError::Compiler(reason.to_owned())
}

/// The exit code for a component that is not valid; the reason is on standard error.
const REFUSED: i32 = 3;

/// The exit code of a Rust program that panics: a defect of the compiler, met by this component alone.
const PANICKED: i32 = 101;

/// The other side of [`Compiler::Process`]: bounds this process, reads a component from standard input,
/// writes its compiled form to standard output, and gives the exit code. `settings` is the last argument.
/// To be called early: what runs besides runs under the same bounds.
#[must_use]
pub fn compile_for_parent(settings: &str) -> u8 {
    match compile_bounded(settings) {
        Ok(()) => 0,
        Err((code, reason)) => {
            let _ = writeln!(std::io::stderr(), "{reason}");
            code
        }
    }
}

fn compile_bounded(settings: &str) -> Result<(), (u8, String)> {
    let internal = |reason: &dyn std::fmt::Display| (1, reason.to_string());
    let settings: Settings = serde_json::from_str(settings).map_err(|error| internal(&error))?;
    let config = &settings.engine;
    let bound = |resource, max: u64| {
        let limit = Rlimit {
            current: Some(max),
            maximum: Some(max),
        };
        setrlimit(resource, limit).map_err(|error| internal(&error))
    };
    bound(Resource::Core, 0)?;
    bound(Resource::Cpu, u64::from(config.compile_seconds_max))?;
    // Address space that is only reserved is not counted.
    bound(Resource::Data, config.compile_memory_bytes_max)?;
    // Requests come first; where the system does not let us say so, they share.
    let _ = nice(COMPILE_NICENESS);
    let mut component = Vec::new();
    let read = std::io::stdin().read_to_end(&mut component);
    read.map_err(|error| internal(&error))?;
    let engine = wasmtime_engine(config, settings.wasi).map_err(|error| internal(&error))?;
    let compiled = engine.precompile_component(&component);
    let refused = u8::try_from(REFUSED).unwrap_or(u8::MAX);
    let compiled = compiled.map_err(|error| (refused, format!("{error:#}")))?;
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(&compiled).and_then(|()| stdout.flush());
    written.map_err(|error| internal(&error))
}

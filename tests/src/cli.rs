//! The command line, as people and scripts use it.

use std::{path::Path, process::Stdio};

use serde_json::Value;

use crate::{Binary, Platform};

/// Runs commands against one platform, or none.
#[derive(Clone, Debug)]
pub struct Cli {
    binary: Binary,
    variables: Vec<(String, String)>,
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What was run.
    pub command: String,
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Cli {
    /// Commands without a platform.
    #[must_use]
    pub fn new(binary: Binary) -> Self {
        Self {
            binary,
            variables: Vec::new(),
        }
    }

    /// Commands of the operator on the machine of a platform: they find address and token in the data
    /// folder.
    #[must_use]
    pub fn of(platform: &Platform) -> Self {
        Self::new(platform.binary()).with("CLOUDWARE_DATA", &platform.data().display().to_string())
    }

    /// The same with another environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another access token.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        self.with("CLOUDWARE_TOKEN", token)
    }

    /// Runs a command, written as in a shell without quoting.
    ///
    /// # Panics
    /// Where the binary can't be run.
    pub async fn run(&self, line: &str) -> Ran {
        self.run_in(Path::new("."), line).await
    }

    /// As [`Cli::run`], in a folder.
    ///
    /// # Panics
    /// Where the binary can't be run.
    pub async fn run_in(&self, folder: &Path, line: &str) -> Ran {
        let mut command = self.binary.command();
        command
            .args(line.split_whitespace())
            .current_dir(folder)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        let output = command.output().await.expect("the binary can be run");
        Ran {
            command: line.to_owned(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a command that must succeed, and gives its JSON output.
    ///
    /// # Panics
    /// Where it fails or prints no JSON.
    pub async fn json(&self, line: &str) -> Value {
        let ran = self.run(&format!("{line} --output json")).await.ok();
        match serde_json::from_str(&ran.stdout) {
            Ok(value) => value,
            Err(error) => panic!("`{line}` printed no JSON ({error}): {}", ran.stdout),
        }
    }
}

impl Ran {
    /// The command itself where it has succeeded.
    ///
    /// # Panics
    /// With all its output where it has failed.
    #[track_caller]
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(
            self.code,
            Some(0),
            "`cloudware {}`\n{}{}",
            self.command,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The message of a command that must have failed with this code, and whose message must have all of
    /// these words.
    ///
    /// # Panics
    /// Where it succeeded, or failed in another way.
    #[track_caller]
    pub fn refused(&self, code: i32, words: &[&str]) -> &str {
        let told = format!(
            "`cloudware {}`\n{}{}",
            self.command, self.stdout, self.stderr
        );
        assert_eq!(self.code, Some(code), "{told}");
        for word in words {
            assert!(
                self.stderr.contains(word),
                "`{word}` is not in the message of {told}"
            );
        }
        assert!(!self.stderr.contains("panicked"), "{told}");
        &self.stderr
    }
}

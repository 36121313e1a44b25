//! The binary under test.

use std::path::{Path, PathBuf};

use tokio::process::Command;

/// Variables that say where tools are, which a test run may need; every other `CLOUDWARE_…` variable
/// of the surroundings would change what is tested.
const KEPT_VARIABLES: &[&str] = &["CLOUDWARE_CACHE_DIR", "CLOUDWARE_GUEST_TOOLCHAIN"];

/// The executable.
#[derive(Clone, Copy, Debug)]
pub struct Binary(&'static str);

impl Binary {
    /// The executable at a path.
    #[must_use]
    pub const fn at(path: &'static str) -> Self {
        Self(path)
    }

    /// Its path.
    #[must_use]
    pub fn path(self) -> &'static Path {
        Path::new(self.0)
    }

    /// A command that runs it with no configuration from the surroundings. The process ends with the
    /// test.
    #[must_use]
    pub fn command(self) -> Command {
        let mut command = Command::new(self.0);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CLOUDWARE_") && !KEPT_VARIABLES.contains(&&*text) {
                command.env_remove(&name);
            }
        }
        command.kill_on_drop(true);
        command
    }

    /// The folder where test runs keep what they build, shared by all of them.
    #[must_use]
    pub fn cache(self) -> PathBuf {
        let target = self.path().ancestors().nth(2);
        target
            .expect("the binary lies in target/<profile>")
            .join("e2e")
    }
}

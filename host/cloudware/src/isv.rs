//! What ISVs do with packages: `new` makes a project, `build` makes its archive, `check` says what a
//! platform would say about it, `test` tries what it does, `push` sends it to one.
//!
//! Each command is a struct of arguments with `run`; [`build_package`] is what `build` does, for
//! whoever needs an archive without a command line. Compilers run as child processes; what they
//! need is set up in a private folder of the user's cache, once.

mod build;
mod cache;
mod check;
mod context;
mod javascript;
mod new;
mod process;
mod progress;
mod project;
mod push;
mod python;
mod recorded;
mod replay;
mod rust;
mod test;
mod toolchain;
mod wit;

pub(crate) use build::{BuildArgs, BuildRequest, build_package};
pub(crate) use check::CheckArgs;
pub(crate) use context::{Context, Output};
pub(crate) use new::NewArgs;
pub(crate) use progress::Progress;
pub(crate) use push::PushArgs;
pub(crate) use replay::ReplayArgs;
pub(crate) use test::TestArgs;

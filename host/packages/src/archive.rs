//! The archive: zstd-compressed ustar with plain files only. Writing is deterministic; reading is
//! bounded in every direction and keeps everything in memory, so that no path of an archive ever
//! meets a file system.

mod paths;
mod read;
mod write;

pub(crate) use paths::check_path;
pub(crate) use read::read;
pub(crate) use write::write;

//! Bounded reading of an archive.

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::{self, Read},
    rc::Rc,
};

use bytes::Bytes;
use cloudware_types::Digest;
use tar::EntryType;
use zstd::stream::read::Decoder;

use super::check_path;
use crate::{
    COMPONENT, MANIFEST, Problem, Problems,
    limits::{
        ARCHIVE_BYTES_MAX, COMPONENT_BYTES_MAX, EXPANSION_FREE_BYTES, EXPANSION_RATIO_MAX,
        FILES_MAX, MANIFEST_BYTES_MAX, UNPACKED_BYTES_MAX, ZSTD_WINDOW_LOG_MAX,
    },
};

/// Where a problem of the archive as a whole is.
const AT: &str = "archive";

/// The files of an archive.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) digest: Digest,
    pub(crate) files: BTreeMap<String, Bytes>,
}

/// Reads an archive. Problems of single files are collected and reading goes on; the result is
/// `None` where the archive as a whole can't be read.
pub(crate) fn read(
    archive: &[u8],
    expected: Option<&Digest>,
    problems: &mut Problems,
) -> Option<Contents> {
    if archive.len() as u64 > ARCHIVE_BYTES_MAX {
        problems.push(Problem::new(
            "archive-too-large",
            AT,
            format!("The archive has {} bytes.", archive.len()),
            format!("Use at most {ARCHIVE_BYTES_MAX}; serve large files from elsewhere."),
        ));
        return None;
    }
    let digest = Digest::of(archive);
    if let Some(expected) = expected.filter(|expected| **expected != digest) {
        problems.push(Problem::new(
            "digest-mismatch",
            AT,
            format!("The digest was said to be {expected} and is {digest}."),
            "The archive was changed or cut on its way: send it again.",
        ));
        return None;
    }
    match unpack(archive, problems) {
        Ok(files) => Some(Contents { digest, files }),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn unpack(archive: &[u8], problems: &mut Problems) -> Result<BTreeMap<String, Bytes>, Problem> {
    let mut decoder = Decoder::with_buffer(archive)
        .map_err(|error| not_an_archive(&error))?
        .single_frame();
    decoder
        .window_log_max(ZSTD_WINDOW_LOG_MAX)
        .map_err(|error| not_an_archive(&error))?;
    let exceeded = Rc::new(Cell::new(None));
    let bounded = Bounded {
        inner: decoder,
        read: 0,
        archive_bytes: archive.len() as u64,
        exceeded: Rc::clone(&exceeded),
    };
    let mut tar = tar::Archive::new(bounded);
    let explain = |error: &io::Error| {
        exceeded
            .get()
            .map_or_else(|| not_an_archive(error), too_large)
    };
    let mut files = BTreeMap::new();
    // Raw entries: long names and other extensions would be gathered in memory before any bound.
    for entry in tar.entries().map_err(|e| explain(&e))?.raw(true) {
        let mut entry = entry.map_err(|e| explain(&e))?;
        if files.len() >= FILES_MAX {
            return Err(Problem::new(
                "too-many-files",
                AT,
                format!("The archive has more than {FILES_MAX} files."),
                "Put fewer files into assets/.",
            ));
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        let size = entry.size();
        match check_entry(&path, kind, size, files.contains_key(&path)) {
            Ok(()) => {
                let bytes = read_entry(&mut entry, size).map_err(|e| explain(&e))?;
                files.insert(path, bytes);
            }
            Err(problem) => problems.push(problem),
        }
    }
    read_to_end(tar.into_inner(), problems).map_err(|e| explain(&e))?;
    Ok(files)
}

fn check_entry(path: &str, kind: EntryType, size: u64, seen: bool) -> Result<(), Problem> {
    if !matches!(kind, EntryType::Regular) {
        return Err(Problem::new(
            "not-a-plain-file",
            if path.is_empty() { AT } else { path },
            "The entry is a link, folder, device or extension header.",
            "Pack with `cloudware build`, which writes plain files only.",
        ));
    }
    check_path(path)?;
    if seen {
        return Err(Problem::new(
            "duplicate-path",
            path,
            "The archive has this path twice.",
            "Pack each file once.",
        ));
    }
    let max = match path {
        MANIFEST => MANIFEST_BYTES_MAX,
        COMPONENT => COMPONENT_BYTES_MAX,
        _ => UNPACKED_BYTES_MAX,
    };
    if size > max {
        return Err(Problem::new(
            "file-too-large",
            path,
            format!("The file has {size} bytes."),
            format!("Use at most {max}."),
        ));
    }
    Ok(())
}

/// The bytes of an entry. The header's size is a claim: memory grows only with what arrives.
fn read_entry(entry: &mut impl Read, size: u64) -> io::Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(size.min(1 << 20)).unwrap_or(0));
    entry.take(size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes.into())
}

/// Reads what follows the last entry, so that a cut archive is noticed wherever it was cut, and
/// nothing hides behind its end.
fn read_to_end<R: io::BufRead>(
    mut rest: Bounded<Decoder<'_, R>>,
    problems: &mut Problems,
) -> io::Result<()> {
    let mut buffer = [0; 4_096];
    let mut padding_only = true;
    loop {
        let count = rest.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        padding_only &= buffer[..count].iter().all(|byte| *byte == 0);
    }
    let mut behind = rest.inner.finish();
    if !padding_only || !behind.fill_buf()?.is_empty() {
        problems.push(Problem::new(
            "trailing-data",
            AT,
            "Something follows the end of the archive.",
            "Pack again with `cloudware build`.",
        ));
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Exceeded {
    Bytes,
    Ratio,
}

/// Stops decompression at the bound on bytes or on the ratio.
struct Bounded<R> {
    inner: R,
    read: u64,
    archive_bytes: u64,
    exceeded: Rc<Cell<Option<Exceeded>>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        let ratio_bytes_max = EXPANSION_FREE_BYTES + self.archive_bytes * EXPANSION_RATIO_MAX;
        let exceeded = match self.read {
            read if read > UNPACKED_BYTES_MAX => Exceeded::Bytes,
            read if read > ratio_bytes_max => Exceeded::Ratio,
            _ => return Ok(count),
        };
        self.exceeded.set(Some(exceeded));
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

fn too_large(exceeded: Exceeded) -> Problem {
    match exceeded {
        Exceeded::Bytes => Problem::new(
            "unpacked-too-large",
            AT,
            format!("The files have more than {UNPACKED_BYTES_MAX} bytes together."),
            "Serve large files from elsewhere.",
        ),
        Exceeded::Ratio => Problem::new(
            "expansion-ratio",
            AT,
            format!("The archive unpacks to more than {EXPANSION_RATIO_MAX} times its size."),
            "An archive that is nearly all repetition is refused as a zip bomb.",
        ),
    }
}

fn not_an_archive(error: &io::Error) -> Problem {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Problem::new(
            "truncated-archive",
            AT,
            "The archive ends before its end.",
            "Send the whole file.",
        );
    }
    Problem::new(
        "not-an-archive",
        AT,
        format!("This is not a package archive (zstd-compressed tar): {error}."),
        "Make one with `cloudware build`.",
    )
}

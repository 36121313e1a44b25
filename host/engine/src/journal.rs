//! The usage journal: a file that is mapped into memory and holds the usage that the ledger has not taken
//! yet, so that it outlives a process that is killed.
//!
//! Each start of a host has a journal of its own, named by a unique id. A meter takes a slot at its first
//! use and writes its readings there, which is a few stores to memory and no system call; the kernel keeps
//! them whatever happens to the process. A slot is freed when the ledger has its readings. What an earlier
//! process left is read at start ([`Leftover`]) and recorded under the same names, so that nothing is
//! lost and nothing counted twice, whenever the process was killed.

mod layout;
mod leftover;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use cloudware_types::Meters;
use memmap2::{MmapOptions, MmapRaw};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::{
    limits::{JOURNAL_SLOTS_MAX, JOURNAL_SLOTS_PER_CHUNK},
    usage::Consumer,
};
use layout::{HEADER_BYTES, Header, LEASE, Layout, Place, check};

pub use leftover::Leftover;

/// Ending of the name of a journal.
const EXTENSION: &str = "journal";

/// Ending of the name of a journal whose header is not written yet.
const UNFINISHED: &str = "new";

/// Words of a slot.
const SLOT_WORDS: usize = Layout::OWN.slot_words();

/// Bytes by which the file grows.
const CHUNK_BYTES: usize = JOURNAL_SLOTS_PER_CHUNK * SLOT_WORDS * 8;

/// The journal of one start of a host.
#[derive(Debug)]
pub struct Journal {
    start: Uuid,
    file: File,
    /// Slots ever taken; the number of the next lease.
    leases: AtomicU64,
    space: Mutex<Space>,
    warned: AtomicBool,
}

/// The file in memory.
#[derive(Debug, Default)]
struct Space {
    chunks: usize,
    free: Vec<Free>,
}

/// A slot that nobody uses.
#[derive(Debug)]
struct Free {
    chunk: Arc<Chunk>,
    /// Number of the slot in the whole file.
    index: usize,
}

/// A piece of the file that is mapped; pieces stay mapped for as long as one of their slots is known.
#[derive(Debug)]
struct Chunk(MmapRaw);

/// The right to write one slot.
#[derive(Debug)]
pub(crate) struct Slot {
    place: Free,
    lease: u64,
    sequence: u64,
}

/// A number that names one reading of one meter, with the slot that keeps it where there was room.
#[derive(Debug)]
pub(crate) struct Lease {
    number: u64,
    slot: Option<Slot>,
}

impl Journal {
    /// Makes a journal in a folder of its own, which is created when missing, and reads what is left in
    /// those of earlier processes. No other process may use the folder at the same time.
    ///
    /// # Errors
    /// The folder can't be read or written. Journals that are damaged are no error.
    pub fn open(folder: &Path) -> io::Result<(Arc<Self>, Leftover)> {
        fs::create_dir_all(folder)?;
        let leftover = Leftover::read(folder)?;
        let start = Uuid::now_v7();
        let path = folder.join(format!("{}.{EXTENSION}", start.as_simple()));
        let unfinished = path.with_extension(UNFINISHED);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all_at(&Header::encode(start), 0)?;
        let journal = Self {
            start,
            file,
            leases: AtomicU64::new(1),
            space: Mutex::default(),
            warned: AtomicBool::new(false),
        };
        journal.grow(&mut journal.space.lock())?;
        journal.file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(folder)?.sync_all()?;
        Ok((Arc::new(journal), leftover))
    }

    /// A lease for the usage of a consumer in a minute. Where the journal is full, or the disk, it has no
    /// slot: its readings are in memory alone.
    pub(crate) fn take(&self, consumer: &Consumer, minute: u64) -> Lease {
        let number = self.leases.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            minute,
            consumer: consumer.clone(),
        };
        let slot = place
            .encode()
            .zip(self.free())
            .map(|(head, free)| Slot::new(free, number, &head));
        Lease { number, slot }
    }

    fn free(&self) -> Option<Free> {
        let mut space = self.space.lock();
        if space.free.is_empty()
            && let Err(error) = self.grow(&mut space)
        {
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "the usage journal can't grow: usage that is not recorded yet would be lost if this process were killed");
            }
            return None;
        }
        space.free.pop()
    }

    /// Makes room for more slots than are in use, so that taking one need not wait for the file system.
    pub(crate) fn make_room(&self) {
        let mut space = self.space.lock();
        if space.free.len() < JOURNAL_SLOTS_PER_CHUNK / 2
            && let Err(error) = self.grow(&mut space)
        {
            tracing::debug!(%error, "the usage journal can't grow ahead of time");
        }
    }

    fn grow(&self, space: &mut Space) -> io::Result<()> {
        let first = space.chunks * JOURNAL_SLOTS_PER_CHUNK;
        if first >= JOURNAL_SLOTS_MAX {
            return Err(io::Error::other(format!(
                "all {JOURNAL_SLOTS_MAX} slots are in use"
            )));
        }
        let offset = (HEADER_BYTES + space.chunks * CHUNK_BYTES) as u64;
        allocate(&self.file, offset)?;
        let map = MmapOptions::new()
            .offset(offset)
            .len(CHUNK_BYTES)
            .map_raw(&self.file)?;
        let chunk = Arc::new(Chunk(map));
        space.chunks += 1;
        // The lowest numbers are taken first, so that few pages are in use.
        let added = (first..first + JOURNAL_SLOTS_PER_CHUNK)
            .rev()
            .map(|index| Free {
                chunk: Arc::clone(&chunk),
                index,
            });
        drop(space.free.splice(0..0, added));
        Ok(())
    }

    /// The name under which the readings of a lease are recorded, the same also after a crash.
    pub(crate) fn source(&self, lease: &Lease) -> String {
        let slot = lease.slot.as_ref().map(|slot| slot.place.index);
        source(self.start, slot, lease.number)
    }

    /// Frees the slots of leases whose readings the ledger has.
    pub(crate) fn free_all(&self, leases: Vec<Lease>) {
        let slots = leases.into_iter().filter_map(|lease| lease.slot);
        let freed: Vec<_> = slots
            .map(|slot| {
                slot.words()[LEASE].store(0, Ordering::Release);
                slot.place
            })
            .collect();
        self.space.lock().free.extend(freed);
    }

    /// Writes everything to the disk, so that it outlives a power cut too. Blocks.
    ///
    /// # Errors
    /// The disk's.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Lease {
    /// Notes the readings so far, all of them.
    pub(crate) fn write(&mut self, meters: &Meters) {
        if let Some(slot) = &mut self.slot {
            slot.write(meters);
        }
    }
}

impl Slot {
    fn new(place: Free, lease: u64, head: &[u64]) -> Self {
        let slot = Self {
            place,
            lease,
            sequence: 0,
        };
        let words = slot.words();
        // Copies of an earlier lease must not be taken for this one's.
        for sequence in [0, 1] {
            words[Layout::OWN.copy(sequence)].store(0, Ordering::Relaxed);
        }
        for (word, value) in words[1..].iter().zip(head) {
            word.store(*value, Ordering::Relaxed);
        }
        let sum = check(lease, head.iter().copied());
        words[Layout::OWN.head - 1].store(sum, Ordering::Relaxed);
        // From here on the slot counts: a kill between two stores leaves it free, or whole.
        words[LEASE].store(lease, Ordering::Release);
        slot
    }

    /// Writes the copy that is not the newest; killed half way, its check is wrong and the other one holds.
    fn write(&mut self, meters: &Meters) {
        self.sequence += 1;
        let begin = Layout::OWN.copy(self.sequence);
        let copy = &self.words()[begin..begin + Layout::OWN.copy_words()];
        for (word, (_, reading)) in copy[2..].iter().zip(meters.iter()) {
            word.store(reading, Ordering::Relaxed);
        }
        let readings = meters.iter().map(|(_, reading)| reading);
        let sum = check(self.lease, std::iter::once(self.sequence).chain(readings));
        copy[1].store(sum, Ordering::Relaxed);
        copy[0].store(self.sequence, Ordering::Release);
    }

    fn words(&self) -> &[AtomicU64] {
        let begin = self.place.index % JOURNAL_SLOTS_PER_CHUNK * SLOT_WORDS;
        &self.place.chunk.words()[begin..begin + SLOT_WORDS]
    }
}

impl Chunk {
    fn words(&self) -> &[AtomicU64] {
        let words = self.0.as_mut_ptr().cast::<AtomicU64>();
        // SAFETY: the mapping is CHUNK_BYTES long, readable and writable, and stays until `self` is dropped.
        // It begins HEADER_BYTES + n * CHUNK_BYTES into the file, both multiples of 8, and mappings begin at
        // pages, so the pointer is aligned. Every bit pattern is an AtomicU64, and this process touches the memory
        // through these atomics alone. The blocks behind it are allocated, and nobody cuts the file
        // short: the folder is this process's own, which a lock on the data folder sees to.
        unsafe { std::slice::from_raw_parts(words, CHUNK_BYTES / 8) }
    }
}

/// Takes the disk space of a chunk, because a mapping that can't be written to ends the process.
fn allocate(file: &File, offset: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), offset, CHUNK_BYTES as u64) {
        Err(rustix::io::Errno::OPNOTSUPP) => file.write_all_at(&vec![0; CHUNK_BYTES], offset),
        outcome => Ok(outcome?),
    }
}

fn source(start: Uuid, slot: Option<usize>, lease: u64) -> String {
    let start = start.as_simple();
    match slot {
        Some(slot) => format!("{start}-{slot}-{lease}"),
        None => format!("{start}-memory-{lease}"),
    }
}

fn is_named(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

#[cfg(test)]
mod tests;

//! What an earlier process left in usage journals: read once at start, recorded under the names that process
//! would have used, then thrown away. A journal that can't be read is moved aside and never a reason not to start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use cloudware_types::{Meter, Meters, UsageRecord};

use super::{
    EXTENSION, UNFINISHED, is_named,
    layout::{HEADER_BYTES, Header, LEASE, Layout, Place, check, words_of},
    source,
};

/// Usage that earlier processes metered and did not record, as far as is known.
#[derive(Debug, Default)]
pub struct Leftover {
    records: Vec<UsageRecord>,
    read: Vec<PathBuf>,
    damaged: Vec<PathBuf>,
}

impl Leftover {
    /// Reads every journal in a folder.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let mut leftover = Self::default();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if is_named(&path, UNFINISHED) {
                fs::remove_file(&path)?;
            } else if is_named(&path, EXTENSION) {
                leftover.add(path);
            }
        }
        Ok(leftover)
    }

    fn add(&mut self, path: PathBuf) {
        let file = match fs::read(&path) {
            Ok(file) => file,
            Err(error) => {
                tracing::error!(journal = %path.display(), %error, "a usage journal can't be read; the usage in it is missing until it can");
                return;
            }
        };
        let header = match Header::decode(&file) {
            Ok(header) => header,
            Err(reason) => {
                tracing::error!(journal = %path.display(), reason, "a usage journal is not used and moved aside; the usage of up to a few seconds may be missing");
                self.damaged.push(path);
                return;
            }
        };
        let damaged = self.add_slots(&header, &file[HEADER_BYTES..]);
        if damaged == 0 {
            self.read.push(path);
            return;
        }
        tracing::error!(journal = %path.display(), damaged, "slots of a usage journal are damaged; the others are recorded and the file is moved aside");
        self.damaged.push(path);
    }

    /// Adds what the slots hold, and returns how many are damaged.
    fn add_slots(&mut self, header: &Header, slots: &[u8]) -> usize {
        let layout = header.layout();
        let mut damaged = 0;
        for (index, bytes) in slots.chunks(layout.slot_words() * 8).enumerate() {
            let words: Vec<u64> = words_of(bytes).collect();
            if words.len() < layout.slot_words() {
                damaged += usize::from(words.iter().any(|word| *word != 0));
                continue;
            }
            match read_slot(layout, header, &words) {
                Ok(None) => {}
                Err(Damaged) => damaged += 1,
                Ok(Some((place, meters))) => self.records.push(UsageRecord {
                    source: source(header.start, Some(index), words[LEASE]),
                    instance: place.consumer.instance,
                    install: place.consumer.install,
                    app: place.consumer.app,
                    hook: place.consumer.hook,
                    minute: place.minute,
                    meters,
                }),
            }
        }
        damaged
    }

    /// What is to be recorded, under the same sources each time that it is read.
    #[must_use]
    pub fn records(&self) -> &[UsageRecord] {
        &self.records
    }

    /// Throws the journals away; called when the ledger has taken all of [`Self::records`]. Damaged ones are
    /// kept under another name.
    ///
    /// # Errors
    /// The folder can't be written. What was recorded would be recorded again at the next start, which the
    /// ledger counts once.
    pub fn discard(self) -> io::Result<()> {
        for path in self.read {
            fs::remove_file(path)?;
        }
        for path in self.damaged {
            fs::rename(&path, path.with_extension("damaged"))?;
        }
        Ok(())
    }
}

/// A slot that does not hold what was written.
struct Damaged;

/// What is in a slot; nothing where it is free, or was just taken.
fn read_slot(
    layout: Layout,
    header: &Header,
    words: &[u64],
) -> Result<Option<(Place, Meters)>, Damaged> {
    let lease = words[LEASE];
    if lease == 0 {
        return Ok(None);
    }
    let (place, sum) = (&words[1..layout.head - 1], words[layout.head - 1]);
    if sum != check(lease, place.iter().copied()) {
        return Err(Damaged);
    }
    let Some(place) = Place::decode(place) else {
        return Err(Damaged);
    };
    let copies = [0, 1].map(|parity| {
        let begin = layout.copy(parity);
        &words[begin..begin + layout.copy_words()]
    });
    if copies.iter().all(|copy| copy[0] == 0) {
        return Ok(None);
    }
    let whole = copies.into_iter().filter(|copy| {
        let counted = std::iter::once(copy[0]).chain(copy[2..].iter().copied());
        copy[0] != 0 && copy[1] == check(lease, counted)
    });
    match whole.max_by_key(|copy| copy[0]) {
        Some(copy) => Ok(Some((place, meters(&header.meters, &copy[2..])))),
        None => Err(Damaged),
    }
}

/// Readings by the names that the header gave them. A meter that this host does not know is left out.
fn meters(names: &[Option<Meter>], readings: &[u64]) -> Meters {
    let mut meters = Meters::default();
    for (meter, reading) in names.iter().zip(readings) {
        if let Some(meter) = meter {
            meters[*meter] = *reading;
        }
    }
    meters
}

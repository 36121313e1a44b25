//! The layout of a usage journal, in words of 64 bits in the machine's own byte order: a header that says
//! who wrote it and names the meters, then slots of one size.
//!
//! A slot is a head (lease, minute, install, instance, app, hook, check) and two copies of the readings, each with
//! a sequence number and a check. A writer fills the older copy and numbers it last, so that at every
//! instant one copy is whole. Slots of version 1 have no hook in their heads; they are read, so that a host that was
//! killed and replaced by this one loses nothing.

use cloudware_types::{HookId, InstallId, InstanceId, Meter};
use uuid::Uuid;

use crate::usage::Consumer;

/// Bytes of the header; slots begin behind it. A page, so that slots of a chunk begin on one.
pub(super) const HEADER_BYTES: usize = 4_096;

/// Words of the header before the names of the meters.
const HEADER_WORDS: usize = 6;

/// First word of every journal; the byte order is part of it.
const MAGIC: u64 = u64::from_be_bytes(*b"cwusage\n");

/// Version of everything described here.
const VERSION: u64 = 2;

/// The version whose slots have no hook.
const VERSION_WITHOUT_HOOKS: u64 = 1;

/// Words of the head of a slot.
const HEAD_WORDS: usize = 13;

/// Where the lease is in a slot: a number that is never given twice, or 0 for a free slot.
pub(super) const LEASE: usize = 0;

/// Words of the head between the lease and the check.
const PLACE_WORDS: usize = HEAD_WORDS - 2;

/// Words of an app's name, its length in the first byte.
const APP_WORDS: usize = 4;

/// Words of a hook's id, both zero where there is none.
const HOOK_WORDS: usize = 2;

/// The sizes of slots for a version and a number of meters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Layout {
    /// Words of the head.
    pub(super) head: usize,
    pub(super) meters: usize,
}

impl Layout {
    /// What this host writes.
    pub(super) const OWN: Self = Self {
        head: HEAD_WORDS,
        meters: Meter::ALL.len(),
    };

    /// Words of one copy of the readings: sequence number, check, readings.
    pub(super) const fn copy_words(self) -> usize {
        self.meters + 2
    }

    /// Words of a slot, in whole cache lines.
    pub(super) const fn slot_words(self) -> usize {
        (self.head + 2 * self.copy_words()).next_multiple_of(8)
    }

    /// Where the copy begins that has, or gets, this sequence number.
    pub(super) const fn copy(self, sequence: u64) -> usize {
        self.head + (sequence % 2) as usize * self.copy_words()
    }
}

/// What a journal says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// The start of the host that wrote it.
    pub(super) start: Uuid,
    /// Words of the head of each slot.
    head: usize,
    /// The meters in the order of the readings; `None` for one that this host does not know.
    pub(super) meters: Vec<Option<Meter>>,
}

impl Header {
    /// The header of a journal that this host writes.
    pub(super) fn encode(start: Uuid) -> Vec<u8> {
        let names: Vec<_> = Meter::ALL.iter().map(|meter| meter.name()).collect();
        let names = names.join("\n").into_bytes();
        let mut words = vec![MAGIC, VERSION];
        words.extend(words_of(start.as_bytes()));
        words.push(names.len() as u64);
        words.push(check(0, words_of(&names).chain(words.iter().copied())));
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        bytes.extend(names);
        bytes.resize(HEADER_BYTES, 0);
        bytes
    }

    /// Reads the header of a whole file.
    ///
    /// # Errors
    /// Why it is none of ours, for the operator.
    pub(super) fn decode(file: &[u8]) -> Result<Self, &'static str> {
        let header = file.get(..HEADER_BYTES).ok_or("it is too short")?;
        let (fixed, rest) = header.split_at(HEADER_WORDS * 8);
        let words: Vec<u64> = words_of(fixed).collect();
        if words[0] != MAGIC {
            return Err("it is no usage journal of this kind of machine");
        }
        let head = match words[1] {
            VERSION => HEAD_WORDS,
            VERSION_WITHOUT_HOOKS => HEAD_WORDS - HOOK_WORDS,
            _ => return Err("another version of the host wrote it"),
        };
        let names = usize::try_from(words[4]).ok();
        let names = names.and_then(|length| rest.get(..length));
        let names = names.ok_or("its header is damaged")?;
        if words[5] != check(0, words_of(names).chain(words[..5].iter().copied())) {
            return Err("its header is damaged");
        }
        let names = str::from_utf8(names).map_err(|_| "its header is damaged")?;
        let meter = |name| Meter::ALL.iter().copied().find(|m| m.name() == name);
        Ok(Self {
            start: Uuid::from_bytes(bytes_of(words[2], words[3])),
            head,
            meters: names.split('\n').map(meter).collect(),
        })
    }

    /// The sizes of the slots behind it.
    pub(super) fn layout(&self) -> Layout {
        Layout {
            head: self.head,
            meters: self.meters.len(),
        }
    }
}

/// Whose usage a slot holds, and of which minute.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) minute: u64,
    pub(super) consumer: Consumer,
}

impl Place {
    /// The words between the lease and the check. `None` for an app whose name does not fit, of which there
    /// is none as long as a [`Slug`] has at most 31 bytes.
    pub(super) fn encode(&self) -> Option<[u64; PLACE_WORDS]> {
        let mut app = [0; APP_WORDS * 8];
        let Consumer {
            instance,
            install,
            app: name,
            hook,
        } = &self.consumer;
        let name = name.as_str().as_bytes();
        app[0] = u8::try_from(name.len()).ok()?;
        app.get_mut(1..=name.len())?.copy_from_slice(name);
        let mut words = [0; PLACE_WORDS];
        let (install, instance) = (install.to_bytes(), instance.to_bytes());
        let hook = hook.map_or([0; HOOK_WORDS * 8], |hook| hook.to_bytes());
        let all = std::iter::once(self.minute)
            .chain(words_of(&install))
            .chain(words_of(&instance))
            .chain(words_of(&app))
            .chain(words_of(&hook));
        words
            .iter_mut()
            .zip(all)
            .for_each(|(word, value)| *word = value);
        Some(words)
    }

    /// Reads what [`Self::encode`] made, or did in the version without hooks; `None` if it is damaged.
    pub(super) fn decode(words: &[u64]) -> Option<Self> {
        let (words, hook) = words.split_at_checked(PLACE_WORDS - HOOK_WORDS)?;
        let app: Vec<u8> = words[5..]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        let name = app.get(1..=usize::from(app[0]))?;
        Some(Self {
            minute: words[0],
            consumer: Consumer {
                install: InstallId::from_bytes(bytes_of(words[1], words[2])),
                instance: InstanceId::from_bytes(bytes_of(words[3], words[4])),
                app: str::from_utf8(name).ok()?.parse().ok()?,
                hook: match hook {
                    [] | [0, 0] => None,
                    hook => Some(HookId::from_bytes(bytes_of(*hook.first()?, *hook.get(1)?))),
                },
            },
        })
    }
}

/// Odd factors, one for each word that is checked; a changed word then always changes the sum.
const FACTORS: [u64; 64] = {
    let mut factors = [0x9e37_79b9_7f4a_7c15_u64; 64];
    let mut index = 1;
    while index < factors.len() {
        factors[index] = factors[index - 1].wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1;
        index += 1;
    }
    factors
};

/// A sum over words that finds what was torn or damaged; no defence against forgery, which somebody who can
/// write the file could do anyway. The products don't wait for each other: it is computed on the request path.
pub(super) fn check(lease: u64, words: impl Iterator<Item = u64>) -> u64 {
    let factors = FACTORS.iter().cycle();
    words.zip(factors).fold(!lease, |sum, (word, factor)| {
        sum.wrapping_add((word ^ 0x94d0_49bb_1331_11eb).wrapping_mul(*factor))
    })
}

/// Bytes as words; the last is filled up with zeros.
pub(super) fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(word)
    })
}

fn bytes_of(first: u64, second: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_ne_bytes());
    bytes[8..].copy_from_slice(&second.to_ne_bytes());
    bytes
}

//! Bytes that were right, changed a little: the same seed gives the same changes, so that failures repeat.

/// A source of changes.
#[derive(Clone, Debug)]
pub struct Mutations {
    state: u64,
}

/// Bytes that programs have often stumbled over.
const BOUNDARIES: &[u8] = &[0x00, 0x01, 0x7f, 0x80, 0xff, b'\n', b'/', b'.', b'"'];

/// The most that one change inserts or moves.
const PIECE_BYTES_MAX: usize = 64;

impl Mutations {
    /// Changes that a seed gives.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number (SplitMix64).
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, or 0 where that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        usize::try_from(self.number() % end).unwrap_or_default()
    }

    /// So many bytes at random.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.number().to_le_bytes()[0]).collect()
    }

    /// `bytes` with one to eight changes: bits, bytes and pieces flipped, removed, doubled, moved, or
    /// taken from `other` or from `words`.
    #[must_use]
    pub fn change(&mut self, bytes: &[u8], other: &[u8], words: &[&str]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        for _ in 0..=self.below(8) {
            self.change_once(&mut changed, other, words);
        }
        changed
    }

    fn change_once(&mut self, bytes: &mut Vec<u8>, other: &[u8], words: &[&str]) {
        let at = self.below(bytes.len());
        match self.below(10) {
            0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            2 if !bytes.is_empty() => bytes[at] = self.number().to_le_bytes()[0],
            3 if !bytes.is_empty() => bytes[at] = BOUNDARIES[self.below(BOUNDARIES.len())],
            4 => drop(bytes.drain(self.piece(bytes.len()))),
            5 => {
                let doubled = bytes[self.piece(bytes.len())].to_vec();
                bytes.splice(at..at, doubled);
            }
            6 => {
                let moved: Vec<u8> = bytes.drain(self.piece(bytes.len())).collect();
                let to = self.below(bytes.len());
                bytes.splice(to..to, moved);
            }
            7 => {
                let piece = other[self.piece(other.len())].to_vec();
                let replaced = at..(at + self.below(piece.len() + 1)).min(bytes.len());
                bytes.splice(replaced, piece);
            }
            8 if !words.is_empty() => {
                let word = words[self.below(words.len())];
                let replaced = at..(at + self.below(word.len() + 1)).min(bytes.len());
                bytes.splice(replaced, word.bytes());
            }
            // A cut is rarely interesting twice.
            9 if self.below(4) == 0 => bytes.truncate(at),
            _ => {
                let inserted = self.below(4) + 1;
                let inserted = self.bytes(inserted);
                bytes.splice(at..at, inserted);
            }
        }
    }

    /// A range of some bytes within so many.
    fn piece(&mut self, bytes: usize) -> std::ops::Range<usize> {
        let from = self.below(bytes);
        let count = self.below(PIECE_BYTES_MAX + 1).min(bytes - from);
        from..from + count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_changes_and_another_seed_others() {
        let change = |seed| Mutations::seeded(seed).change(b"the same bytes", b"other", &["word"]);
        assert_eq!(change(1), change(1));
        let different: std::collections::BTreeSet<_> = (0..100).map(change).collect();
        assert!(different.len() > 90);
    }

    #[test]
    fn nothing_can_be_changed_too() {
        for seed in 0..1_000 {
            let _ = Mutations::seeded(seed).change(b"", b"", &[]);
        }
    }
}

//! The number sequences behind the references of movements, one per kind, in key-value data.
//!
//! A number is taken before the transaction begins, because key-value data is in the same database and
//! has the same lock. A refused request leaves a gap; no number is given twice.

use cloudware_sdk::kv::{self, Bucket};

/// The kind of a movement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Goods came in.
    Receive,
    /// Goods changed their place.
    Move,
    /// Goods went out.
    Pick,
    /// A count found another quantity.
    Adjust,
}

impl Kind {
    /// The word in the database and in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Move => "move",
            Self::Pick => "pick",
            Self::Adjust => "adjust",
        }
    }

    /// The kind of a word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Receive, Self::Move, Self::Pick, Self::Adjust]
            .into_iter()
            .find(|kind| kind.word() == word)
    }

    fn letter(self) -> char {
        match self {
            Self::Receive => 'R',
            Self::Move => 'M',
            Self::Pick => 'P',
            Self::Adjust => 'A',
        }
    }
}

/// The next reference of a kind: `P-000042`.
pub fn next_reference(kind: Kind) -> Result<String, kv::Error> {
    let number = Bucket::open("sequences")?.increment(kind.word(), 1)?;
    Ok(format!("{}-{number:06}", kind.letter()))
}

//! Decides where a quantity is taken from. Knows no database.

/// A place that holds some of an item.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Id of the stock level.
    pub level: i64,
    /// What is there; more than zero.
    pub quantity: i64,
}

/// What is taken from one place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Take {
    /// Position of the place among the candidates.
    pub candidate: usize,
    /// How much is taken; more than zero and no more than is there.
    pub quantity: i64,
}

/// There is less than was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortage {
    /// What is there in all.
    pub available: i64,
}

/// Takes `asked` from the candidates in their order, each as far as it goes: first in, first out where
/// they are ordered by receipt.
pub fn allocate(candidates: &[Candidate], asked: i64) -> Result<Vec<Take>, Shortage> {
    let mut takes = Vec::new();
    let mut open = asked;
    for (index, candidate) in candidates.iter().enumerate() {
        if open == 0 {
            break;
        }
        let quantity = candidate.quantity.min(open);
        takes.push(Take {
            candidate: index,
            quantity,
        });
        open -= quantity;
    }
    if open > 0 {
        return Err(Shortage {
            available: asked - open,
        });
    }
    Ok(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(quantities: &[i64]) -> Vec<Candidate> {
        (1..)
            .zip(quantities)
            .map(|(level, &quantity)| Candidate { level, quantity })
            .collect()
    }

    fn take(candidate: usize, quantity: i64) -> Take {
        Take {
            candidate,
            quantity,
        }
    }

    #[test]
    fn the_oldest_goes_first() {
        let stock = candidates(&[3, 5, 2]);
        assert_eq!(allocate(&stock, 2), Ok(vec![take(0, 2)]));
        assert_eq!(allocate(&stock, 3), Ok(vec![take(0, 3)]));
        assert_eq!(allocate(&stock, 7), Ok(vec![take(0, 3), take(1, 4)]));
        assert_eq!(
            allocate(&stock, 10),
            Ok(vec![take(0, 3), take(1, 5), take(2, 2)])
        );
    }

    #[test]
    fn a_shortage_tells_what_is_there() {
        assert_eq!(
            allocate(&candidates(&[3, 5, 2]), 11),
            Err(Shortage { available: 10 })
        );
        assert_eq!(allocate(&[], 1), Err(Shortage { available: 0 }));
    }
}

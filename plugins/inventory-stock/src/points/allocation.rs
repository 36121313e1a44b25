//! Asks from which levels a quantity is taken, and checks the answer.

use std::collections::BTreeMap;

use cloudware_sdk::clock::{self, Timestamp};

use super::log_unusable;
use crate::{
    allocation::Take,
    bindings::inventory::stock::allocation::{self as point, Take as Answered},
    levels::Level,
};

/// The takes that an extension decided on; `None` where none did, or not in a way that can be used.
pub fn decide(sku: &str, asked: i64, levels: &[Level]) -> Option<Vec<Take>> {
    let candidates: Vec<point::Level> = levels.iter().map(candidate).collect();
    let today = clock::now().date().to_string();
    let asked = asked.unsigned_abs();
    let answered = point::allocate(sku, asked, &today, &candidates)?;
    match check(&candidates, asked, &answered) {
        Ok(takes) => Some(takes),
        Err(why) => {
            let why = format!("for {asked} of {sku} {why}");
            log_unusable("allocation", &why, "what came in first is taken");
            None
        }
    }
}

fn candidate(level: &Level) -> point::Level {
    point::Level {
        id: level.id.unsigned_abs(),
        location: level.location.clone(),
        batch: level.batch.clone(),
        expires_on: level.expires_on.clone(),
        received_at: Timestamp::from_milliseconds(level.received_ms).to_string(),
        quantity: level.quantity.unsigned_abs(),
    }
}

/// The answer in terms of the app; or what is wrong with it.
fn check(levels: &[point::Level], asked: u64, answered: &[Answered]) -> Result<Vec<Take>, String> {
    let mut open: BTreeMap<u64, (usize, u64)> = (0..)
        .zip(levels)
        .map(|(candidate, level)| (level.id, (candidate, level.quantity)))
        .collect();
    let mut takes = Vec::with_capacity(answered.len().min(levels.len()));
    let mut sum = 0;
    for take in answered {
        let (id, quantity) = (take.level, take.quantity);
        // Removed from what is open, so that nothing is taken from a level twice.
        let Some((candidate, there)) = open.remove(&id) else {
            return Err(format!(
                "it names the level {id} twice, or one that was not offered"
            ));
        };
        if quantity == 0 || quantity > there {
            return Err(format!(
                "it takes {quantity} from the level {id}, which has {there}"
            ));
        }
        // Neither can overflow: quantities are at most what levels have.
        sum += quantity;
        takes.push(Take {
            candidate,
            quantity: quantity.cast_signed(),
        });
    }
    if sum != asked {
        return Err(format!("it takes {sum} in all"));
    }
    Ok(takes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(quantities: &[u64]) -> Vec<point::Level> {
        (10..)
            .zip(quantities)
            .map(|(id, &quantity)| point::Level {
                id,
                location: "MAIN-A-01".into(),
                batch: None,
                expires_on: None,
                received_at: "2026-11-30T08:15:00.000Z".into(),
                quantity,
            })
            .collect()
    }

    fn answer(takes: &[(u64, u64)]) -> Vec<Answered> {
        takes
            .iter()
            .map(|&(level, quantity)| Answered { level, quantity })
            .collect()
    }

    #[test]
    fn the_order_of_an_answer_is_kept() {
        let takes = check(&levels(&[3, 5, 2]), 6, &answer(&[(12, 2), (11, 4)])).unwrap();
        let takes: Vec<_> = takes.iter().map(|t| (t.candidate, t.quantity)).collect();
        assert_eq!(takes, [(2, 2), (1, 4)]);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_not_used() {
        let offered = levels(&[3, 5, 2]);
        for (takes, why) in [
            (&[][..], "0 in all"),
            (&[(11, 5)][..], "5 in all"),
            (&[(11, 5), (12, 2)][..], "7 in all"),
            (&[(11, 6)][..], "6 from the level 11, which has 5"),
            (&[(10, 3), (11, 3), (12, 0)][..], "0 from the level 12"),
            (&[(10, 3), (10, 3)][..], "the level 10 twice"),
            (&[(13, 6)][..], "not offered"),
            (&[(11, u64::MAX), (10, 3)][..], "which has 5"),
        ] {
            let error = check(&offered, 6, &answer(takes)).unwrap_err();
            assert!(error.contains(why), "{takes:?}: {error}");
        }
        assert!(check(&[], 1, &answer(&[(10, 1)])).is_err());
    }
}

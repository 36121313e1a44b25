//! First expired, first out: fills the extension point `inventory:stock/allocation`.

// Generated code has its own habits; what exports is used in WebAssembly alone.
#[allow(missing_docs, unused_imports, unused_qualifications, clippy::unwrap_used)]
mod bindings;

use bindings::exports::inventory::stock::allocation::{Guest, Level, Take};

struct FirstExpired;

#[cfg(target_arch = "wasm32")]
bindings::export!(FirstExpired with_types_in bindings);

impl Guest for FirstExpired {
    fn allocate(_sku: String, asked: u64, today: String, levels: Vec<Level>) -> Option<Vec<Take>> {
        first_expired(asked, &today, levels)
    }
}

/// Takes what expires first, then what has no date, and what is expired already only where nothing else
/// is left; of equal ones what came in first. `None` where less is there than asked for.
fn first_expired(asked: u64, today: &str, mut levels: Vec<Level>) -> Option<Vec<Take>> {
    levels.sort_by(|a, b| key(a, today).cmp(&key(b, today)));
    let mut open = asked;
    let mut takes = Vec::new();
    for level in levels {
        if open == 0 {
            break;
        }
        let quantity = level.quantity.min(open);
        open -= quantity;
        takes.push(Take {
            level: level.id,
            quantity,
        });
    }
    (open == 0).then_some(takes)
}

/// What levels are sorted by. Dates and times have a fixed length, so that their text sorts as they do.
fn key<'a>(level: &'a Level, today: &str) -> (Standing, &'a str, &'a str, u64) {
    let (standing, date) = match &level.expires_on {
        Some(date) if date.as_str() < today => (Standing::Expired, date.as_str()),
        Some(date) => (Standing::Expiring, date.as_str()),
        None => (Standing::Undated, ""),
    };
    (standing, date, &level.received_at, level.id)
}

/// How good a level is to take from, the best first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// It has a date that is not over.
    Expiring,
    /// It has no date.
    Undated,
    /// Its date is over.
    Expired,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: &str = "2026-11-30";

    /// A level of ten: its id, when it expires, and the day of November on which it came in.
    fn level((id, expires_on, day): (u64, Option<&str>, u8)) -> Level {
        Level {
            id,
            location: "MAIN-A-01".into(),
            batch: expires_on.map(|_| format!("B-{id}")),
            expires_on: expires_on.map(str::to_owned),
            received_at: format!("2026-11-{day:02}T08:00:00.000Z"),
            quantity: 10,
        }
    }

    #[track_caller]
    fn assert_takes(asked: u64, levels: &[(u64, Option<&str>, u8)], expected: &[(u64, u64)]) {
        let levels = levels.iter().copied().map(level).collect();
        let takes = first_expired(asked, TODAY, levels).unwrap();
        let takes: Vec<_> = takes.iter().map(|t| (t.level, t.quantity)).collect();
        assert_eq!(takes, expected);
    }

    #[test]
    fn what_expires_first_goes_first_whenever_it_came_in() {
        let levels = [
            (1, Some("2027-03-01"), 1),
            (2, Some("2026-12-20"), 9),
            (3, Some("2027-01-15"), 5),
        ];
        assert_takes(10, &levels, &[(2, 10)]);
        assert_takes(25, &levels, &[(2, 10), (3, 10), (1, 5)]);
    }

    #[test]
    fn goods_without_a_date_come_after_those_with_one_the_oldest_first() {
        let levels = [
            (1, None, 7),
            (2, None, 2),
            (3, Some("2029-01-01"), 20),
            (4, None, 2),
        ];
        assert_takes(40, &levels, &[(3, 10), (2, 10), (4, 10), (1, 10)]);
    }

    #[test]
    fn what_expires_together_goes_by_age() {
        let levels = [(1, Some("2027-01-15"), 9), (2, Some("2027-01-15"), 3)];
        assert_takes(11, &levels, &[(2, 10), (1, 1)]);
    }

    #[test]
    fn what_is_expired_goes_only_where_nothing_else_is_left() {
        let levels = [
            (1, Some("2026-11-29"), 1),
            (2, Some(TODAY), 5),
            (3, None, 5),
        ];
        assert_takes(20, &levels, &[(2, 10), (3, 10)]);
        assert_takes(21, &levels, &[(2, 10), (3, 10), (1, 1)]);
    }

    #[test]
    fn nothing_is_decided_where_less_is_there_than_asked_for() {
        let levels = || vec![level((1, None, 1)), level((2, None, 2))];
        assert!(first_expired(21, TODAY, levels()).is_none());
        assert!(first_expired(1, TODAY, Vec::new()).is_none());
        assert_eq!(first_expired(20, TODAY, levels()).unwrap().len(), 2);
    }
}

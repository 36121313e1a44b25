//! Asks whether goods may come in.

use cloudware_sdk::http::{Problem, Status};

use crate::{
    bindings::inventory::stock::before_receive as point, html::shortened, operation::Stamp,
};

/// The most characters of a refusal that are shown.
const REFUSAL_CHARS_MAX: usize = 400;

/// One line of goods, as the batch says when it expires.
pub use point::Line;

/// Refuses a receipt that a guard refuses.
///
/// # Errors
/// `409` with the guard's reason.
pub fn check(stamp: &Stamp, supplier: Option<&str>, lines: Vec<Line>) -> Result<(), Problem> {
    let receipt = point::Receipt {
        reference: stamp.reference.clone(),
        actor: stamp.actor.clone(),
        note: stamp.note.clone(),
        supplier: supplier.map(str::to_owned),
        lines,
    };
    let today = stamp.at.date().to_string();
    point::check(&receipt, &today).map_err(|reason| refusal(&reason))
}

fn refusal(reason: &str) -> Problem {
    let reason = match reason.trim() {
        "" => "no reason was given",
        reason => reason,
    };
    let reason = shortened(reason, REFUSAL_CHARS_MAX);
    Problem::new(Status::CONFLICT, "receipt-refused")
        .with_detail(format!("the receipt is refused: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_bounded_reason() {
        for (reason, detail) in [
            ("the batch B7 is blocked", "the batch B7 is blocked"),
            ("  ", "no reason was given"),
        ] {
            let problem = refusal(reason);
            assert_eq!(problem.status(), Status::CONFLICT);
            assert_eq!(
                problem.detail(),
                format!("the receipt is refused: {detail}")
            );
        }
        let long = refusal(&"ü".repeat(10_000));
        assert!(long.detail().chars().count() < REFUSAL_CHARS_MAX + 60);
    }
}

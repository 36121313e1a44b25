//! Asks what a scanned code says, and checks the answer.

use cloudware_sdk::clock;
use serde::Serialize;

use super::log_unusable;
use crate::{
    bindings::inventory::stock::barcode::{self as point, Parsed},
    rules,
};

/// The most further elements of a code.
const ELEMENTS_MAX: usize = 50;

/// The most characters of a text that a code says.
const TEXT_CHARS_MAX: usize = 100;

/// The most characters of an element's name.
const NAME_CHARS_MAX: usize = 40;

/// What a code says.
#[derive(Serialize, Default, PartialEq, Debug)]
pub struct Scan {
    /// The item: its SKU, if it is known here.
    pub sku: Option<String>,
    /// The batch.
    pub batch: Option<String>,
    /// When the batch expires.
    pub expires_on: Option<String>,
    /// How much there is.
    pub quantity: Option<u64>,
    /// The serial number.
    pub serial: Option<String>,
    /// The number of the logistic unit.
    pub container: Option<String>,
    /// What else the code says.
    pub further: Vec<Element>,
}

/// Something else that a code says.
#[derive(Serialize, PartialEq, Debug)]
pub struct Element {
    name: String,
    value: String,
}

/// What an extension read; `None` where none did, or not in a way that can be used.
pub fn read(code: &str) -> Option<Scan> {
    let today = clock::now().date().to_string();
    let parsed = point::parse(code, &today)?;
    match check(parsed) {
        Ok(scan) => Some(scan),
        Err(why) => {
            log_unusable("barcode", &why, "the code is taken for a SKU");
            None
        }
    }
}

/// The answer in terms of the app; or what is wrong with it.
fn check(parsed: Parsed) -> Result<Scan, String> {
    let Parsed {
        item,
        batch,
        expires_on,
        quantity,
        serial,
        container,
        further,
    } = parsed;
    if let Some(date) = &expires_on {
        rules::date(date).map_err(|must| format!("expires-on {must}"))?;
    }
    if quantity
        .is_some_and(|n| i64::try_from(n).is_err() || rules::quantity(n.cast_signed()).is_err())
    {
        return Err("quantity must be from 1 to 1,000,000,000".into());
    }
    if further.len() > ELEMENTS_MAX {
        return Err(format!(
            "further has {} elements, and at most {ELEMENTS_MAX} are taken",
            further.len()
        ));
    }
    let further: Result<_, String> = further.into_iter().map(check_element).collect();
    let optional = |name, value: Option<String>| value.map(|value| text(name, value)).transpose();
    Ok(Scan {
        sku: optional("item", item)?,
        batch: optional("batch", batch)?,
        expires_on,
        quantity,
        serial: optional("serial", serial)?,
        container: optional("container", container)?,
        further: further?,
    })
}

fn check_element(element: point::Element) -> Result<Element, String> {
    let point::Element { name, value } = element;
    if !is_name(&name) {
        return Err(format!(
            "the name of an element must have 1 to {NAME_CHARS_MAX} characters of a-z, 0-9 and `-`"
        ));
    }
    let value = text("the value of an element", value)?;
    Ok(Element { name, value })
}

fn text(name: &str, value: String) -> Result<String, String> {
    let valid = (1..=TEXT_CHARS_MAX).contains(&value.chars().count())
        && !value.chars().any(char::is_control);
    if valid {
        Ok(value)
    } else {
        Err(format!(
            "{name} must have 1 to {TEXT_CHARS_MAX} characters without control characters"
        ))
    }
}

fn is_name(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed() -> Parsed {
        Parsed {
            item: Some("09501101530003".into()),
            batch: Some("A/1(ä)".into()),
            expires_on: Some("2027-02-28".into()),
            quantity: Some(24),
            serial: None,
            container: None,
            further: vec![element("net-weight-kg", "1.250")],
        }
    }

    fn element(name: &str, value: &str) -> point::Element {
        point::Element {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn an_answer_within_its_bounds_is_used_as_it_is() {
        let scan = check(parsed()).unwrap();
        assert_eq!(scan.sku.as_deref(), Some("09501101530003"));
        assert_eq!(scan.batch.as_deref(), Some("A/1(ä)"));
        assert_eq!((scan.quantity, scan.serial), (Some(24), None));
        assert_eq!(scan.further[0].value, "1.250");
    }

    #[test]
    fn an_answer_that_breaks_a_bound_is_not_used() {
        type Change = fn(&mut Parsed);
        let broken: &[(&str, Change)] = &[
            ("expires-on", |p| p.expires_on = Some("2027-02-29".into())),
            ("quantity", |p| p.quantity = Some(0)),
            ("quantity", |p| p.quantity = Some(u64::MAX)),
            ("item", |p| p.item = Some(String::new())),
            ("batch", |p| p.batch = Some("x".repeat(101))),
            ("serial", |p| p.serial = Some("a\u{1d}b".into())),
            ("container", |p| p.container = Some("\n".into())),
            ("name", |p| p.further[0] = element("Net weight", "1")),
            ("value", |p| p.further[0] = element("net-weight-kg", "")),
            ("further", |p| {
                p.further = (0..51).map(|_| element("n", "1")).collect()
            }),
        ];
        for (what, change) in broken {
            let mut answer = parsed();
            change(&mut answer);
            let error = check(answer).unwrap_err();
            assert!(error.contains(what), "{what}: {error}");
        }
    }
}

//! What must not be seen is nowhere, and what is left leads the guest the same way.

use std::collections::BTreeMap;

use cloudware_types::{Class, Digest, HostExchange};
use serde_json::json;

use super::*;

fn call(arguments: Value, transcript: Vec<(Value, Value)>, returned: Value) -> RecordedCall {
    let exchange = |(asked, answered)| HostExchange {
        call: "kv.get".to_owned(),
        asked,
        answered: Some(answered),
    };
    RecordedCall {
        version: "1.0.0".to_owned(),
        component: Digest::of(b"component"),
        interface: "a:b/c".to_owned(),
        function: "f".to_owned(),
        class: Class::Hook,
        arguments,
        seed: 1,
        at_ms: 2,
        fuel_max: 3,
        limits: BTreeMap::new(),
        transcript: transcript.into_iter().map(exchange).collect(),
        outcome: RecordedOutcome::Returned(returned),
        fuel: 4,
        memory_bytes: 5,
        redacted: Vec::new(),
        redacted_names: Vec::new(),
    }
}

fn redacted(names: &[&str], mut call: RecordedCall) -> RecordedCall {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    Redaction::new(&names).apply(&mut call).unwrap();
    call
}

#[test]
fn a_secret_is_nowhere_and_its_copies_are_equal() {
    const IBAN: &str = "CH93 0076 2011 6238 5295 7";
    let call = call(
        json!({ "customer": { "IBAN": IBAN }, "note": format!("to {IBAN}!") }),
        vec![
            (
                json!({ "statement": "…", "parameters": [IBAN, { "blob": IBAN }] }),
                json!({ "ok": { "columns": ["id", "iban"], "rows": [[1, IBAN]] } }),
            ),
            (
                json!({ "keys": [IBAN] }),
                json!({ "ok": [{ "key": IBAN, "value": json!({ "iban": IBAN }).to_string() }] }),
            ),
            (
                json!({}),
                json!({ IBAN: { "base64": STANDARD.encode([b"\xff", IBAN.as_bytes()].concat()) } }),
            ),
        ],
        json!({ "ok": IBAN }),
    );
    let after = redacted(&["iban"], call);
    let text = serde_json::to_string(&after).unwrap();
    assert!(!text.contains(IBAN), "{text}");
    assert!(!text.contains(&STANDARD.encode(IBAN)[4..20]), "{text}");
    let other = after.arguments["customer"]["IBAN"].as_str().unwrap();
    assert_eq!(other.len(), IBAN.len());
    for (was, is) in IBAN.chars().zip(other.chars()) {
        assert_eq!(was.is_ascii_digit(), is.is_ascii_digit(), "{other}");
        assert_eq!(was == ' ', is == ' ', "{other}");
    }
    let asked = &after.transcript[0].asked["parameters"];
    assert_eq!(
        (&asked[0], &asked[1]["blob"]),
        (&json!(other), &json!(other))
    );
    assert_eq!(after.arguments["note"], format!("to {other}!"));
    let inner = after.transcript[1].answered.as_ref().unwrap()["ok"][0]["value"].as_str();
    assert_eq!(inner.unwrap(), json!({ "iban": other }).to_string());
    assert!(
        after
            .redacted
            .contains(&"$.arguments.customer.IBAN".to_owned())
    );
    assert!(
        after
            .redacted
            .contains(&"$.transcript[0].answered.ok.rows[0][1]".to_owned())
    );
}

#[test]
fn what_the_component_made_itself_is_not_kept() {
    let refused = |arguments, transcript, returned| {
        let mut call = call(arguments, transcript, returned);
        Redaction::new(&["token".to_owned()])
            .apply(&mut call)
            .map_err(|error| {
                assert!(!error.contains("tok-"), "{error}");
                error.split(": ").nth(1).unwrap_or_default().to_owned()
            })
    };
    let told = json!({ "token": "tok-1234", "note": "n" });
    let asks = |what: Value| vec![(what, json!({ "ok": null }))];
    let again = asks(json!({ "parameters": ["of tok-1234"] }));
    assert_eq!(
        refused(told.clone(), again, json!({ "token": "tok-1234" })),
        Ok(())
    );
    // It is made in the answer, in a question, and in a question whose answer names it.
    let made = refused(told.clone(), Vec::new(), json!({ "token": "tok-9999" }));
    assert_eq!(made, Err("$.outcome.returned.token".to_owned()));
    let made = refused(
        told,
        asks(json!({ "value": "{\"token\": 77}" })),
        Value::Null,
    );
    assert_eq!(made, Err("$.transcript[0].asked.value.token".to_owned()));
    let inserted = vec![(
        json!({ "parameters": ["tok-new1"] }),
        json!({ "columns": ["token"], "rows": [["tok-new1"]] }),
    )];
    let made = refused(json!({}), inserted, Value::Null);
    assert_eq!(made, Err("$.transcript[0].asked.parameters[0]".to_owned()));
    let short = vec![(
        json!({ "parameters": ["ab"] }),
        json!({ "columns": ["token"], "rows": [["ab"]] }),
    )];
    assert!(refused(json!({}), short, Value::Null).is_err());
}

#[test]
fn rows_with_typed_cells_are_known_by_their_columns_and_origins() {
    let column = |name: &str, origin: &str| json!({ "name": name, "origin": { "table": "people", "column": origin } });
    let call = call(
        json!({
            "rows": {
                "columns": [column("id", "id"), column("who", "actor"), { "name": "phone", "origin": null }],
                "rows": [
                    [{ "integer": 1 }, { "text": "Anna Muster" }, { "text": "+41 44 123" }],
                    [{ "integer": 2 }, "null", { "integer": 441_234 }],
                ],
            },
            "accesses": [{ "filter": [
                { "column": "actor", "comparison": "eq", "values": [{ "text": "Berta Muster" }] },
            ] }],
        }),
        Vec::new(),
        Value::Null,
    );
    let after = redacted(&["actor", "Phone", "fax"], call);
    let text = serde_json::to_string(&after.arguments).unwrap();
    for hidden in ["Anna", "Berta", "+41 44 123", "441234"] {
        assert!(!text.contains(hidden), "{text}");
    }
    assert_eq!(after.arguments["rows"]["rows"][1][1], "null");
    assert_eq!(after.arguments["rows"]["rows"][0][0]["integer"], 1);
    assert_eq!(after.redacted_names, ["Phone", "actor"]);
}

#[test]
fn parts_of_what_opens_something_are_redacted_as_the_whole_is() {
    let call = call(
        json!({ "headers": [["authorization", "Bearer abcdef.123456"]], "at": "MAIN-A-02" }),
        vec![(
            json!({ "key": "places" }),
            json!({ "key": "places", "value": "MAIN-A-01;MAIN-A-02", "private": true }),
        )],
        json!(["abcdef.123456", "MAIN-A-01", "MAIN-A-02", "MAIN-A-03"]),
    );
    let after = redacted(&[], call);
    let text = serde_json::to_string(&after).unwrap();
    for hidden in ["abcdef", "123456", "MAIN-A-01", "MAIN-A-02"] {
        assert!(!text.contains(hidden), "{text}");
    }
    // The component finds in the replacements what it found in the values.
    let list = after.transcript[0].answered.as_ref().unwrap()["value"].as_str();
    let parts: Vec<_> = list.unwrap().split(';').collect();
    let RecordedOutcome::Returned(returned) = &after.outcome else {
        panic!("{after:?}");
    };
    assert_eq!(
        (&returned[1], &returned[2]),
        (&json!(parts[0]), &json!(parts[1]))
    );
    assert_ne!(parts[0], parts[1]);
    assert_eq!(after.arguments["at"], parts[1]);
    let header = after.arguments["headers"][0][1].as_str().unwrap();
    assert!(header.ends_with(returned[0].as_str().unwrap()), "{header}");
}

#[test]
fn bytes_under_a_name_are_the_same_everywhere() {
    let photo = json!({ "base64": STANDARD.encode(b"\xff\xd8 a photo") });
    let call = call(
        json!({ "photo": photo }),
        vec![(json!({ "parameters": [photo] }), json!({ "ok": 1 }))],
        json!({ "base64": STANDARD.encode(b"with \xff\xd8 a photo in it") }),
    );
    let after = redacted(&["photo"], call);
    let other = &after.arguments["photo"];
    assert_ne!(*other, photo);
    assert_eq!(after.transcript[0].asked["parameters"][0], *other);
    let bytes = |value: &Value| STANDARD.decode(value["base64"].as_str().unwrap()).unwrap();
    let RecordedOutcome::Returned(returned) = &after.outcome else {
        panic!("{after:?}");
    };
    let expected = [b"with ".as_slice(), &bytes(other), b" in it"].concat();
    assert_eq!(bytes(returned), expected);
}

#[test]
fn what_opens_something_is_always_redacted() {
    let call = call(
        json!({ "headers": [["Authorization", "Bearer abc.def"], ["accept", "text/html"]] }),
        vec![(
            json!({ "key": "token" }),
            json!({ "key": "token", "value": "hunter2-hunter2", "private": true }),
        )],
        json!("hunter2-hunter2 and Bearer abc.def"),
    );
    let after = redacted(&[], call);
    let text = serde_json::to_string(&after).unwrap();
    assert!(
        !text.contains("hunter2") && !text.contains("abc.def"),
        "{text}"
    );
    assert!(text.contains("text/html"), "{text}");
}

#[test]
fn numbers_stay_in_their_types_and_short_ones_in_their_places() {
    let call = call(
        json!({ "pin": 255, "small": -128, "id": 7_340_912, "zero": 0, "other": 255 }),
        vec![(json!({ "parameters": [7_340_912] }), json!("no 7340912"))],
        Value::Null,
    );
    let after = redacted(&["pin", "small", "id", "zero"], call);
    let number = |name: &str| after.arguments[name].as_i64().unwrap();
    assert!((100..255).contains(&number("pin")), "{after:?}");
    assert!((-128..=-100).contains(&number("small")), "{after:?}");
    assert_eq!(number("other"), 255, "chance makes many 255");
    assert_eq!(after.transcript[0].asked["parameters"][0], number("id"));
    assert!(!serde_json::to_string(&after).unwrap().contains("7340912"));
}

#[test]
fn a_field_may_have_a_name_that_stands_for_others() {
    let before = call(
        json!({ "value": "hunter2-hunter2", "name": "Anna Muster", "other": "kept here" }),
        Vec::new(),
        Value::Null,
    );
    let after = redacted(&["value", "name"], before);
    let text = serde_json::to_string(&after.arguments).unwrap();
    assert!(
        !text.contains("hunter2") && !text.contains("Anna"),
        "{text}"
    );
    assert_eq!(after.arguments["other"], "kept here");
}

#[test]
fn parts_are_bounded_as_whole_values_are() {
    let lists = (0..REDACTED_VALUES_MAX / 10).map(|list| {
        let parts: Vec<_> = (0..10).map(|part| format!("secret{list}x{part}")).collect();
        json!({ "key": format!("k{list}"), "value": parts.join(";"), "private": true })
    });
    let lists: Vec<_> = lists.collect();
    let mut call = call(json!({ "all": lists }), Vec::new(), Value::Null);
    let refused = Redaction::new(&[]).apply(&mut call).unwrap_err();
    assert!(refused.contains("more than 500"), "{refused}");
}

#[test]
fn without_names_nothing_changes() {
    let before = call(
        json!({ "customer": "acme", "nested": "[1, {\"a\": 2}]" }),
        vec![(json!({ "keys": ["a"] }), json!({ "ok": [null] }))],
        json!(true),
    );
    let after = redacted(&["iban"], before.clone());
    assert_eq!(after, before);
}

#[test]
fn what_can_not_be_looked_into_is_not_kept() {
    let mut deep = json!("x");
    for _ in 0..3 * VALUE_DEPTH_MAX {
        deep = json!([deep]);
    }
    let mut deep = call(deep, Vec::new(), Value::Null);
    assert!(Redaction::new(&[]).apply(&mut deep).is_err());
    let many: Vec<_> = (0..=REDACTED_VALUES_MAX)
        .map(|n| format!("secret-{n}"))
        .collect();
    let mut many = call(json!({ "secret": many }), Vec::new(), Value::Null);
    assert!(
        Redaction::new(&["secret".to_owned()])
            .apply(&mut many)
            .is_err()
    );
}

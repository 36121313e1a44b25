//! Fills `test:points/rewrite`, and reads on the way whatever can differ from run to run: keys, rows, configuration,
//! the clock, random numbers. What it answers and how long it takes depends on all of them.

use cloudware_sdk::{clock, config, kv, limits, params, random, sql};

wit_bindgen::generate!({ path: "wit", world: "extension" });

/// What the database never ends with; a text asks for it.
const ENDLESS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

struct Extension;

export!(Extension);

/// Stands in the answer; a test makes another version of it.
const VERSION: &str = "reader-one";

impl exports::test::points::rewrite::Guest for Extension {
    fn rewrite(text: String, _how: String) -> Result<String, String> {
        if text == "endless" {
            let _ = sql::query(ENDLESS, params![]);
        }
        if text == "limits" {
            let until = clock::now().milliseconds() + 20;
            while clock::now().milliseconds() < until {}
            let of = |name| limits::get(name).map(|limit| format!("{name} {}/{}", limit.used, limit.max));
            let named = ["hook-recursion", "extension-time", "hook-extension-time"].map(of);
            return Ok(named.into_iter().flatten().collect::<Vec<_>>().join(" "));
        }
        let label = config::get("label").ok().flatten().unwrap_or_default();
        let kept = keys(&text).map_err(|error| error.to_string())?;
        let noted = rows(&text).map_err(|error| error.to_string())?;
        let left = limits::get("hook-deadline").map_or(0, |limit| limit.max);
        let dice = random::u64();
        // As many steps as the dice say, so that fuel tells whether they are the same.
        let steps = (0..dice % 5_000).fold(0_u64, |sum, step| sum.wrapping_mul(31).wrapping_add(step));
        let now = clock::now();
        Ok(format!("{VERSION} {text} {label} {kept} {noted} {left} {dice} {steps} {now}"))
    }
}

fn keys(text: &str) -> Result<String, kv::Error> {
    let bucket = kv::Bucket::open("reader")?;
    let calls = bucket.increment("calls", 1)?;
    let before = bucket.get("latest-text")?.map_or(0, |entry| entry.value.len());
    bucket.set("latest-text", text.as_bytes())?;
    Ok(format!("{calls}:{before}"))
}

fn rows(text: &str) -> Result<String, sql::Error> {
    sql::transaction(|transaction| {
        transaction.execute("INSERT INTO reader_notes (text, weight) VALUES (?1, ?2)", params![text, 0.1])?;
        let row = transaction.query_one("SELECT COUNT(*), SUM(weight) FROM reader_notes", params![])?;
        let (count, weight): (i64, f64) = match row {
            Some(row) => (row.get(0).unwrap_or(0), row.get(1).unwrap_or(0.0)),
            None => (0, 0.0),
        };
        Ok::<_, sql::Error>(format!("{count}/{weight}"))
    })
}

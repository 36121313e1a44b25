//! Fills the extension points on the data of other apps, as its configuration says.

use cloudware_sdk::config;

wit_bindgen::generate!({
    path: "../../../wit/access",
    world: "hooks",
});

use cloudware::access::types::{Access, Comparison, Condition, Operation, Rows, Value};
use exports::cloudware::access::{after, before};

struct Extension;

export!(Extension);

fn setting(key: &str) -> String {
    config::get(key).ok().flatten().unwrap_or_default()
}

/// The entries of a setting.
fn entries(key: &str) -> Vec<String> {
    let all = setting(key);
    all.split(';').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

fn misbehaves(how: &str) -> bool {
    entries("misbehave").iter().any(|one| one == how)
}

fn word(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "read",
        Operation::Insert => "insert",
        Operation::Update => "update",
        Operation::Delete => "delete",
    }
}

impl before::Guest for Extension {
    fn transform(mut access: Access) -> Result<Access, String> {
        assert!(!misbehaves("trap-before"), "told to trap");
        while misbehaves("loop-before") {}
        let asked = format!("{} {}", word(access.operation), access.table);
        if entries("refuse").contains(&asked) {
            return Err(format!("nobody may {asked}"));
        }
        for entry in entries("only") {
            let (column, values) = entry.split_once('=').expect("a restriction has values");
            let (table, column) = column.split_once('.').expect("a restriction has a column");
            if table == access.table {
                access.filter.push(Condition {
                    column: column.to_owned(),
                    comparison: Comparison::InList,
                    values: values.split('|').map(|value| Value::Text(value.to_owned())).collect(),
                });
            }
        }
        if misbehaves("rename") {
            access.table.push('x');
        }
        if misbehaves("drop-filter") {
            access.filter.clear();
        }
        if misbehaves("foreign-column") {
            access.filter.push(Condition {
                column: "secret".to_owned(),
                comparison: Comparison::IsNull,
                values: Vec::new(),
            });
        }
        Ok(access)
    }
}

impl after::Guest for Extension {
    fn transform(mut rows: Rows, _accesses: Vec<Access>) -> Result<Rows, String> {
        assert!(!misbehaves("trap-after"), "told to trap");
        let masks = entries("mask");
        let masked: Vec<bool> = rows
            .columns
            .iter()
            .map(|column| match &column.origin {
                Some(origin) => masks.contains(&format!("{}.{}", origin.table, origin.column)),
                None => masks.iter().any(|mask| mask == "computed"),
            })
            .collect();
        for row in &mut rows.rows {
            for (cell, masked) in row.iter_mut().zip(&masked) {
                if *masked {
                    *cell = Value::Text("***".to_owned());
                }
            }
        }
        if misbehaves("drop-rows") {
            rows.rows.pop();
        }
        if misbehaves("add-cells") {
            rows.rows[0].push(Value::Null);
        }
        Ok(rows)
    }
}

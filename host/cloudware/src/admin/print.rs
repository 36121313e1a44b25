//! Printing what the platform answered: tables for people, JSON for machines. Colours appear on
//! terminals only.

use std::io::{ErrorKind, Write};

use anyhow::Result;
use cloudware_types::{Limit, Unit, format_quantity};
use serde_json::Value;

use crate::{Output, client::Client};

/// Space between two columns.
const GAP: &str = "  ";

/// One column of a table.
pub(crate) struct Column {
    title: &'static str,
    align: Align,
    cell: fn(&Value) -> String,
}

/// On which side a column's texts end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

impl Column {
    /// A column of texts.
    pub(crate) const fn left(title: &'static str, cell: fn(&Value) -> String) -> Self {
        Self {
            title,
            align: Align::Left,
            cell,
        }
    }

    /// A column of numbers.
    pub(crate) const fn right(title: &'static str, cell: fn(&Value) -> String) -> Self {
        Self {
            title,
            align: Align::Right,
            cell,
        }
    }
}

/// Prints items, one a line under the columns' titles, or as a JSON array.
pub(crate) fn list(client: &Client, items: &[Value], columns: &[Column]) -> Result<()> {
    match client.output() {
        Output::Json => json(&items),
        Output::Text if items.is_empty() => note("nothing to show"),
        Output::Text => write(&table(items, columns)),
    }
}

/// Prints a page of a list, and where it goes on. JSON has the items alone.
pub(crate) fn page(client: &Client, page: &Value, columns: &[Column]) -> Result<()> {
    let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
    list(client, items, columns)?;
    match (client.output(), page["next"].as_str()) {
        (Output::Text, Some(next)) => note(&format!("there is more: go on with --after {next}")),
        _ => Ok(()),
    }
}

/// Prints one item, one field a line, or as a JSON object.
pub(crate) fn item(client: &Client, item: &Value, columns: &[Column]) -> Result<()> {
    if client.output() == Output::Json {
        return json(item);
    }
    let width = columns.iter().map(|column| column.title.len()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for column in columns {
        let cell = clean(&(column.cell)(item));
        if !cell.is_empty() {
            let title = bold(&format!("{:width$}", column.title));
            text.push_str(&format!("{title}{GAP}{cell}\n"));
        }
    }
    write(&text)
}

/// Prints a JSON value.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<()> {
    write(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Prints text on standard output. A reader that has read enough is no error.
pub(crate) fn write(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Prints a message on standard error.
pub(crate) fn note(text: &str) -> Result<()> {
    writeln!(anstream::stderr().lock(), "{text}")?;
    Ok(())
}

/// Text in bold where that can be shown.
pub(crate) fn bold(text: &str) -> String {
    let style = anstyle::Style::new().bold();
    format!("{style}{text}{style:#}")
}

/// A field as text; empty if it is absent.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A time without fractions of seconds.
pub(crate) fn time(value: &Value) -> String {
    let text = text(value);
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// A number with its thousands apart.
pub(crate) fn number(value: &Value) -> String {
    let Some(number) = value.as_u64() else {
        return text(value);
    };
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The value of a limit with its unit, as `format` writes it; without one where this version of the command does not know the
/// limit.
pub(crate) fn of_limit(name: &str, value: &Value, format: fn(Unit, u64) -> String) -> String {
    match (name.parse::<Limit>(), value.as_u64()) {
        (Ok(limit), Some(value)) => format(limit.unit(), value),
        _ => number(value),
    }
}

/// Bytes as people say them.
pub(crate) fn bytes(value: &Value) -> String {
    format_quantity(Unit::Bytes, value.as_u64().unwrap_or(0))
}

/// Nanoseconds as people say them.
pub(crate) fn nanoseconds(value: &Value) -> String {
    let nanoseconds = value.as_u64().unwrap_or(0) as f64;
    match nanoseconds {
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.1} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

fn table(items: &[Value], columns: &[Column]) -> String {
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            columns
                .iter()
                .map(|column| clean(&(column.cell)(item)))
                .collect()
        })
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let cells = rows.iter().map(|row| row[index].chars().count());
            cells.chain([column.title.len()]).max().unwrap_or(0)
        })
        .collect();
    let titles: Vec<String> = columns
        .iter()
        .map(|column| column.title.to_owned())
        .collect();
    let mut text = format!("{}\n", bold(&line(&titles, columns, &widths)));
    for row in &rows {
        text.push_str(&line(row, columns, &widths));
        text.push('\n');
    }
    text
}

fn line(cells: &[String], columns: &[Column], widths: &[usize]) -> String {
    let cells = cells.iter().zip(columns).zip(widths);
    let padded: Vec<String> = cells
        .map(|((cell, column), &width)| match column.align {
            Align::Left => format!("{cell:width$}"),
            Align::Right => format!("{cell:>width$}"),
        })
        .collect();
    padded.join(GAP).trim_end().to_owned()
}

/// Texts come from strangers; a terminal would obey their control characters.
pub(crate) fn clean(text: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let items = [
            serde_json::json!({ "name": "a", "n": 1_234_567 }),
            serde_json::json!({ "name": "longer", "n": 5 }),
        ];
        let columns = [
            Column::left("NAME", |v| text(&v["name"])),
            Column::right("N", |v| number(&v["n"])),
        ];
        let shown = anstream::adapter::strip_str(&table(&items, &columns)).to_string();
        assert_eq!(
            shown,
            "NAME            N\na       1,234,567\nlonger          5\n"
        );
    }

    #[test]
    fn control_characters_are_not_shown() {
        assert_eq!(clean("a\u{1b}[31mb"), "a\u{fffd}[31mb");
    }

    #[test]
    fn quantities_for_people() {
        assert_eq!(bytes(&20_971_520.into()), "20 MiB");
        assert_eq!(nanoseconds(&1_500_000.into()), "1.5 ms");
        assert_eq!(
            time(&"2026-01-01T00:00:00.123Z".into()),
            "2026-01-01T00:00:00Z"
        );
    }
}

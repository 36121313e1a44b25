//! Redaction of what was recorded, before it is kept. What stands under a name that is to be redacted is replaced,
//! and so is every copy of it, wherever it stands: an argument comes back as a parameter of a statement, in the key
//! of an entry, inside a longer text. The same value is replaced by the same one everywhere, of the same length and
//! the same classes of characters where that is possible, so that the guest goes the same way.

mod copies;
mod origin;
mod other;

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap, HashSet},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloudware_types::{RecordedCall, RecordedOutcome};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Map, Number, Value};

use crate::limits::{
    REDACTED_COPY_BYTES_MIN, REDACTED_NAMED_MAX, REDACTED_VALUES_MAX, VALUE_DEPTH_MAX,
};
use copies::{Copies, escaped};
use origin::{Said, Speaker, is_long};
use other::{Others, other_number};

/// Names that are always redacted: they carry what opens something.
const ALWAYS: [&str; 5] = [
    "authorization",
    "cookie",
    "set-cookie",
    "proxy-authorization",
    "x-api-key",
];

/// Tells what is to be redacted, and does it.
pub(super) struct Redaction {
    /// As they are compared, with what stands under them.
    names: HashMap<String, Name>,
    /// Names that stood somewhere, as they were given.
    found: RefCell<BTreeSet<String>>,
    random: StdRng,
    others: Others,
    texts: HashMap<String, String>,
    /// Texts of which parts are looked for, too.
    secrets: HashSet<String>,
    /// Bytes that are no texts.
    blobs: HashMap<Vec<u8>, Vec<u8>>,
    numbers: HashMap<Number, Number>,
    /// What was said in the part of the call that is looked at.
    speaker: Speaker,
    said: Said,
    /// Values whose copies are replaced too.
    copies: Copies,
    redacted: Vec<String>,
    omitted: usize,
}

/// A name that is redacted.
#[derive(Debug)]
struct Name {
    given: String,
    under: Under,
}

/// Whether a value stands under a name that is redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Under {
    Open,
    /// It is what somebody does not want to be seen.
    Redacted,
    /// It opens something. A component takes such values apart (a scheme and a token, a list of addresses), and no part
    /// may be seen either.
    Secret,
}

/// What is done with the values that are found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Finds what is to be replaced.
    Collect,
    /// Replaces it, with its copies.
    Replace,
}

impl Redaction {
    pub(super) fn new(names: &[String]) -> Self {
        let always = ALWAYS.iter().map(|&name| (name, Under::Secret));
        let chosen = names.iter().map(|name| (name.as_str(), Under::Redacted));
        // What always is stays what it is where it is chosen as well.
        let all = chosen.chain(always).map(|(name, under)| {
            let given = name.to_owned();
            (plain(name), Name { given, under })
        });
        Self {
            names: all.collect(),
            found: RefCell::default(),
            random: StdRng::from_rng(&mut rand::rng()),
            others: Others::default(),
            texts: HashMap::new(),
            secrets: HashSet::new(),
            blobs: HashMap::new(),
            numbers: HashMap::new(),
            speaker: Speaker::Host,
            said: Said::default(),
            copies: Copies::none(),
            redacted: Vec::new(),
            omitted: 0,
        }
    }

    /// Redacts a call, and notes in it what was replaced.
    ///
    /// # Errors
    /// Where there is more to redact than one call may have, it is nested too deeply, or the component made a redacted
    /// value itself; it must not be kept then.
    pub(super) fn apply(mut self, call: &mut RecordedCall) -> Result<(), String> {
        self.walk_call(call, Pass::Collect)?;
        self.check_count()?;
        self.find_copies()?;
        self.refuse_made()?;
        self.walk_call(call, Pass::Replace)?;
        call.redacted = self.redacted;
        call.redacted_names = self.found.into_inner().into_iter().collect();
        if self.omitted > 0 {
            call.redacted.push(format!("and {} more", self.omitted));
        }
        Ok(())
    }

    fn walk_call(&mut self, call: &mut RecordedCall, pass: Pass) -> Result<(), String> {
        self.speaker = Speaker::Host;
        self.walk(&mut call.arguments, Under::Open, pass, "$.arguments", 0)?;
        for (index, exchange) in call.transcript.iter_mut().enumerate() {
            let at = format!("$.transcript[{index}]");
            let asked = format!("{at}.asked");
            self.speaker = Speaker::Guest;
            self.walk(&mut exchange.asked, Under::Open, pass, &asked, 0)?;
            self.speaker = Speaker::Host;
            if let Some(answered) = &mut exchange.answered {
                self.walk(answered, Under::Open, pass, &format!("{at}.answered"), 0)?;
            }
        }
        self.speaker = Speaker::Guest;
        if let RecordedOutcome::Returned(value) = &mut call.outcome {
            self.walk(value, Under::Open, pass, "$.outcome.returned", 0)?;
        }
        Ok(())
    }

    /// Copies are looked for in the form in which they stand in JSON, too.
    fn find_copies(&mut self) -> Result<(), String> {
        let mut copies: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for secret in &self.secrets {
            for part in parts(secret).ok_or_else(too_many)? {
                if !self.texts.contains_key(part) {
                    let replacement = self.others.text(part, &mut self.random);
                    self.texts.insert(part.to_owned(), replacement);
                }
            }
            self.check_count()?;
        }
        for (text, replacement) in &self.texts {
            copies.push((text.clone().into(), replacement.clone().into()));
            let escaped = escaped(text);
            if escaped != *text {
                copies.push((escaped.into(), self::escaped(replacement).into()));
            }
        }
        let digits = self.numbers.iter();
        copies.extend(digits.map(|(n, r)| (n.to_string().into(), r.to_string().into())));
        let blobs = self.blobs.iter();
        copies.extend(blobs.map(|(bytes, other)| (bytes.clone(), other.clone())));
        copies.retain(|(value, _)| value.len() >= REDACTED_COPY_BYTES_MIN);
        self.copies = Copies::new(copies).map_err(|_| too_long())?;
        Ok(())
    }

    fn check_count(&self) -> Result<(), String> {
        let count = self.texts.len() + self.blobs.len() + self.numbers.len();
        if count > REDACTED_VALUES_MAX {
            return Err(too_many());
        }
        Ok(())
    }

    /// Refuses a call in which the component made a value that is redacted.
    fn refuse_made(&self) -> Result<(), String> {
        let digits: Vec<String> = self.numbers.keys().map(Number::to_string).collect();
        let long = |digits: &&String| digits.len() >= REDACTED_COPY_BYTES_MIN;
        let texts = self.texts.keys().chain(digits.iter().filter(long));
        let values = texts.map(String::as_bytes);
        let values = values.chain(self.blobs.keys().map(Vec::as_slice));
        let made = self.said.made_by_guest(values, self.numbers.keys());
        match made.map_err(|_| too_long())? {
            None => Ok(()),
            Some(at) => Err(format!(
                "the component made a value that is redacted, and would make it again: {}",
                self.copies.replaced(at).unwrap_or_else(|| at.to_owned())
            )),
        }
    }

    fn walk(
        &mut self,
        value: &mut Value,
        under: Under,
        pass: Pass,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        // Twice what a value may have: texts that are JSON are looked into as well.
        if depth > 2 * VALUE_DEPTH_MAX {
            return Err("it is nested too deeply to be redacted".to_owned());
        }
        match value {
            Value::Null => Ok(()),
            Value::Bool(yes) => {
                if under != Under::Open && pass == Pass::Replace {
                    *yes = false;
                    self.note(at);
                }
                Ok(())
            }
            Value::Number(number) => {
                self.number(number, under, pass, at);
                Ok(())
            }
            Value::String(text) => self.text(text, under, pass, at, depth),
            Value::Array(items) => self.list(items, under, pass, at, depth),
            Value::Object(members) => self.object(members, under, pass, at, depth),
        }
    }

    fn list(
        &mut self,
        items: &mut [Value],
        under: Under,
        pass: Pass,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        // A pair of a name and a value, as headers are written.
        let named = match &*items {
            [Value::String(name), _] => self.under(name),
            _ => Under::Open,
        };
        for (index, item) in items.iter_mut().enumerate() {
            let under = if index == 1 { under.max(named) } else { under };
            self.walk(item, under, pass, &format!("{at}[{index}]"), depth + 1)?;
        }
        Ok(())
    }

    fn object(
        &mut self,
        members: &mut Map<String, Value>,
        under: Under,
        pass: Pass,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        // Values whose name stands beside them, and those that their capability says are private.
        let beside = ["key", "name", "column"];
        let names = beside
            .iter()
            .filter_map(|name| members.get(*name)?.as_str());
        let named = names.map(|name| self.under(name)).max();
        let named = match members.get("private") {
            Some(Value::Bool(true)) => Under::Secret,
            _ => named.unwrap_or(Under::Open),
        };
        // A table: the names of the columns stand once.
        let columns: Vec<Under> = match (members.get("columns"), members.get("rows")) {
            (Some(Value::Array(columns)), Some(Value::Array(_))) => {
                columns.iter().map(|column| self.column(column)).collect()
            }
            _ => Vec::new(),
        };
        if let (Some(Value::String(text)), 1) = (members.get("base64"), members.len()) {
            let replaced = self.bytes(text, under, pass, at);
            if let Some(replaced) = replaced {
                members.insert("base64".to_owned(), replaced.into());
            }
            return Ok(());
        }
        for (name, value) in members.iter_mut() {
            let at = format!("{at}.{}", self.shown(name));
            if pass == Pass::Collect {
                self.said.text(self.speaker, &at, name.as_bytes());
            }
            if name == "rows" && !columns.is_empty() {
                self.rows(value, &columns, (under, pass), &at, depth)?;
                continue;
            }
            let under = match name.as_str() {
                "value" | "values" => under.max(named).max(self.under(name)),
                "private" | "key" | "name" | "column" if named != Under::Open => self.under(name),
                name => under.max(self.under(name)),
            };
            self.walk(value, under, pass, &at, depth + 1)?;
        }
        if pass == Pass::Replace {
            self.names_of(members, at);
        }
        Ok(())
    }

    /// What stands in a column, which is a name, or an object with its name and the column of a table that it shows.
    fn column(&self, column: &Value) -> Under {
        let names = [
            column.as_str(),
            column["name"].as_str(),
            column["origin"]["column"].as_str(),
        ];
        let under = names.into_iter().flatten().map(|name| self.under(name));
        under.max().unwrap_or(Under::Open)
    }

    fn rows(
        &mut self,
        rows: &mut Value,
        columns: &[Under],
        (under, pass): (Under, Pass),
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        for (row, cells) in rows.as_array_mut().into_iter().flatten().enumerate() {
            for (column, cell) in cells.as_array_mut().into_iter().flatten().enumerate() {
                let named = columns.get(column).copied().unwrap_or(Under::Open);
                // The case of a variant for a cell without a value; a text would be in an object.
                let is_absent = cell.as_str() == Some("null");
                let under = if is_absent {
                    Under::Open
                } else {
                    under.max(named)
                };
                let at = format!("{at}[{row}][{column}]");
                self.walk(cell, under, pass, &at, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Copies in the names of members.
    fn names_of(&mut self, members: &mut Map<String, Value>, at: &str) {
        if !members.keys().any(|name| self.copies.is_in(name)) {
            return;
        }
        let before = std::mem::take(members);
        for (name, value) in before {
            members.insert(self.copies.replaced(&name).unwrap_or(name), value);
        }
        self.note(at);
    }

    fn number(&mut self, number: &mut Number, under: Under, pass: Pass, at: &str) {
        let is_named = under != Under::Open;
        if pass == Pass::Collect {
            self.said.number(self.speaker, at, number, is_named);
            self.said
                .text(self.speaker, at, number.to_string().as_bytes());
            if is_named && !self.numbers.contains_key(number) {
                let replacement = other_number(number, &mut self.random);
                self.numbers.insert(number.clone(), replacement);
            }
            return;
        }
        let replacement = self.numbers.get(number);
        if let Some(replacement) = replacement.filter(|_| is_named || is_long(number)) {
            *number = replacement.clone();
            self.note(at);
        }
    }

    fn text(
        &mut self,
        text: &mut String,
        under: Under,
        pass: Pass,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        if pass == Pass::Collect {
            self.said.text(self.speaker, at, text.as_bytes());
        }
        if under != Under::Open {
            match pass {
                Pass::Collect => {
                    if !text.is_empty() && !self.texts.contains_key(text) {
                        let replacement = self.others.text(text, &mut self.random);
                        self.texts.insert(text.clone(), replacement);
                    }
                    if under == Under::Secret {
                        self.secrets.insert(text.clone());
                    }
                }
                Pass::Replace => {
                    if let Some(replacement) = self.texts.get(text) {
                        text.clone_from(replacement);
                        self.note(at);
                    }
                }
            }
            return Ok(());
        }
        let is_json = text.trim_start().starts_with(['{', '[']);
        if let Some(mut inner) = is_json
            .then(|| serde_json::from_str::<Value>(text).ok())
            .flatten()
        {
            let before = inner.clone();
            self.walk(&mut inner, Under::Open, pass, at, depth + 1)?;
            if pass == Pass::Replace && inner != before {
                // As it was written where that says the same; otherwise written anew.
                let kept = self.copies.replaced(text);
                let same =
                    |kept: &String| serde_json::from_str::<Value>(kept).ok() == Some(inner.clone());
                *text = kept.filter(same).unwrap_or_else(|| inner.to_string());
                return Ok(());
            }
        }
        if pass == Pass::Replace {
            let whole = self.texts.get(text).cloned();
            if let Some(replaced) = whole.or_else(|| self.copies.replaced(text)) {
                *text = replaced;
                self.note(at);
            }
        }
        Ok(())
    }

    /// Bytes that are no text, with their replacement where they have one.
    fn bytes(&mut self, text: &str, under: Under, pass: Pass, at: &str) -> Option<String> {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        if pass == Pass::Collect {
            self.said.text(self.speaker, at, &bytes);
            if under != Under::Open && !self.blobs.contains_key(&bytes) {
                let mut other = vec![0; bytes.len()];
                self.random.fill(&mut other[..]);
                self.blobs.insert(bytes, other);
            }
            return None;
        }
        let whole = self.blobs.get(&bytes).cloned();
        let replaced = whole.or_else(|| self.copies.replaced_bytes(&bytes))?;
        self.note(at);
        Some(STANDARD.encode(replaced))
    }

    /// What stands under a name.
    fn under(&self, name: &str) -> Under {
        let Some(name) = self.names.get(&plain(name)) else {
            return Under::Open;
        };
        let mut found = self.found.borrow_mut();
        if !found.contains(&name.given) {
            found.insert(name.given.clone());
        }
        name.under
    }

    /// The name of a member in a path, which must not tell what is redacted either.
    fn shown(&self, name: &str) -> String {
        let name = self
            .copies
            .replaced(name)
            .unwrap_or_else(|| name.to_owned());
        name.chars().take(64).collect()
    }

    fn note(&mut self, at: &str) {
        if self.redacted.last().is_some_and(|last| last == at) {
            return;
        }
        if self.redacted.len() < REDACTED_NAMED_MAX {
            self.redacted.push(at.to_owned());
        } else {
            self.omitted += 1;
        }
    }
}

/// A name as it is compared: `X-Api-Key` and `x_api_key` are one.
fn plain(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

/// The parts of a text of a size that is looked for: what stands between separators, and between those of each kind.
/// `None` where they are too many.
fn parts(text: &str) -> Option<HashSet<&str>> {
    let mut parts = HashSet::new();
    let mut open = vec![text];
    while let Some(text) = open.pop() {
        let separators: BTreeSet<char> = text.chars().filter(|c| !c.is_alphanumeric()).collect();
        let around = separators
            .iter()
            .filter_map(|&separator| text.split_once(separator));
        let around = around.flat_map(|(before, after)| [before, after]);
        let between = separators
            .iter()
            .flat_map(|&separator| text.split(separator));
        for part in between.chain(around) {
            if part.len() >= REDACTED_COPY_BYTES_MIN && parts.insert(part) {
                open.push(part);
            }
        }
        if parts.len() > REDACTED_VALUES_MAX {
            return None;
        }
    }
    Some(parts)
}

fn too_many() -> String {
    format!("it has more than {REDACTED_VALUES_MAX} values to be redacted")
}

fn too_long() -> String {
    "its values to be redacted are too long to be looked for".to_owned()
}

#[cfg(test)]
mod tests;

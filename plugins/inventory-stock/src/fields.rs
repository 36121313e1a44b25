//! Reads the input of a request, from a JSON object, an HTML form or a query, by the rules of
//! [`crate::rules`], and collects everything that is wrong before it answers.

use std::collections::BTreeMap;

use cloudware_sdk::http::{Problem, Request, Status, parse_pairs};
use serde::Serialize;

use crate::rules::Checked;

/// The most bytes of a body: every field at its longest, several times over.
const BODY_BYTES_MAX: usize = 16_384;

/// The input of a request. Getters take a field out; [`Fields::finish`] tells what was wrong.
pub struct Fields {
    values: BTreeMap<String, Input>,
    errors: Vec<FieldError>,
    known: Vec<&'static str>,
}

/// A value as it came. Forms and queries know text alone.
enum Input {
    Text(String),
    Number(i64),
    Bool(bool),
    Untyped(String),
    Other,
}

/// What is wrong with a field.
#[derive(Serialize, Debug, PartialEq)]
pub struct FieldError {
    field: String,
    message: String,
}

/// True where a browser sent an HTML form, and so wants a page for an answer.
pub fn is_from_page(request: &Request) -> bool {
    let accepts_pages = request
        .header("accept")
        .is_some_and(|accept| accept.contains("text/html"));
    accepts_pages && has_form(request)
}

fn has_form(request: &Request) -> bool {
    let content_type = request.header("content-type").unwrap_or_default();
    content_type.starts_with("application/x-www-form-urlencoded")
}

impl Fields {
    /// Reads the body: an HTML form by its content type, a JSON object otherwise. What begins as an
    /// object is read as one, because `curl -d` declares a form for everything.
    pub fn of_body(request: &Request) -> Result<Self, Problem> {
        let bytes = request.body(BODY_BYTES_MAX)?;
        if has_form(request) && !bytes.trim_ascii_start().starts_with(b"{") {
            return Ok(Self::of_pairs(parse_pairs(&String::from_utf8_lossy(
                &bytes,
            ))));
        }
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes)
            .map_err(|error| {
                Problem::new(Status::BAD_REQUEST, "invalid-json")
                    .with_detail(format!("the body must be a JSON object: {error}"))
            })?;
        let values = object.into_iter();
        Ok(Self::new(
            values
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, Input::of_json(value)))
                .collect(),
        ))
    }

    /// Reads the query.
    pub fn of_query(request: &Request) -> Self {
        Self::of_pairs(request.query_pairs())
    }

    /// An empty field of a form or query is one that was left out.
    fn of_pairs(pairs: Vec<(String, String)>) -> Self {
        Self::new(
            pairs
                .into_iter()
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, Input::Untyped(value)))
                .collect(),
        )
    }

    fn new(values: BTreeMap<String, Input>) -> Self {
        Self {
            values,
            errors: Vec::new(),
            known: Vec::new(),
        }
    }

    /// A text that must be there. Gives the default where it is wrong; `finish` then refuses.
    pub fn text<T: Default>(&mut self, name: &'static str, rule: fn(&str) -> Checked<T>) -> T {
        let value = self.text_if_any(name, rule);
        self.required(name, value)
    }

    /// A text that may be left out.
    pub fn text_if_any<T>(
        &mut self,
        name: &'static str,
        rule: fn(&str) -> Checked<T>,
    ) -> Option<T> {
        let checked = match self.take(name)? {
            Input::Text(text) | Input::Untyped(text) => rule(&text),
            _ => Err("must be text"),
        };
        self.check(name, checked)
    }

    /// A whole number that must be there.
    pub fn number(&mut self, name: &'static str, rule: fn(i64) -> Checked<i64>) -> i64 {
        let value = self.number_if_any(name, rule);
        self.required(name, value)
    }

    /// A whole number that may be left out.
    pub fn number_if_any(
        &mut self,
        name: &'static str,
        rule: fn(i64) -> Checked<i64>,
    ) -> Option<i64> {
        let number = match self.take(name)? {
            Input::Number(number) => Some(number),
            Input::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        };
        self.check(name, number.ok_or("must be a whole number").and_then(rule))
    }

    /// Yes or no, which may be left out.
    pub fn flag_if_any(&mut self, name: &'static str) -> Option<bool> {
        let flag = match self.take(name)? {
            Input::Bool(flag) => Some(flag),
            Input::Untyped(text) => match text.as_str() {
                "true" | "on" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            _ => None,
        };
        self.check(name, flag.ok_or("must be true or false"))
    }

    /// Adds an error of a rule that concerns several fields.
    pub fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError {
            field: field.to_owned(),
            message: message.into(),
        });
    }

    /// Ends the reading: an error with everything that was wrong, unknown fields included.
    pub fn finish(mut self) -> Result<(), Problem> {
        let known = self.known.join(", ");
        let unknown: Vec<String> = self.values.keys().cloned().collect();
        for field in unknown {
            let field: String = field.chars().take(60).collect();
            self.refuse(&field, format!("is unknown; the fields are {known}"));
        }
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(problem(&self.errors))
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Input> {
        self.known.push(name);
        self.values.remove(name)
    }

    fn check<T>(&mut self, name: &str, checked: Checked<T>) -> Option<T> {
        checked.map_err(|message| self.refuse(name, message)).ok()
    }

    fn required<T: Default>(&mut self, name: &str, value: Option<T>) -> T {
        let refused = self.errors.last().is_some_and(|error| error.field == name);
        if value.is_none() && !refused {
            self.refuse(name, "is missing");
        }
        value.unwrap_or_default()
    }
}

impl Input {
    fn of_json(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self::Text(text),
            serde_json::Value::Bool(flag) => Self::Bool(flag),
            serde_json::Value::Number(number) => number.as_i64().map_or(Self::Other, Self::Number),
            _ => Self::Other,
        }
    }
}

/// The answer to input with one wrong field, found out later than by its form.
pub fn invalid_field(field: &str, message: impl Into<String>) -> Problem {
    problem(&[FieldError {
        field: field.to_owned(),
        message: message.into(),
    }])
}

fn problem(errors: &[FieldError]) -> Problem {
    let sentences: Vec<String> = errors
        .iter()
        .map(|error| format!("{} {}", error.field, error.message))
        .collect();
    Problem::new(Status::UNPROCESSABLE_CONTENT, "invalid-fields")
        .with_detail(sentences.join("; "))
        .with_member("errors", &errors)
}

#[cfg(test)]
mod tests {
    use cloudware_sdk::http::{IntoResponse, Method};

    use super::*;
    use crate::rules;

    fn json(body: &str) -> Fields {
        Fields::of_body(&Request::new(Method::Post, "/").with_body(body)).unwrap()
    }

    fn form(body: &str) -> Fields {
        let request = Request::new(Method::Post, "/")
            .with_header("content-type", "application/x-www-form-urlencoded")
            .with_body(body);
        Fields::of_body(&request).unwrap()
    }

    fn wrong_fields(fields: Fields) -> Vec<String> {
        let response = fields.finish().unwrap_err().into_response();
        assert_eq!(response.status(), Status::UNPROCESSABLE_CONTENT);
        let body: serde_json::Value =
            serde_json::from_slice(&response.into_body().unwrap()).unwrap();
        let errors = body["errors"].as_array().unwrap().iter();
        errors
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn json_and_forms_are_read_by_the_same_rules() {
        for mut fields in [
            json(r#"{"sku": "A-1", "quantity": 5, "active": true, "note": null}"#),
            form("sku=A-1&quantity=5&active=on&note="),
            form(r#" {"sku": "A-1", "quantity": 5, "active": true}"#),
        ] {
            assert_eq!(fields.text("sku", rules::sku), "A-1");
            assert_eq!(fields.number("quantity", rules::quantity), 5);
            assert_eq!(fields.flag_if_any("active"), Some(true));
            assert_eq!(fields.text_if_any("note", rules::note), None);
            assert!(fields.finish().is_ok());
        }
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        let mut fields = json(r#"{"sku": "a b", "quantity": 1.5, "colour": "red", "unit": 3}"#);
        fields.text("sku", rules::sku);
        fields.text("title", rules::title);
        fields.number("quantity", rules::quantity);
        fields.text_if_any("unit", rules::unit);
        assert_eq!(
            wrong_fields(fields),
            ["sku", "title", "quantity", "unit", "colour"]
        );
    }

    #[test]
    fn a_number_in_json_is_no_text_and_the_other_way_round() {
        let mut fields = json(r#"{"sku": 5, "quantity": "5"}"#);
        fields.text("sku", rules::sku);
        fields.number("quantity", rules::quantity);
        assert_eq!(wrong_fields(fields), ["sku", "quantity"]);
    }

    #[test]
    fn bodies_that_are_no_object_are_refused() {
        for body in ["", "[]", "{", "5", "{\"a\":1}x", &"[".repeat(5_000)] {
            let request = Request::new(Method::Post, "/").with_body(body);
            let problem = Fields::of_body(&request).err().unwrap();
            assert_eq!(problem.status(), Status::BAD_REQUEST, "{body:.9}");
        }
        let large = Request::new(Method::Post, "/").with_body(vec![b' '; BODY_BYTES_MAX + 1]);
        let problem = Fields::of_body(&large).err().unwrap();
        assert_eq!(problem.status(), Status::PAYLOAD_TOO_LARGE);
    }
}

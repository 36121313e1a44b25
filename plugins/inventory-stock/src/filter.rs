//! Conditions of a list, of which each caller names some. Only those named are in the statement, so
//! that the database can use its indexes.

use cloudware_sdk::sql::Value;

/// Conditions that all hold, with their parameters.
pub struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    /// Begins with a condition without parameters.
    pub fn new(first: &'static str) -> Self {
        Self {
            text: format!("WHERE {first}"),
            values: Vec::new(),
        }
    }

    /// Adds a condition if there is a value for each of its `?`, all the same one.
    pub fn and(mut self, condition: &'static str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            let value = value.into();
            self.text.push_str(" AND ");
            self.text.push_str(condition);
            for _ in condition.matches('?') {
                self.values.push(value.clone());
            }
        }
        self
    }

    /// The statement that begins with `select` and ends with `order`, and all its parameters; `order`
    /// has one more `?`, for the number of rows.
    pub fn statement(mut self, select: &str, order: &str, rows_max: i64) -> (String, Vec<Value>) {
        self.values.push(Value::Integer(rows_max));
        (format!("{select} {} {order}", self.text), self.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_in_the_statement() {
        let (statement, values) = Conditions::new("quantity > 0")
            .and("sku = ?", Some("A-1"))
            .and("location = ?", None::<String>)
            .and("(f = ? OR t = ?)", Some("X"))
            .statement("SELECT sku FROM levels", "ORDER BY sku LIMIT ?", 5);
        assert_eq!(
            statement,
            "SELECT sku FROM levels WHERE quantity > 0 AND sku = ? AND (f = ? OR t = ?) ORDER BY sku LIMIT ?"
        );
        assert_eq!(values.len(), 4);
        assert!(matches!(values[3], Value::Integer(5)));
    }
}

//! The rows that a query gave, and typed access to their cells.

use std::{error, fmt, rc::Rc};

use super::{Error, FromValue, Value};
use crate::bindings::sql::cloudware::sql::database as binding;

/// The rows that a query gave.
#[derive(Clone, Debug)]
pub struct Rows {
    columns: Rc<[String]>,
    rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Rc<[String]>,
    cells: Vec<Value>,
}

/// A type that a row can be read as.
pub trait FromRow: Sized {
    /// Reads a row.
    ///
    /// # Errors
    /// Where a column is missing or not of the wanted type.
    fn from_row(row: &Row) -> Result<Self, ColumnError>;
}

/// How a column is named: by name, or by position from 0.
pub trait ColumnIndex: fmt::Display {
    /// The position of the column, if it is there.
    fn position(&self, columns: &[String]) -> Option<usize>;
}

/// A column is not there or not of the wanted type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ColumnError {
    /// The result has no such column.
    Missing {
        /// The column that was asked for.
        column: String,
    },
    /// The cell is of another type.
    Type {
        /// The column.
        column: String,
        /// What was asked for.
        wanted: &'static str,
    },
}

impl Rows {
    /// The names of the columns.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True where there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first row, if any.
    #[must_use]
    pub fn into_first(self) -> Option<Row> {
        self.rows.into_iter().next()
    }

    /// Reads every row as a `T`.
    ///
    /// # Errors
    /// [`Error::Column`] for the first row that does not fit.
    pub fn read<T: FromRow>(&self) -> Result<Vec<T>, Error> {
        Ok(self
            .rows
            .iter()
            .map(T::from_row)
            .collect::<Result<_, _>>()?)
    }
}

impl Row {
    /// The cell of a column, by name or by position from 0.
    ///
    /// # Errors
    /// [`ColumnError`] where the column is missing or not of the wanted type.
    pub fn get<T: FromValue>(&self, column: impl ColumnIndex) -> Result<T, ColumnError> {
        let cell = column
            .position(&self.columns)
            .and_then(|position| self.cells.get(position))
            .ok_or_else(|| ColumnError::Missing {
                column: column.to_string(),
            })?;
        T::from_value(cell).ok_or_else(|| ColumnError::Type {
            column: column.to_string(),
            wanted: T::KIND,
        })
    }

    /// Every cell, in the order of the columns.
    #[must_use]
    pub fn cells(&self) -> &[Value] {
        &self.cells
    }

    /// Reads the row as a `T`.
    ///
    /// # Errors
    /// [`Error::Column`] where it does not fit.
    pub fn read<T: FromRow>(&self) -> Result<T, Error> {
        Ok(T::from_row(self)?)
    }
}

impl From<binding::RowSet> for Rows {
    fn from(set: binding::RowSet) -> Self {
        let columns: Rc<[String]> = set.columns.into();
        let rows = set
            .rows
            .into_iter()
            .map(|cells| Row {
                columns: Rc::clone(&columns),
                cells,
            })
            .collect();
        Self { columns, rows }
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = &'a Row;
    type IntoIter = std::slice::Iter<'a, Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

impl IntoIterator for Rows {
    type Item = Row;
    type IntoIter = std::vec::IntoIter<Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

impl ColumnIndex for &str {
    fn position(&self, columns: &[String]) -> Option<usize> {
        columns.iter().position(|column| column == self)
    }
}

impl ColumnIndex for usize {
    fn position(&self, columns: &[String]) -> Option<usize> {
        (*self < columns.len()).then_some(*self)
    }
}

impl fmt::Display for ColumnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { column } => write!(f, "the result has no column `{column}`"),
            Self::Type { column, wanted } => {
                write!(f, "the column `{column}` is not {wanted}")
            }
        }
    }
}

impl error::Error for ColumnError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        binding::RowSet {
            columns: vec!["sku".into(), "quantity".into()],
            rows: vec![
                vec![Value::Text("A-1".into()), Value::Integer(3)],
                vec![Value::Text("A-2".into()), Value::Null],
            ],
        }
        .into()
    }

    #[derive(PartialEq, Debug)]
    struct Level {
        sku: String,
        quantity: Option<u32>,
    }

    impl FromRow for Level {
        fn from_row(row: &Row) -> Result<Self, ColumnError> {
            Ok(Self {
                sku: row.get("sku")?,
                quantity: row.get(1)?,
            })
        }
    }

    #[test]
    fn rows_are_read_by_name_and_position() {
        let levels: Vec<Level> = rows().read().unwrap();
        assert_eq!(levels[0].quantity, Some(3));
        assert_eq!(levels[1].sku, "A-2");
        assert_eq!(levels[1].quantity, None);
    }

    #[test]
    fn a_wrong_column_is_named() {
        let row = rows().into_first().unwrap();
        let missing = row.get::<i64>("price").unwrap_err();
        assert_eq!(missing.to_string(), "the result has no column `price`");
        assert!(matches!(
            row.get::<i64>("sku").unwrap_err(),
            ColumnError::Type { column, .. } if column == "sku"
        ));
        assert!(row.get::<i64>(2).is_err());
    }
}

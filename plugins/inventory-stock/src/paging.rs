//! Cursor pagination: `?limit=` and `?after=`, and `next` in the answer.

use cloudware_sdk::http::Response;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{fields::Fields, rules::Checked};

/// Rows of a page where the caller names no number.
const LIMIT_DEFAULT: i64 = 50;

/// The most rows of a page.
const LIMIT_MAX: i64 = 200;

/// Which part of a list is asked for.
pub struct Paging {
    limit: i64,
}

impl Paging {
    /// Reads `limit`.
    pub fn read(fields: &mut Fields) -> Self {
        let limit = fields.number_if_any("limit", |number| {
            if (1..=LIMIT_MAX).contains(&number) {
                Ok(number)
            } else {
                Err("must be from 1 to 200")
            }
        });
        Self {
            limit: limit.unwrap_or(LIMIT_DEFAULT),
        }
    }

    /// How many rows to ask the database for: one more than the page has, which tells whether
    /// another page follows.
    pub fn rows_asked(&self) -> i64 {
        self.limit + 1
    }

    /// Cuts the rows to the page; gives the cursor of the next page too.
    pub fn cut<T>(
        &self,
        mut rows: Vec<T>,
        cursor: impl Fn(&T) -> String,
    ) -> (Vec<T>, Option<String>) {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if rows.len() <= limit {
            return (rows, None);
        }
        rows.truncate(limit);
        let next = rows.last().map(cursor);
        (rows, next)
    }

    /// Answers a page of rows under the name of what they are.
    pub fn respond<T: Serialize>(
        &self,
        name: &'static str,
        rows: Vec<T>,
        cursor: impl Fn(&T) -> String,
    ) -> Response {
        let (rows, next) = self.cut(rows, cursor);
        Response::json(&Page { name, rows, next })
    }
}

/// A page as it is answered: its rows under their name, and where the next page begins.
struct Page<T> {
    name: &'static str,
    rows: Vec<T>,
    next: Option<String>,
}

impl<T: Serialize> Serialize for Page<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.name, &self.rows)?;
        map.serialize_entry("next", &self.next)?;
        map.end()
    }
}

/// The rule of a cursor that is the id of a row.
pub fn row_id(number: i64) -> Checked<i64> {
    if number >= 1 {
        Ok(number)
    } else {
        Err("must be the `next` of the page before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_the_last_row_of_a_full_page() {
        let paging = Paging { limit: 2 };
        let cut = |rows: Vec<i32>| paging.cut(rows, i32::to_string);
        assert_eq!(cut(vec![]), (vec![], None));
        assert_eq!(cut(vec![1, 2]), (vec![1, 2], None));
        assert_eq!(cut(vec![1, 2, 3]), (vec![1, 2], Some("2".into())));
    }
}

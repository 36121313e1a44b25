//! Pages: lists are answered in pieces, and a cursor says where the next one begins.

use std::{fmt::Display, str::FromStr};

use crate::{
    Error,
    limits::{CURSOR_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX},
};

/// Which piece of a list a caller wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    limit: u32,
    after: String,
}

/// One piece of a list.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// What to ask for as `after` to get the next piece; `None` at the end.
    pub next: Option<String>,
}

impl PageRequest {
    /// At most `limit` items (1 to [`PAGE_ITEMS_MAX`], [`PAGE_ITEMS_DEFAULT`] if absent) behind the
    /// cursor `after`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a limit out of bounds or an overlong cursor.
    pub fn new(limit: Option<u32>, after: Option<String>) -> Result<Self, Error> {
        let limit = limit.unwrap_or(PAGE_ITEMS_DEFAULT);
        if !(1..=PAGE_ITEMS_MAX).contains(&limit) {
            return Err(Error::invalid(
                "limit",
                format!("must be from 1 to {PAGE_ITEMS_MAX}"),
            ));
        }
        let after = after.unwrap_or_default();
        if after.len() > CURSOR_BYTES_MAX {
            return Err(Error::invalid("after", "is too long to be a cursor"));
        }
        Ok(Self { limit, after })
    }

    /// Behind which item the piece begins, in a list whose cursors are of the kind `C`; `None` at its beginning.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cursor of another kind.
    pub(crate) fn cursor<C: FromStr<Err: Display>>(&self) -> Result<Option<C>, Error> {
        if self.after.is_empty() {
            return Ok(None);
        }
        self.after.parse().map(Some).map_err(|error| {
            Error::invalid(
                "after",
                format!(
                    "is not a cursor of this list ({error}): use the `next` of the page before"
                ),
            )
        })
    }

    /// One more than is wanted: the surplus row tells whether there is a next page.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The cursor for lists in order of names; empty sorts before everything.
    pub(crate) fn after(&self) -> &str {
        &self.after
    }

    /// A page of a whole list that is short enough to be read at once, in whatever order it has.
    ///
    /// # Errors
    /// [`Error::Invalid`] if what the cursor names is not in the list any more.
    pub(crate) fn page_of<T>(
        &self,
        mut list: Vec<T>,
        cursor: impl Fn(&T) -> String,
    ) -> Result<Page<T>, Error> {
        if !self.after.is_empty() {
            let last = list.iter().position(|item| cursor(item) == self.after);
            let last = last.ok_or_else(|| {
                Error::invalid(
                    "after",
                    "is not in the list any more: read it from its beginning",
                )
            })?;
            drop(list.drain(..=last));
        }
        Ok(self.page(list, cursor))
    }

    /// Makes a page of up to [`Self::rows`] rows.
    pub(crate) fn page<T>(&self, mut rows: Vec<T>, cursor: impl Fn(&T) -> String) -> Page<T> {
        let limit = self.limit as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(cursor);
        Page { items: rows, next }
    }
}

impl<T> Page<T> {
    /// The same piece with other items.
    #[must_use]
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(change).collect(),
            next: self.next,
        }
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            limit: PAGE_ITEMS_DEFAULT,
            after: String::new(),
        }
    }
}

//! Who decides about the use of an app's data, as a capability that reaches the data sees it.

use async_trait::async_trait;
use cloudware_types::{Condition, FilteredAccess, ResultColumn, SqlValue, TableAccess};
use std::sync::Arc;

/// Decides about the use of tables in one run of an app. Made by the engine where the app declares tables and somebody
/// is there to decide. A capability asks each question once in a run and keeps the answer.
#[async_trait]
pub trait DataAccess: Send + Sync {
    /// The tables that are decided about, as the app declares them. Never waits.
    fn tables(&self) -> Arc<[Arc<str>]>;

    /// Whether [`Self::after`] could change anything. Never waits.
    fn masks(&self) -> bool;

    /// Decides about an access, before it is made: which rows it may touch. Runs other people's components as a part of
    /// the present host call.
    ///
    /// # Errors
    /// Why it may touch none; the text names who refused.
    async fn before(&self, access: &TableAccess) -> Result<Vec<Condition>, String>;

    /// Masks the rows that a statement gave; `accesses` is what it did with the tables. Always gives as many rows with as
    /// many cells: where no answer comes about, with nothing in them.
    async fn after(
        &self,
        columns: &[ResultColumn],
        rows: Vec<Vec<SqlValue>>,
        accesses: &[FilteredAccess],
    ) -> Vec<Vec<SqlValue>>;
}

//! Every bound of the capability, with its reason. Statements, rows and time of a run are limits that an
//! admin sets; bounds of a single statement are those of [`cloudware_instance_db`].

/// Transactions that one invocation has open at a time. Each keeps a connection from others.
pub const TRANSACTIONS_MAX: usize = 8;

/// Statements of which an invocation remembers what they do with declared tables. More are looked at each time.
pub(crate) const EXAMINED_STATEMENTS_MAX: usize = 256;

//! Bindings of the imported interfaces, one file each. Generated from the WIT by
//! `sdk/bindgen`; change the WIT and run that, not these files.

pub mod config;
pub mod kv;
pub mod limits;
pub mod logging;
pub mod sql;

//! Bad input from everybody who can give some: packages, requests, commands, configuration. Each gets its
//! clear error, and the host goes on.

mod commands;
mod config;
mod packages;
mod requests;

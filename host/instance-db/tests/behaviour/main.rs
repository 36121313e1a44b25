//! What the private database promises, tried from outside on real files.

mod bombs;
mod calls;
mod files;
mod fixture;
mod isolation;
mod migrations;
mod property;

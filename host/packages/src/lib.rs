//! The package format: what an ISV writes, what crosses the wire, and what is checked before any
//! tenant sees it.
//!
//! A package is one archive: zstd-compressed ustar of `cloudware.toml`, `component.wasm`,
//! `migrations/**`, `assets/**` and `i18n/**`, sorted and without times or owners, so that the same
//! content has the same digest. [`pack`] writes it, [`read`] opens it, [`verify`] checks the
//! component against the manifest and what the host provides, and [`accept`] does all of it for an
//! upload and reports every problem at once.
//!
//! Archives come from strangers: nothing is unpacked to disk, every size is bounded while it is read
//! (see [`limits`]), and a component's complexity is bounded before anybody compiles it. This crate
//! starts no process and opens no socket. Which capabilities exist is told by the caller.

mod accept;
mod access;
mod archive;
mod component;
mod host;
mod interface;
pub mod limits;
mod manifest;
mod migrations;
mod package;
mod problem;
mod section;
mod shape;
mod source;
mod verify;

pub use accept::accept;
pub use component::{Complexity, ComponentShape, Import, inspect};
pub use host::{Consent, HostInterfaces, ProvidedCapability};
pub use interface::{InterfaceName, InterfaceNameError};
pub use manifest::{
    Build, ConfigKey, Database, Extension, ExtensionPoint, Http, Kind, Language, Manifest,
};
pub use package::{Package, read, read_file};
pub use problem::{Problem, Problems};
pub use shape::{FunctionShape, InterfaceShape, PointShape, mismatch};
pub use source::{Source, pack};
pub use verify::{HttpHandler, Verified, verify};

/// The name of the manifest in a package.
pub const MANIFEST: &str = "cloudware.toml";

/// The name of the component in a package.
pub const COMPONENT: &str = "component.wasm";

/// The file name extension of an archive.
pub const EXTENSION: &str = "cwp";

/// The media type of an archive.
pub const MEDIA_TYPE: &str = "application/vnd.cloudware.package";

//! Every bound on a package, with its reason. All of them are enforced while bytes are read, before
//! anything is kept or compiled.

/// Bytes of an archive. A Python component compresses to about 6 MB; the rest is room for assets.
pub const ARCHIVE_BYTES_MAX: u64 = 64 << 20;

/// Bytes of all files of a package together. An interpreter's component has 18 MB; it is held in
/// memory while it is checked, on a host that checks few at a time.
pub const UNPACKED_BYTES_MAX: u64 = 256 << 20;

/// Bytes of the component. Twice and a half the largest that the supported toolchains make.
pub const COMPONENT_BYTES_MAX: u64 = 48 << 20;

/// Unpacked bytes for each byte of the archive, beyond [`EXPANSION_FREE_BYTES`]. Text reaches 20 and
/// sparse data segments 50; a zip bomb reaches 10,000.
pub const EXPANSION_RATIO_MAX: u64 = 200;

/// Unpacked bytes that need not obey the ratio, so that small packages of zeros are not suspected.
pub const EXPANSION_FREE_BYTES: u64 = 4 << 20;

/// Base-2 logarithm of the largest window that the decompressor allocates (32 MiB). The archive asks
/// for it in its header, before a byte has been checked.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// Files of a package. Each becomes an entry of a route table.
pub const FILES_MAX: usize = 10_000;

/// Characters of a path. What fits into a ustar header for any sensible depth.
pub const PATH_CHARS_MAX: usize = 200;

/// Bytes of the manifest. A hundred configuration keys with long descriptions fit.
pub const MANIFEST_BYTES_MAX: u64 = 256 << 10;

/// Bytes of one migration. A migration is statements, not data.
pub const MIGRATION_BYTES_MAX: u64 = 1 << 20;

/// Steps of an app's schema; also the most that four digits and a sensible history need.
pub const MIGRATIONS_MAX: u32 = 1_000;

/// Characters of a title; one line of a catalog.
pub const TITLE_CHARS_MAX: usize = 80;

/// Characters of a description or of a reason; a paragraph that a person reads before consenting.
pub const TEXT_CHARS_MAX: usize = 500;

/// Configuration keys of an app. More is a document, and belongs into a table.
pub const CONFIG_KEYS_MAX: usize = 100;

/// Bytes of a configuration value; they are copied into every sandbox that asks.
pub const CONFIG_VALUE_BYTES_MAX: usize = 4_096;

/// Characters of a path prefix in a site.
pub const MOUNT_CHARS_MAX: usize = 100;

/// Requests that a reused sandbox may serve. Beyond it the cost of a fresh one is not measurable.
pub const REUSE_REQUESTS_MAX: u32 = 1_000_000;

/// Features that a build may name.
pub const BUILD_FEATURES_MAX: usize = 32;

/// Extension points of an app. Each is linked when the app is bound; more is an interface of its own.
pub const POINTS_MAX: usize = 50;

/// Milliseconds that an extension point may give its hooks. Somebody waits for the answer, and who asks
/// several hooks waits for all of them.
pub const POINT_DEADLINE_MS_MAX: u32 = 60_000;

/// Interfaces that a package fills for extension points. As many as an app has points.
pub const IMPLEMENTS_MAX: usize = 50;

/// Apps that an app may name as dependencies. A tenant reads the reason of each.
pub const DEPENDENCIES_MAX: usize = 50;

/// Interfaces that an app imports from other apps. A tenant reads the reason of each.
pub const CALLS_MAX: usize = 50;

/// Interfaces that an app exports for other apps.
pub const SERVICES_MAX: usize = 50;

/// Characters of an interface's name in the manifest. Three long words and a version fit.
pub const INTERFACE_CHARS_MAX: usize = 150;

/// Tables whose use hooks may decide about. Each statement of the app is looked at for each of them.
pub const ACCESS_TABLES_MAX: usize = 50;

/// Characters of the name of such a table.
pub const ACCESS_TABLE_CHARS_MAX: usize = 64;

/// Functions of an interface that packages share. The platform's largest have 30.
pub const INTERFACE_FUNCTIONS_MAX: usize = 100;

/// Bytes of the types of one function, written out. A business document with all its fields takes 5 kB; a
/// component of 1 kB can have a type that would take terabytes.
pub const FUNCTION_TYPE_BYTES_MAX: usize = 64 << 10;

/// Bytes of the types of all interfaces that a package shares, written out; they are kept with each release.
pub const SHAPES_BYTES_MAX: usize = 1 << 20;

/// Levels of a type in such an interface. Documents have five; each level costs stack where a value of
/// the type is passed on.
pub const TYPE_NESTING_MAX: usize = 32;

/// Problems reported at once. More than a person reads, and a bound on what a bad package can make
/// the host answer.
pub const PROBLEMS_MAX: usize = 100;

/// Levels of components and modules inside each other. Toolchains make two, composed apps three or
/// four; each level costs stack while it is checked.
pub const NESTING_MAX: usize = 8;

/// Core modules of a component. An interpreter with its adapters has 14.
pub const MODULES_MAX: u64 = 200;

/// Functions of a component, imported ones included. An interpreter has 14,000; compile time and the
/// size of the compiled form grow with it.
pub const FUNCTIONS_MAX: u64 = 150_000;

/// Core and component types. An interpreter with all of WASI has 1,300.
pub const TYPES_MAX: u64 = 50_000;

/// Imports of the component and of its modules, added up. An interpreter has 2,500.
pub const IMPORTS_MAX: u64 = 20_000;

/// Exports of the component and of its modules, added up. An interpreter has 4,300.
pub const EXPORTS_MAX: u64 = 50_000;

/// Globals, tables, memories, tags, segments, core instances and aliases, added up. An interpreter
/// has 10,000.
pub const DEFINITIONS_MAX: u64 = 200_000;

/// Bytes of one function's code. Register allocation grows faster than linearly, so one function of
/// this size takes seconds to compile; the main loop of an interpreter has 430 kB.
pub const FUNCTION_BYTES_MAX: u64 = 1 << 20;

/// Component instances after all nested instantiations are expanded, as the engine expands them.
/// Components that instantiate each other twice double it with each definition.
pub const INSTANTIATIONS_MAX: u64 = 10_000;

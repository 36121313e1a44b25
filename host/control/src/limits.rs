//! Bounds on everything that callers and ledgers hand in, each with its reason.

use std::time::Duration;

/// Characters of a title. One line on a page.
pub const TITLE_CHARS_MAX: usize = 100;

/// Characters of a reason given with a change. A short paragraph in the audit trail.
pub const REASON_CHARS_MAX: usize = 500;

/// Characters of a token's name. One cell of a table.
pub const TOKEN_NAME_CHARS_MAX: usize = 60;

/// Live tokens of one owner. Enough for every person and machine of an organisation; bounds what a
/// runaway script leaves behind.
pub const TOKENS_PER_OWNER_MAX: i64 = 1_000;

/// Bytes of a name or id in a path. The longest id has 36 characters.
pub const NAME_BYTES_MAX: usize = 64;

/// Bytes of a request id that a caller chooses. A UUID or a trace id fits.
pub const REQUEST_ID_BYTES_MAX: usize = 64;

/// Items of one page where the caller does not say.
pub const PAGE_ITEMS_DEFAULT: u32 = 50;

/// Items of one page. An answer stays below a megabyte.
pub const PAGE_ITEMS_MAX: u32 = 500;

/// Bytes of a page cursor. Cursors are names or ids.
pub const CURSOR_BYTES_MAX: usize = 64;

/// Instances of one tenant. A change of a tenant's quota is handed to every one of them before it is
/// answered, about a millisecond each, several at a time.
pub const INSTANCES_PER_TENANT_MAX: i64 = 10_000;

/// Instances that a tenant may create itself; beyond it an operator decides, because each has its
/// own database and limits.
pub const INSTANCES_BY_TENANT_MAX: i64 = 10;

/// Installs of one instance. Routes and migrations of an instance are handled as one.
pub const INSTALLS_PER_INSTANCE_MAX: i64 = 200;

/// Bytes of one configuration value.
pub const CONFIG_VALUE_BYTES_MAX: usize = 4_096;

/// Bytes of all configuration values of an install; they are held in memory for every install.
pub const CONFIG_BYTES_MAX: usize = 65_536;

/// Bytes of a mount path. It is compared for each request.
pub const MOUNT_BYTES_MAX: usize = 100;

/// Releases that are checked and compiled at the same time. Each needs a core and, unpacked,
/// hundreds of megabytes.
pub const PUSHES_AT_ONCE_MAX: usize = 2;

/// Rows of one usage answer.
pub const USAGE_ROWS_MAX: usize = 10_000;

/// The largest reading of one meter in one minute, so that sums over years stay below 2^63. A
/// thousand cores use a tenth of it.
pub const USAGE_READING_MAX: u64 = 1 << 50;

/// Traces that are kept of one instance: what people look at is what happened a moment ago, and a sample tells it.
pub const TRACES_PER_INSTANCE_MAX: u64 = 200;

/// Calls that a recording takes where nobody chose. Enough to have the common ways of an app.
pub const RECORDING_CALLS_DEFAULT: u32 = 20;

/// Calls of one recording. It is for repeating what happened, not for following what happens.
pub const RECORDING_CALLS_MAX: u32 = 200;

/// How long a recording runs where nobody chose: somebody waits for what is to happen.
pub const RECORDING_TIME_DEFAULT: Duration = Duration::from_secs(600);

/// How long a recording may run. What happens once a day is caught; nobody forgets one that runs for ever.
pub const RECORDING_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Names of fields that a recording redacts. All personal fields of a large app.
pub const RECORDING_FIELDS_MAX: usize = 50;

/// Bytes of such a name. The longest names of fields in use have half as many.
pub const RECORDING_FIELD_BYTES_MAX: usize = 64;

/// Bytes of all calls of one recording; it is exported in one answer.
pub const RECORDING_BYTES_MAX: u64 = 8 << 20;

/// Recordings of one instance, ended ones included. People look at the last few.
pub const RECORDINGS_PER_INSTANCE_MAX: u64 = 20;

/// Bytes of all recordings of one instance: they are in the control database, which everybody shares.
pub const RECORDINGS_BYTES_PER_INSTANCE_MAX: u64 = 16 << 20;

/// How long a recording is kept. Long enough to find a fault with it; data of people is not kept without end.
pub const RECORDING_AGE_MAX: Duration = Duration::from_secs(14 * 86_400);

/// Records of stops that are kept of one instance: a record is a kind of stop in a minute. Enough to see what
/// went wrong over days; a broken app cannot fill the disk.
pub const STOPS_PER_INSTANCE_MAX: u64 = 1_000;

/// Characters of the place by which stops are told apart, which may be a guest function's name. Generic types make longer
/// ones, which differ near their begin.
pub const FUNCTION_CHARS_MAX: usize = 200;

/// How often at most the last use of a token is written down, so that reads do not become writes.
pub const TOKEN_USE_NOTED_EVERY: Duration = Duration::from_secs(60);

/// Plans of the platform. A handful is sold; the rest are contracts of single tenants. What they set
/// is held in memory.
pub const PLANS_MAX: i64 = 1_000;

/// Instances that one change hands to the data plane at the same time. More than the connections that
/// read the control database, so that none of them rests; few enough to leave some to other callers.
pub const APPLIES_AT_ONCE_MAX: usize = 8;

/// Hooks of one instance, on all its extension points together. They are held in memory for every instance that
/// is served, and each point asks its hooks one after the other.
pub const HOOKS_PER_INSTANCE_MAX: usize = 200;

/// Bytes by which a hook is named in a path: app, point and its own name, with a dot between each two.
pub const HOOK_NAME_BYTES_MAX: usize = 92;

/// Milliseconds that a hook may be given. Somebody waits for the answer; the limit `hook-deadline` bounds an
/// extension further.
pub const HOOK_DEADLINE_MS_MAX: u64 = 60_000;

/// Milliseconds that a webhook has where nobody chose. The deadline of a point is made for components on the same
/// machine; a request over the Internet with a new connection needs several round trips.
pub const WEBHOOK_DEADLINE_MS_DEFAULT: u64 = 2_000;

/// Keys of a webhook that are valid at the same time: the new one and the one before, so that an endpoint can change
/// over while it is called.
pub const WEBHOOK_KEYS_MAX: usize = 2;

/// Differences that are kept of a hook that practises. Enough to see in what way it differs; how often it does is
/// counted.
pub const DIFFERENCES_PER_HOOK_MAX: usize = 20;

/// Bytes of the arguments, of what was used and of what a hook said, each, that are kept of a difference. A record
/// with dozens of lines fits.
pub const DIFFERENCE_BYTES_MAX: usize = 16 << 10;

/// Values within a tenant or an instance that one answer about its quotas lists.
pub const QUOTA_OVERRIDES_MAX: usize = 1_000;

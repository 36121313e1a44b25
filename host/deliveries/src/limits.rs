//! Every bound of deliveries, with its reason.

use std::time::Duration;

/// Bytes of the arguments of one call, as JSON. What observers are told is an event and not a file; of a larger
/// thing they are told where it is.
pub const PAYLOAD_BYTES_MAX: usize = 256 << 10;

/// Deliveries of an instance that are still to be tried. A hook that is down for a day must not fill the
/// instance's storage, and whoever calls finds out instead of being told that all is well.
pub const OPEN_PER_INSTANCE_MAX: u64 = 10_000;

/// Dead letters that are kept of an instance; the oldest go first.
pub const DEAD_PER_INSTANCE_MAX: u64 = 1_000;

/// How long a dead letter is kept. Who has not missed it for a month does not.
pub const DEAD_KEPT: Duration = Duration::from_secs(30 * DAY);

/// Deliveries that are kept after they have ended well or were dropped, for those who ask what became of one.
/// They are kept without their payload.
pub const ENDED_PER_INSTANCE_MAX: u64 = 1_000;

/// How long those are kept.
pub const ENDED_KEPT: Duration = Duration::from_secs(7 * DAY);

/// How long a delivery waits for a hook that is not served, because it or its app is disabled.
pub const UNSERVED_KEPT: Duration = Duration::from_secs(30 * DAY);

/// The longest pauses before each further attempt. The pause is drawn from nothing up to this, so that what failed
/// together is not tried again together.
pub const PAUSES_MAX: [Duration; 8] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(HOUR),
    Duration::from_secs(3 * HOUR),
    Duration::from_secs(8 * HOUR),
    Duration::from_secs(12 * HOUR),
];

/// Attempts of one delivery, over about a day: an outage of a night is survived.
pub const ATTEMPTS_MAX: u32 = PAUSES_MAX.len() as u32 + 1;

/// The longest pause that a hook can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(DAY);

/// The shortest pause after nothing was tried: a full host must not be asked without end.
pub const NOT_TRIED_PAUSE_MIN: Duration = Duration::from_secs(1);

/// Time that an attempt has beyond the deadline of its hook, which whoever delivers keeps to. This ends one
/// that does not.
pub const ATTEMPT_GRACE: Duration = Duration::from_secs(30);

/// Characters that are kept of the reason of a failure.
pub const REASON_CHARS_MAX: usize = 500;

/// Items of one list.
pub const LIST_MAX: u32 = 501;

/// Bytes that the platform's own entries may take beyond the storage quota: what was delivered must be noted
/// also where the instance is full, or it would be delivered for ever.
pub(crate) const BOOKKEEPING_BYTES: u64 = 1 << 20;

/// Time that the database may work to write a call: two indexed inserts.
pub(crate) const RECORD_TIME_MAX: Duration = Duration::from_secs(5);

/// Time that the database may work for a round of a queue, or for what people ask.
pub(crate) const ROUND_TIME_MAX: Duration = Duration::from_secs(20);

/// Rounds that use databases at the same time. After a start every instance with observers has one at once, and
/// open databases are bounded.
pub(crate) const ROUNDS_AT_ONCE_MAX: usize = 16;

/// How often old entries of a busy instance are looked for.
pub(crate) const TRIM_EVERY: Duration = Duration::from_secs(60);

/// First and longest pause after the database of an instance failed.
pub(crate) const FAILURE_PAUSES: (Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(300));

/// Bytes of a webhook's address. What browsers and proxies pass on everywhere; longer ones are data.
pub const URL_BYTES_MAX: usize = 2_000;

/// Signatures of one message: one for each key of an endpoint that changes its keys.
pub const SIGNATURES_MAX: usize = 4;

/// Bytes of one message to an endpoint. A request with a few thousand lines fits, and the deadline of a hook is
/// too short for more.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Bytes of an endpoint's answer. The host keeps it in memory until it is read.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Bytes of the head of an answer.
pub(crate) const ANSWER_HEAD_BYTES_MAX: usize = 64 << 10;

/// Calls of endpoints of one instance at the same time; others wait, within their deadline. Each holds a socket.
pub(crate) const CALLS_PER_INSTANCE_MAX: usize = 64;

/// Look-ups of names of one instance at the same time. Each blocks a thread for as long as a name server of a
/// stranger likes, up to half a minute.
pub(crate) const LOOKUPS_PER_INSTANCE_MAX: usize = 4;

/// Addresses of a name that are tried.
pub(crate) const ADDRESSES_MAX: usize = 8;

/// How much later than the one before an address is tried (RFC 8305).
pub(crate) const ADDRESS_STAGGER: Duration = Duration::from_millis(250);

/// Connections to one endpoint that are kept without use.
pub(crate) const CONNECTIONS_IDLE_MAX: usize = 4;

/// How long those are kept: most servers close theirs after a minute.
pub(crate) const CONNECTION_IDLE_MAX: Duration = Duration::from_secs(50);

/// Instances from which on those are looked for whose connections nobody uses.
pub(crate) const CLIENTS_KEPT: usize = 1_024;

/// How long the place for connections of an instance is kept without use.
pub(crate) const CLIENT_IDLE_MAX: Duration = Duration::from_secs(60);

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

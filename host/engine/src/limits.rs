//! The engine's own bounds, each with its reason. What tenants may use is in
//! [`cloudware_types::Dimension`]; these bound what the host spends on them.

use std::time::Duration;

/// The largest linear memory that a pool slot holds; the upper bound of the memory quota.
pub const MEMORY_BYTES_MAX: usize = 256 << 20;

/// Wasm stack of one invocation. Deep recursion in an interpreter fits; runaway recursion ends in
/// well under a millisecond.
pub const WASM_STACK_BYTES: usize = 512 << 10;

/// Stack of the fiber that an invocation runs on: the Wasm stack and what host functions need.
pub const ASYNC_STACK_BYTES: usize = 2 << 20;

/// Memory of a freed slot that stays mapped and is cleared by writing zeros, which is cheaper than
/// giving it back to the kernel up to about this size.
pub const KEEP_RESIDENT_BYTES: usize = 512 << 10;

/// Fuel for an instruction that is a call of the engine: about what computing for as long as that takes would burn, a tenth of a
/// microsecond.
pub const LEAVING_FUEL: u8 = 250;

/// Fuel between two points where a guest lets others run: about 0.2 ms of work, so that who is next waits
/// little; letting others run costs about a microsecond.
pub const FUEL_YIELD_INTERVAL: u64 = 500_000;

/// Processor time after which a run leaves the thread of its connection. Pages that are made quickly never pay
/// for a switch between threads, and others wait no longer for the socket thread.
pub const FIRST_SLICE: Duration = Duration::from_micros(50);

/// Processor time of one stay on the thread of a connection from which on an instance's next runs begin on compute
/// threads: more than any guest takes that lets others run as often as [`FUEL_YIELD_INTERVAL`] says, and as much as
/// others may wait.
pub const STAY_MAX: Duration = Duration::from_millis(1);

/// Time within one slice from which on a guest yields that calls the host: a tick of the coarse clock has passed, at
/// least. Guests that compute yield more often.
pub const HOST_WORK_MAX: Duration = Duration::from_millis(5);

/// Memory that the run must have held for that: touching a page for the first time takes about a microsecond. What took
/// as long with less lost the processor to something else.
pub const STAY_MEMORY_MIN: u64 = 4 << 20;

/// Runs that begin on compute threads after one that stayed too long. Of as many that touch as much, one is a small
/// part.
pub const KEPT_OFF_MIN: u32 = 64;

/// The same after several that stayed too long.
pub const KEPT_OFF_MAX: u32 = 4_096;

/// What a record of an instance's log counts beside its text towards the log rate: the host writes when, who and how
/// important before each, and an empty one is not for nothing.
pub const LOG_RECORD_BYTES: u64 = 256;

/// What a control character counts more towards the log rate than others: most are written out in six or seven bytes, as
/// `\u{1b}`.
pub const LOG_CONTROL_BYTES: u64 = 6;

/// For how long the log rate counts as used up after text was left out: as long as what may be logged at once takes to come back.
pub const LOST_LOG_NEAR: Duration = Duration::from_secs(1);

/// Bytes of an answer that are given before it waits for a turn behind everything else that is ready: pages and
/// most of what apps answer are given at once, and nobody waits for more than this of each long answer.
pub const ANSWER_BURST_BYTES: u64 = 32 << 10;

/// Within what time a client that reads takes what may leave.
pub const TAKEN_WITHIN: Duration = Duration::from_secs(1);

/// After what pause the lag of the threads that serve sockets is looked at again. What stands for two beats is a queue: a
/// tenth of a second where it is short, as CoDel has it, and twice as long as itself where it is long.
pub const LAG_BEAT: Duration = Duration::from_millis(50);

/// A lag that is shorter is none. Timers are up to two milliseconds late, and a thread that is woken while others compute may
/// wait for the kernel's next tick or two (4 ms).
pub const LAG_MIN: Duration = Duration::from_millis(10);

/// Requests a second of each instance that are not refused for the lag of the host before it is long: whoever asks for less
/// does not overload it. People who look at pages ask for less.
pub const SPARED_REQUESTS_PER_SECOND: u64 = 10;

/// How many times its `queue-time` an instance's spared requests wait before they are refused too: where nobody asks for
/// much and all together ask for too much.
pub const SPARED_PATIENCE: u64 = 4;

/// Lag of which the operator's log tells: whoever waits for a page begins to notice.
pub const LAG_TOLD: Duration = Duration::from_millis(200);

/// How often it tells.
pub const LAG_TOLD_EVERY: Duration = Duration::from_secs(60);

/// How long a reading of a thread's processor time is carried on by the monotonic clock, in nanoseconds: asking the
/// kernel costs as much as twenty host calls of a guest. A run that loses the processor meanwhile may be metered
/// with as much more.
pub const CPU_CLOCK_CARRIED_MAX: u64 = 50_000;

/// After how long an instance is visited whose runs wait for a compute thread and that was not served. It takes longer where very
/// many are to be visited, and for an instance whose last visit was long or forgot much ([`VISITS_PART`]).
pub const UNSERVED_MAX: Duration = Duration::from_millis(200);

/// How long it is served then, whatever its weight: what a few pages need, and what its guest takes until it lets others run.
pub const VISIT: Duration = Duration::from_millis(1);

/// Which part of a processor an instance of the usual weight gets by visits at most, and by what they forget: half of a hundredth.
/// It is more than its share only where more than two hundred compete for a processor. Those with less weight get less.
pub const VISITS_PART: u64 = 200;

/// One of how many times the work of a connection is measured. Asking the kernel for a thread's processor time takes a hundredth
/// of what a short request does, twice each time; and who is measured is charged with so many times as much at once, which is not
/// to be more than what an instance may be ahead.
pub const SOCKET_WORK_SAMPLED: u32 = 4;

/// How long a run that computes is polled on where nobody else waits for the thread. Processor time is measured and its
/// limit checked this often, and the processor offered to whatever else waits for it, which costs some microseconds.
pub const TURN_MAX: Duration = Duration::from_millis(2);

/// How much nicer compute threads are than those that serve sockets (see nice(2)). A socket thread has then 44 times their
/// weight: with ten times it, one that was busy did not get on when it was woken, but at the kernel's next tick (4 ms).
pub const COMPUTE_NICENESS: i32 = 17;

/// How long the turns of compute threads are: longer than those of threads of databases, which are longer than those of threads
/// that serve sockets, so that each may interrupt the next at once.
pub const COMPUTE_TURN: Duration = Duration::from_millis(4);

/// How far an instance may be behind those who compute, of the usual weight, whose database works for it: what it lacks beyond
/// that is forgotten. As long as the turns of guests that touch much memory are.
pub const WORK_BEHIND_MAX: Duration = Duration::from_millis(20);

/// The least for which a compute thread leaves its processor to databases: what a sleep and two switches cost is little beside it.
pub const LEFT_MIN: Duration = Duration::from_micros(200);

/// After how long it looks whether a database works at all.
pub const LEFT_MAX: Duration = Duration::from_millis(1);

/// Bytes that a guest may hand over in one host call (strings and lists), so that one call can't make
/// the host copy without end.
pub const HOST_CALL_BYTES_MAX: usize = 32 << 20;

/// Random bytes that a guest may ask for in one call.
pub const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// Bytes of the headers in one `fields` resource; what HTTP servers commonly accept.
pub const HEADER_BYTES_MAX: usize = 64 << 10;

/// Bytes of the method of a request that a guest makes; servers take no longer ones.
pub const METHOD_BYTES_MAX: usize = 8 << 10;

/// Bytes of the authority of a request that a guest makes; servers take no longer ones.
pub const AUTHORITY_BYTES_MAX: usize = 8 << 10;

/// After how many calls of the host, at least, it is looked at what is behind the handles of a run; where there are many handles,
/// after a quarter as many.
pub const CALLS_UNSEEN_MIN: u64 = 16;

/// After how many calls it is looked at the latest: as many as can add an eighth of the memory that the run may have.
pub const UNSEEN_PART: u64 = 8;

/// What one call of the host can add behind a handle, in bytes: a full list of headers, with what its map takes beside.
pub const CALL_HELD_MAX: u64 = 256 << 10;

/// Bytes that a handle takes by itself.
pub const HANDLE_BYTES: u64 = 128;

/// Bytes that one header field takes beside its name and value: an entry and its place in the index, of which a map that grows
/// has twice as many.
pub const HEADER_FIELD_BYTES: u64 = 256;

/// Processor time of a run that goes on after which it is metered: what a host that is killed forgets of each run, and so
/// much that it costs nothing.
pub const UNMETERED_MAX: Duration = Duration::from_millis(20);

/// The least memory that sandboxes may have together: a run may have half of it by default.
pub const MEMORY_BYTES_MIN: u64 = 256 << 20;

/// The part of the memory of a machine that sandboxes may have together: a half. What is left is the host's own, the
/// databases', and for compiling.
pub const MEMORY_PART: u64 = 2;

/// Response body chunks that a guest may be ahead of the client, and the size of each: pages of up to
/// 64 KiB written in the usual 4 KiB steps leave the sandbox before the client has read them, and what a
/// client that does not read pins of the host is bounded by 128 KiB.
pub const BODY_CHUNKS_AHEAD: usize = 16;

/// See [`BODY_CHUNKS_AHEAD`].
pub const BODY_CHUNK_BYTES: usize = 8 << 10;

/// Places behind answers beyond as many as the instance may run at a time: where that is one, a client that sends one request
/// after the other is not refused for what is left to do of the last few.
pub const BEHIND_MORE: u64 = 8;

/// How long a body that nobody reads is taken from the guest, because the head of the answer alone is wanted: much longer than
/// a page takes, and short for a stream without an end, which would keep its place until the deadline.
pub const UNREAD_TIME_MAX: Duration = Duration::from_secs(1);

/// Core instances of one component; adapters and shims make a handful, hundreds are an attack.
pub const CORE_INSTANCES_PER_COMPONENT: u32 = 32;

/// Memories and tables of one component.
pub const MEMORIES_PER_COMPONENT: u32 = 8;

/// Table elements in one pool slot; interpreters have some thousands of functions in their table.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Warm sandboxes that one install keeps while idle.
pub const WARM_IDLE_MAX: usize = 16;

/// The share of the pool that idle warm sandboxes of all installs together may take: a quarter, so that
/// keeping some warm leaves room for those that run.
pub const WARM_POOL_SHARE: u32 = 4;

/// How long a warm sandbox is kept idle.
pub const WARM_IDLE_FOR: Duration = Duration::from_secs(30);

/// Calls of a hook that its breaker looks back on (below 128: they are the bits of a word).
pub const BREAKER_WINDOW: u32 = 100;

/// Failures among those calls with which a hook is still called: half.
pub const BREAKER_FAILURES_MAX: u32 = 50;

/// How long a tripped hook is not called: a restart or a quick correction takes about as long.
pub const BREAKER_OPEN_FOR: Duration = Duration::from_secs(60);

/// Calls that must all succeed before a tripped hook is trusted again.
pub const BREAKER_PROBES: u32 = 10;

/// Runs of hooks that only practise at the same time, on the whole host; more are left out.
pub const SHADOW_RUNS_MAX: usize = 64;

/// Levels of a value that comes as JSON. Types are at most this deep; it bounds the stack.
pub const VALUE_DEPTH_MAX: usize = 64;

/// Bytes of everything that one recorded call asks of the host and is answered. They are held in memory while it runs.
pub const RECORDED_TAPE_BYTES_MAX: usize = 192 << 10;

/// Bytes of one recorded call as it is kept. Some hundred rows fit; who reads more in one call learns nothing from
/// the rest.
pub const RECORDED_CALL_BYTES_MAX: usize = 256 << 10;

/// Calls of one recording a second, with a burst of as many. A busy app shows what it does within seconds; what is
/// recorded is held in memory until the control plane takes it.
pub const RECORDED_CALLS_PER_SECOND: u64 = 10;

/// Different values that are redacted in one recorded call. Each is looked for in everything else of the call.
pub const REDACTED_VALUES_MAX: usize = 500;

/// Places that a recorded call names as redacted; of the others it says how many there are.
pub const REDACTED_NAMED_MAX: usize = 200;

/// Bytes of a redacted text from which on it is looked for within longer texts. Shorter ones stand in many texts by
/// chance; they are replaced where they are the whole text.
pub const REDACTED_COPY_BYTES_MIN: usize = 6;

/// Digits of a redacted number from which on equal numbers elsewhere are replaced too. Shorter ones are equal by
/// chance.
pub const REDACTED_NUMBER_COPY_MIN: usize = 4;

/// Compilations at the same time: one leaves a core of the smallest host to requests.
pub const COMPILATIONS_MAX: usize = 1;

/// How long a delivery is put off at least, as a request is that finds no sandbox.
pub const PUT_OFF_MIN: Duration =
    Duration::from_secs(cloudware_capability::OVERLOAD_RETRY_SECONDS as u64);

/// How long what can wait is put off where the host lags: looking again is work too.
pub const PUT_OFF_LAGGING: Duration = Duration::from_secs(10);

/// How long a delivery is put off at most before it is looked whether there is room; that costs nothing.
pub const PUT_OFF_MAX: Duration = Duration::from_secs(60);

/// Slots by which the usage journal grows: 500 kB. Enough for the installs and hooks that most hosts serve in a minute.
pub const JOURNAL_SLOTS_PER_CHUNK: usize = 1_024;

/// Slots of the usage journal: 130 MB. Twice a hundred thousand installs and hooks that are used in the same minute.
pub const JOURNAL_SLOTS_MAX: usize = 256 * JOURNAL_SLOTS_PER_CHUNK;

/// Wall time that a compiling process may take for each second of processor time that it may take: a busy
/// host gives it a share only.
pub const COMPILE_WALL_PER_CPU: u32 = 3;

/// Niceness of a compiling process: guests that compute get the same share, and what serves sockets 44 times as much.
pub const COMPILE_NICENESS: i32 = COMPUTE_NICENESS;

/// Bytes of the compiled form of a component; the largest that is accepted makes about a quarter.
pub const COMPILED_BYTES_MAX: u64 = 1 << 30;

/// Bytes of what a compiling process says about a component that is not valid.
pub const COMPILE_MESSAGE_BYTES_MAX: u64 = 16 << 10;

/// Conditions of a filter on a table, of all hooks together. Each is looked at for every row.
pub const ACCESS_CONDITIONS_MAX: usize = 32;

/// Values that a condition compares a column with. The places of a large organisation fit; more belong into a column.
pub const ACCESS_LIST_VALUES_MAX: usize = 1_000;

/// Bytes of the texts and blobs of one condition.
pub const ACCESS_FILTER_BYTES_MAX: usize = 64 << 10;

/// Characters of a hook's message that an app is told; a person reads it.
pub const ACCESS_MESSAGE_CHARS_MAX: usize = 500;

/// Cells of a part of a result that hooks are asked about at once.
pub const ACCESS_PART_CELLS_MAX: usize = 10_000;

/// Bytes of such a part as component values: they are in the host and in the hook at the same time.
pub const ACCESS_PART_WEIGHT_MAX: usize = 4 << 20;

/// Bytes by which masking may make such a part longer. Masks are short.
pub const ACCESS_PART_GROWTH_BYTES_MAX: usize = 64 << 10;

/// Bytes of a blob that hooks are shown. As an element of a list each byte takes many in the host.
pub const ACCESS_BLOB_BYTES_MAX: usize = 64 << 10;

//! A memory budget for SQLite, per call. SQLite asks one allocator for everything it needs: page cache,
//! sorting, temporary tables, values. The allocator installed here counts what the current thread has
//! taken during a call and refuses more than the call may have, which SQLite turns into an
//! ordinary error. Without it, one `ORDER BY` over a cross join would take the host's memory.

use std::{
    cell::Cell,
    ffi::{c_int, c_void},
    sync::OnceLock,
};

use rusqlite::ffi;

thread_local! {
    /// Bytes taken and not given back since the call on this thread began.
    static USED: Cell<i64> = const { Cell::new(0) };
    /// Bytes that the call on this thread may take.
    static MAX: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// Size of the small blocks that each connection keeps at hand; SQLite's default.
const LOOKASIDE_BLOCK_BYTES: c_int = 1_200;

/// Their number: enough to run kept statements, which is what connections mostly do.
const LOOKASIDE_BLOCKS: c_int = 32;

#[derive(Clone, Copy)]
struct Methods {
    malloc: unsafe extern "C" fn(c_int) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    realloc: unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void,
    size: unsafe extern "C" fn(*mut c_void) -> c_int,
}

static INNER: OnceLock<Result<Methods, AlreadyInUse>> = OnceLock::new();

/// Something opened a SQLite database in this process before the allocator was installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "SQLite was in use before cloudware_instance_db::init() was called; call it first thing in main, before any database is opened"
)]
pub struct AlreadyInUse;

/// Installs the allocator for the whole process. Must be called before anything opens a SQLite
/// database, also by another library; later calls do nothing. Work outside this crate is not limited.
///
/// # Errors
/// [`AlreadyInUse`] where SQLite has been started already.
pub fn init() -> Result<(), AlreadyInUse> {
    INNER.get_or_init(install).map(|_| ())
}

/// Runs `work` with a budget of `bytes_max` for what SQLite takes on this thread.
pub(crate) fn bounded<R>(bytes_max: usize, work: impl FnOnce() -> R) -> R {
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            MAX.set(i64::MAX);
        }
    }
    USED.set(0);
    MAX.set(i64::try_from(bytes_max).unwrap_or(i64::MAX));
    let _restore = Restore;
    work()
}

fn install() -> Result<Methods, AlreadyInUse> {
    // SAFETY: an all-zero `sqlite3_mem_methods` is valid: function pointers are optional.
    let mut inner: ffi::sqlite3_mem_methods = unsafe { std::mem::zeroed() };
    // SAFETY: the option takes a pointer to a `sqlite3_mem_methods`, which SQLite fills in.
    let rc = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut inner) };
    let (Some(malloc), Some(free), Some(realloc), Some(size)) =
        (inner.xMalloc, inner.xFree, inner.xRealloc, inner.xSize)
    else {
        return Err(AlreadyInUse);
    };
    if rc != ffi::SQLITE_OK {
        return Err(AlreadyInUse);
    }
    let outer = ffi::sqlite3_mem_methods {
        xMalloc: Some(malloc_counted),
        xFree: Some(free_counted),
        xRealloc: Some(realloc_counted),
        ..inner
    };
    // SAFETY: the option takes a pointer to a `sqlite3_mem_methods`, which SQLite copies. The functions
    // hand everything on to the methods that SQLite itself uses, so every pointer stays theirs.
    let rc = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw const outer) };
    if rc != ffi::SQLITE_OK {
        return Err(AlreadyInUse);
    }
    // Statistics of the whole process would make every allocation take one lock.
    // SAFETY: the option takes an int.
    unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, 0 as c_int) };
    // Each connection keeps small blocks at hand; SQLite's default would be most of what an idle one takes.
    // SAFETY: the option takes two ints, the size and the number of blocks.
    unsafe {
        ffi::sqlite3_config(
            ffi::SQLITE_CONFIG_LOOKASIDE,
            LOOKASIDE_BLOCK_BYTES,
            LOOKASIDE_BLOCKS,
        )
    };
    Ok(Methods {
        malloc,
        free,
        realloc,
        size,
    })
}

fn inner() -> Methods {
    match INNER.get() {
        Some(Ok(methods)) => *methods,
        // SQLite calls the functions below only after `install` has handed them over, and it is
        // started by the first opened database, which comes after `init` has returned.
        _ => unreachable!("SQLite allocates only after the allocator is installed"),
    }
}

/// Whether `more` bytes still fit; takes them if so.
fn fits(more: i64) -> bool {
    USED.get().saturating_add(more) <= MAX.get()
}

unsafe extern "C" fn malloc_counted(bytes: c_int) -> *mut c_void {
    if !fits(i64::from(bytes)) {
        return std::ptr::null_mut();
    }
    let inner = inner();
    // SAFETY: handed on with SQLite's own arguments.
    let block = unsafe { (inner.malloc)(bytes) };
    if !block.is_null() {
        // SAFETY: the block comes from the same methods.
        let taken = unsafe { (inner.size)(block) };
        USED.set(USED.get() + i64::from(taken));
    }
    block
}

unsafe extern "C" fn free_counted(block: *mut c_void) {
    let inner = inner();
    // SAFETY: SQLite frees only blocks that these methods gave.
    let given_back = unsafe { (inner.size)(block) };
    USED.set(USED.get() - i64::from(given_back));
    // SAFETY: as above.
    unsafe { (inner.free)(block) };
}

unsafe extern "C" fn realloc_counted(block: *mut c_void, bytes: c_int) -> *mut c_void {
    let inner = inner();
    // SAFETY: SQLite reallocates only blocks that these methods gave.
    let before = i64::from(unsafe { (inner.size)(block) });
    if !fits(i64::from(bytes) - before) {
        return std::ptr::null_mut();
    }
    // SAFETY: handed on with SQLite's own arguments.
    let moved = unsafe { (inner.realloc)(block, bytes) };
    if !moved.is_null() {
        // SAFETY: the block comes from the same methods.
        let after = i64::from(unsafe { (inner.size)(moved) });
        USED.set(USED.get() + after - before);
    }
    moved
}

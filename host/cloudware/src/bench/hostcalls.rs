//! `bench hostcalls`: what one call of a capability costs a guest. A request asks for many calls; what it
//! takes beyond one that only counts is theirs. Durable writes are compared with what the disk itself needs.

use std::{
    fs::{self, File},
    io::{Seek as _, Write as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use cloudware_engine::BoundInstall;
use cloudware_types::Reuse;

use crate::local::{self as host, Host, largest_limits};

use super::{Bench, figure::Figure, guests};

const NAME: &str = "hostcalls";

/// Calls in one request.
const READS: u32 = 1_000;

/// Calls in one request where each waits for the disk.
const WRITES: u32 = 50;

/// Bytes of one page of a database, which the smallest write changes.
const PAGE_BYTES: usize = 4_096;

/// One operation of the guest.
struct Operation {
    name: &'static str,
    metric: &'static str,
    count: u32,
    waits: Waits,
}

/// Whether each call waits until the disk has what it wrote.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    No,
    ForDisk,
}

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "kv-get",
        metric: "kv get",
        count: READS,
        waits: Waits::No,
    },
    Operation {
        name: "sql-query",
        metric: "sql point query",
        count: READS,
        waits: Waits::No,
    },
    Operation {
        name: "sql-query-prepared",
        metric: "sql point query, prepared",
        count: READS,
        waits: Waits::No,
    },
    Operation {
        name: "sql-insert-in-transaction",
        metric: "sql insert, inside one transaction",
        count: READS,
        waits: Waits::No,
    },
    Operation {
        name: "kv-set",
        metric: "kv set, durable",
        count: WRITES,
        waits: Waits::ForDisk,
    },
    Operation {
        name: "sql-insert",
        metric: "sql insert, its own transaction, durable",
        count: WRITES,
        waits: Waits::ForDisk,
    },
];

/// What all rounds found, in microseconds a call.
struct Rounds {
    operations: Vec<Vec<f64>>,
    sync: Vec<f64>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let guest = guests::build(guests::HOSTCALLS, &bench.work, bench.context).await?;
    let step = bench.context.progress.step("measuring host calls");
    let host = Host::new(
        &bench.work.scratch(NAME),
        bench.yield_fuel,
        largest_limits(),
    )?;
    let install = host.bind(&guest.package, Reuse::Fresh).await?;
    let time = Duration::from_secs(bench.seconds) * bench.rounds;
    let rounds = bench.pinned(measure(&install, &host.folder, time))?;
    drop(step);
    let mut figures: Vec<Figure> = OPERATIONS
        .iter()
        .zip(&rounds.operations)
        .map(|(operation, runs)| {
            let figure = Figure::new(NAME, operation.metric, "µs", runs);
            match operation.waits {
                Waits::No => figure,
                Waits::ForDisk => figure.against("write and sync of a page", runs, &rounds.sync),
            }
        })
        .collect();
    figures.push(Figure::new(
        NAME,
        "write and sync of a page, without a guest",
        "µs",
        &rounds.sync,
    ));
    Ok(figures)
}

async fn measure(install: &Arc<BoundInstall>, folder: &Path, time: Duration) -> Result<Rounds> {
    let mut rounds = Rounds {
        operations: vec![Vec::new(); OPERATIONS.len()],
        sync: Vec::new(),
    };
    // The key that is read must be there, and caches warm.
    for operation in OPERATIONS.iter().rev() {
        request(install, operation.name, operation.count).await?;
    }
    let began = Instant::now();
    while rounds.sync.is_empty() || began.elapsed() < time {
        for (operation, runs) in OPERATIONS.iter().zip(&mut rounds.operations) {
            let idle = request(install, "idle", operation.count).await?;
            let busy = request(install, operation.name, operation.count).await?;
            let calls = busy.saturating_sub(idle).as_secs_f64();
            runs.push(calls * 1e6 / f64::from(operation.count));
        }
        rounds.sync.push(sync(folder)?);
    }
    Ok(rounds)
}

/// How long the guest takes for so many operations.
async fn request(install: &Arc<BoundInstall>, operation: &str, count: u32) -> Result<Duration> {
    let path = format!("/{operation}/{count}");
    let began = Instant::now();
    let done = host::call(install, &path).await?;
    let took = began.elapsed();
    let done = String::from_utf8_lossy(&done);
    ensure!(
        done == count.to_string(),
        "`{operation}` was to be done {count} times and was done {done} times"
    );
    Ok(took)
}

/// Microseconds to write a page over one that is in a file already, as a write-ahead log does, and have it
/// on the disk. A file that grows would need its length written as well.
fn sync(folder: &Path) -> Result<f64> {
    let path = folder.join("pages");
    let mut file =
        File::create(&path).with_context(|| format!("{} can't be made", path.display()))?;
    let page = [1; PAGE_BYTES];
    for _ in 0..WRITES {
        file.write_all(&page)?;
    }
    file.sync_all()?;
    file.rewind()?;
    let began = Instant::now();
    for _ in 0..WRITES {
        file.write_all(&page)?;
        file.sync_data()?;
    }
    let took = began.elapsed().as_secs_f64() * 1e6 / f64::from(WRITES);
    fs::remove_file(&path)?;
    Ok(took)
}

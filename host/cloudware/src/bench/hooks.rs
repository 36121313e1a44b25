//! `bench hooks`: what it costs an app to ask an extension point that a component of somebody else's fills, with
//! every limit in force; what registered hooks take of memory; how soon a change of one holds. The first two are
//! measured in this process, without sockets, as host calls are.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use cloudware_engine::{BoundInstall, Peers};
use cloudware_packages::Package;
use cloudware_types::{
    DesiredHook, DesiredInstall, DesiredPoint, HookId, HookMode, HookTarget, OnFailure, PointKind,
    Reuse,
};
use serde_json::json;

use crate::local::{self as host, Host, largest_limits};

use super::{
    Bench,
    figure::{Figure, Target},
    guests,
    platform::Platform,
};

const NAME: &str = "hooks";

/// Times that one request asks.
const ASKS: u32 = 200;

/// Instances whose hooks are held in memory.
const INSTANCES: u32 = 1_000;

/// So many times that are held in each round, and divided: the allocator takes and gives back megabytes at a time.
const TIMES: u32 = 5;

/// Rounds in which that is measured, after one that makes what is made once. Everything is kept to the end, so that
/// no round finds pages that another gave back.
const MEMORY_ROUNDS: u32 = 3;

/// Blocks of memory that are held to see whether what the system tells can be believed.
const KNOWN_BLOCKS: usize = 20_000;

/// Bytes of each: about what a hook takes.
const KNOWN_BLOCK_BYTES: usize = 1_000;

/// By how much the system may be wrong about them: the allocator rounds blocks up and takes whole pages, which is an
/// eighth for blocks of this size.
const KNOWN_ERROR_MAX: f64 = 0.25;

/// Hooks of each.
const HOOKS_EACH: u32 = 10;

/// The interface of the bench's extension point.
const INTERFACE: &str = "bench:hooks/price@1.0.0";

/// An app whose extension point is filled, and what keeps the two together.
struct Hooked {
    app: Arc<BoundInstall>,
    _peers: Option<Arc<Peers>>,
}

/// Runs the bench.
pub(super) async fn run(bench: &Bench<'_>) -> Result<Vec<Figure>> {
    let app = guests::build(guests::HOOKS_APP, &bench.work, bench.context).await?;
    let extension = guests::build(guests::HOOKS_EXT, &bench.work, bench.context).await?;
    let step = bench.context.progress.step("measuring hooks");
    let host = Host::new(
        &bench.work.scratch(NAME),
        bench.yield_fuel,
        largest_limits(),
    )?;
    host.compile(&app.package).await?;
    host.compile(&extension.package).await?;
    let bind =
        async |hooks, reuse| hooked(&host, (&app.package, &extension.package), hooks, reuse).await;
    let fresh = bind(1, Reuse::Fresh).await?;
    let warm = bind(
        1,
        Reuse::Warm {
            requests_max: 1_000,
        },
    )
    .await?;
    let none = bind(0, Reuse::Fresh).await?;
    let time = Duration::from_secs(bench.seconds) * bench.rounds;
    let costs = bench.pinned(measure([&fresh, &warm, &none], time))?;
    drop(step);
    let step = bench.context.progress.step("registering hooks");
    let megabytes = memory(&host, (&app.package, &extension.package)).await?;
    drop(step);
    let step = bench.context.progress.step("changing a hook");
    let changes = changes(bench, &app.archive, &extension.archive).await?;
    drop(step);
    let [fresh, warm, none] = costs;
    Ok(vec![
        Figure::new(NAME, "decide hook, fresh sandbox", "µs", &fresh)
            .target(Target::ValueAtMost(25.0)),
        Figure::new(NAME, "decide hook, warm sandbox", "µs", &warm)
            .target(Target::ValueAtMost(5.0)),
        Figure::new(NAME, "extension point without hooks", "µs", &none),
        Figure::new(
            NAME,
            "memory of 10,000 hooks of 1,000 instances",
            "MB",
            &megabytes,
        )
        .target(Target::ValueAtMost(100.0)),
        Figure::new(NAME, "change of a hook → first answer", "ms", &changes)
            .target(Target::ValueAtMost(100.0)),
    ])
}

/// The app in a new instance, with so many hooks on its point.
async fn hooked(
    host: &Host,
    (app, extension): (&Package, &Package),
    hooks: u32,
    reuse: Reuse,
) -> Result<Hooked> {
    let mut app = host.install(app, Reuse::Fresh);
    let extension = host.install(extension, reuse);
    app.points = vec![point(&extension, hooks)?];
    let (mut bound, peers) = host.bind_all(vec![app, extension]).await?;
    ensure!(bound.len() == 2, "both installs are bound");
    Ok(Hooked {
        app: bound.remove(0),
        _peers: peers,
    })
}

fn point(extension: &DesiredInstall, hooks: u32) -> Result<DesiredPoint> {
    let hook = |_| DesiredHook {
        id: HookId::generate(),
        name: "bench-hooks-ext".into(),
        target: HookTarget::Install(extension.id),
        mode: HookMode::Active,
        on_failure: OnFailure::Skip,
        deadline_ms: 50,
        fuel: 1_000_000,
        fuel_per_item: 1_000,
        memory: Some(64 << 20),
    };
    Ok(DesiredPoint {
        name: "price".parse().context("a name")?,
        interface: INTERFACE.into(),
        kind: PointKind::Decide,
        hooks: (0..hooks).map(hook).collect(),
    })
}

/// Microseconds of one call, for each of the apps in the same rounds.
async fn measure<const N: usize>(apps: [&Hooked; N], time: Duration) -> Result<[Vec<f64>; N]> {
    let mut runs = [const { Vec::new() }; N];
    for app in apps {
        ask(app, "ask").await?;
    }
    let began = Instant::now();
    while began.elapsed() < time {
        for (app, runs) in apps.iter().zip(&mut runs) {
            let idle = ask(app, "idle").await?;
            let asked = ask(app, "ask").await?;
            let calls = asked.saturating_sub(idle).as_secs_f64();
            runs.push(calls * 1e6 / f64::from(ASKS));
        }
    }
    Ok(runs)
}

/// How long a request takes that asks often, or that only makes what it would ask.
async fn ask(hooked: &Hooked, operation: &str) -> Result<Duration> {
    let path = format!("/{operation}/{ASKS}");
    let began = Instant::now();
    let answered = host::call(&hooked.app, &path).await?;
    let took = began.elapsed();
    let answered = String::from_utf8_lossy(&answered);
    let known = [ASKS.to_string(), "0".to_owned()];
    ensure!(
        known.contains(&answered.to_string()),
        "the app was given {answered} prices of {ASKS}"
    );
    Ok(took)
}

/// Megabytes that hooks of many instances take beyond the same instances without hooks, in each round.
async fn memory(host: &Host, packages: (&Package, &Package)) -> Result<Vec<f64>> {
    let rounds = MEMORY_ROUNDS as usize + 1;
    let instances = INSTANCES * TIMES;
    let mut kept = Vec::with_capacity(2 * rounds * instances as usize);
    let mut runs = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut grown = [0; 2];
        for (grown, hooks) in grown.iter_mut().zip([0, HOOKS_EACH]) {
            let before = resident_bytes()?;
            for _ in 0..instances {
                kept.push(hooked(host, packages, hooks, Reuse::Fresh).await?);
            }
            *grown = resident_bytes()? - before;
        }
        let [without, with] = grown;
        runs.push((with - without) as f64 / f64::from(TIMES) / 1e6);
    }
    // What is made once is made by the first.
    runs.remove(0);
    check_resident_bytes()?;
    Ok(runs)
}

/// Holds a known amount of memory in small blocks and sees whether the system tells as much.
fn check_resident_bytes() -> Result<()> {
    let mut blocks = Vec::with_capacity(KNOWN_BLOCKS);
    // The list itself is in memory only as far as it is written to.
    let list = (KNOWN_BLOCKS * size_of::<Vec<u8>>()) as f64;
    let before = resident_bytes()?;
    for number in 0..KNOWN_BLOCKS {
        blocks.push(vec![number as u8; KNOWN_BLOCK_BYTES]);
    }
    let told = (resident_bytes()? - before) as f64;
    let held = (KNOWN_BLOCKS * KNOWN_BLOCK_BYTES) as f64 + list;
    std::hint::black_box(&blocks);
    ensure!(
        (told - held).abs() <= held * KNOWN_ERROR_MAX,
        "{held} bytes were held and the system tells {told}: the memory of hooks can't be measured here"
    );
    Ok(())
}

/// What this process keeps in memory.
fn resident_bytes() -> Result<i64> {
    let status =
        std::fs::read_to_string("/proc/self/status").context("the system tells no memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<i64>().ok());
    Ok(kibibytes.context("the system tells its memory otherwise")? * 1024)
}

/// Milliseconds from a change of a hook to the first answer that shows it, over the API and sockets.
async fn changes(bench: &Bench<'_>, app: &[u8], extension: &[u8]) -> Result<Vec<f64>> {
    let data = bench.work.scratch("hooks-platform");
    let platform = Platform::start(&data, None, &bench.settings()).await?;
    platform.push(app).await?;
    platform.push(extension).await?;
    platform.create_instance("main").await?;
    let path = platform.enable("main", "bench-hooks-app").await?;
    let (api, instance) = (platform.operator(), Platform::instance("main"));
    let extension = json!({ "app": "bench-hooks-ext" });
    api.post(&format!("{instance}/installs"), &extension)
        .await?;
    let hooks = api.get(&format!("{instance}/hooks")).await?;
    let hook = hooks["items"][0]["id"]
        .as_str()
        .context("the extension has a hook")?;
    let change = format!("{instance}/hooks/{hook}");
    let mut runs = Vec::new();
    for round in 0..bench.rounds * 10 {
        let enabled = round % 2 == 1;
        let began = Instant::now();
        api.patch(&change, &json!({ "enabled": enabled })).await?;
        let answered = reqwest::get(format!("{}{path}ask/1", platform.api))
            .await?
            .text()
            .await?;
        runs.push(began.elapsed().as_secs_f64() * 1_000.0);
        let expected = if enabled { "1" } else { "0" };
        ensure!(
            answered == expected,
            "after the change the app was given {answered} prices"
        );
    }
    tokio::task::block_in_place(|| platform.server.stop())?;
    Ok(runs)
}

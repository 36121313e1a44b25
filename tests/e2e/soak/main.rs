//! All abuses at once, from several hostile tenants, beside tenants that do their work. The work goes on
//! without a failure and with right answers, and afterwards the host is at rest again: no place, file, thread
//! or memory is lost.
//!
//! `CLOUDWARE_SOAK_ROUNDS` makes it longer; each round is one of every abuse from every hostile tenant.

mod abuse;
mod host;
#[path = "../adversaries/text.rs"]
mod text;
mod work;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cloudware_tests::{Options, Package, Platform, Source};
use serde_json::json;

/// Tenants that misbehave.
const HOSTILE: [&str; 3] = ["mallory", "oscar", "trudy"];

/// Tenants that work.
const WORKING: [&str; 2] = ["acme", "birch"];

/// Rounds where nothing else is asked for: about half a minute.
const ROUNDS: usize = 4;

/// Runs of a hostile instance at the same time.
const HOSTILE_CONCURRENCY: usize = 12;

/// Sandboxes of the host: those that all hostile tenants may take, and as many for the others.
const SANDBOXES: usize = 2 * HOSTILE.len() * HOSTILE_CONCURRENCY;

/// How much more memory the host may hold after the second half than after the first: what the allocator
/// keeps, not what leaks.
const GROWTH_BYTES_MAX: u64 = 96 << 20;

// Who works is not to wait for what abuses compute before they send it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_beside_every_abuse_and_nothing_is_lost() {
    let platform = platform().await;
    let rounds = std::env::var("CLOUDWARE_SOAK_ROUNDS").ok();
    let rounds = rounds
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS)
        .max(2);
    // The first round opens what stays open: databases, threads, caches.
    let mut done = run(&platform, 1).await;
    host::everything_is_given_back(&platform, &HOSTILE, HOSTILE_CONCURRENCY).await;
    let before = host::Rest::of(&platform).await;
    done += run(&platform, rounds / 2).await;
    host::everything_is_given_back(&platform, &HOSTILE, HOSTILE_CONCURRENCY).await;
    let half = platform.resident_bytes();
    done += run(&platform, rounds - rounds / 2).await;
    host::everything_is_given_back(&platform, &HOSTILE, HOSTILE_CONCURRENCY).await;
    let end = platform.resident_bytes();
    eprintln!(
        "{done} cycles of work, {} MiB, then {} MiB",
        half >> 20,
        end >> 20
    );
    assert!(
        end < half + GROWTH_BYTES_MAX,
        "the host held {half} bytes after the first half and {end} after the second"
    );
    before.is_reached_again(&platform).await;
    let log = platform.log();
    // Guests panic as they were asked to, on lines of their own.
    let panicked: Vec<_> = log
        .lines()
        .filter(|line| line.contains("panicked") && !line.contains("app=adversary"))
        .collect();
    assert_eq!(panicked, Vec::<&str>::new());
    work::is_right_at_the_end(&platform, &WORKING).await;
}

async fn platform() -> Platform {
    let variable = |name: &str, value: String| (format!("CLOUDWARE_{name}"), value);
    let options = Options {
        variables: vec![
            variable("ENGINE__SANDBOXES_MAX", SANDBOXES.to_string()),
            variable("ENGINE__COMPILE_SECONDS_MAX", "10".to_owned()),
            variable("DATABASE__IDLE_CLOSE_SECONDS", "1".to_owned()),
        ],
        ..Options::default()
    };
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    for source in [
        Source::ADVERSARY,
        Source::STATE,
        Source::HELLO,
        Source::STOCK,
    ] {
        platform.publish(source).await;
    }
    let mut apps = vec!["adversary", "state"];
    for (name, component) in abuse::components() {
        platform.push(&Package::around(name, component)).await;
        apps.push(name);
    }
    platform.tenants(&HOSTILE, &apps).await;
    platform
        .tenants(&WORKING, &["hello", "inventory-stock"])
        .await;
    for tenant in HOSTILE {
        let limits = json!({
            "concurrency": HOSTILE_CONCURRENCY, "fuel": "300M", "deadline": "3s", "storage": "16MiB",
            "sql-time": "1s",
        });
        platform.limit(tenant, limits).await;
    }
    for tenant in WORKING {
        work::begin(&platform.site(tenant, "")).await;
    }
    platform
}

/// Rounds of every abuse, with work all the time. The cycles of work that were done.
async fn run(platform: &Platform, rounds: usize) -> usize {
    let over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = WORKING
        .map(|tenant| tokio::spawn(work::until(platform.site(tenant, ""), Arc::clone(&over))))
        .into();
    for _ in 0..rounds {
        let hostile = HOSTILE.map(|tenant| abuse::all(platform, tenant));
        futures_util::future::join_all(hostile).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut done = 0;
    for worker in workers {
        done += worker.await.expect("the work goes on without a failure");
    }
    assert!(done > 0, "no work was done beside the abuses");
    done
}

//! What a host holds: places for runs, sandboxes, tasks, file handles, threads and files.

use std::{collections::BTreeSet, fs, time::Duration};

use cloudware_tests::{Platform, within};
use serde_json::Value;
use walkdir::WalkDir;

/// How long things may take to be given back: databases and threads that are idle close within seconds.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(60);

/// File handles that may differ: connections that the tests' own clients keep open.
const HANDLES_MORE: usize = 12;

/// Threads that may differ: the runtime keeps some for work that blocks, as it is needed.
const THREADS_MORE: usize = 8;

/// Tasks that may differ: each such connection is served by one.
const TASKS_MORE: u64 = HANDLES_MORE as u64;

/// Every hostile tenant can have all its places again, which it can't if one is still taken.
pub(crate) async fn everything_is_given_back(platform: &Platform, tenants: &[&str], places: usize) {
    for tenant in tenants {
        let site = platform.site(tenant, "/adversary");
        within(
            GIVEN_BACK_WITHIN,
            &format!("{tenant} has its places again"),
            async || {
                let runs = (0..places).map(|_| site.get("/sleep?ms=300"));
                let answers = futures_util::future::join_all(runs).await;
                answers
                    .iter()
                    .all(|answer| answer.status == 200)
                    .then_some(())
            },
        )
        .await;
    }
}

/// What a host holds while nobody asks anything of it.
pub(crate) struct Rest {
    handles: usize,
    tasks: u64,
    threads: usize,
    files: BTreeSet<String>,
}

impl Rest {
    /// What it holds now, once that does not shrink any more.
    pub(crate) async fn of(platform: &Platform) -> Self {
        let mut lowest = (usize::MAX, 0_u32);
        within(GIVEN_BACK_WITHIN, "the host comes to rest", async || {
            let handles = handles(platform);
            lowest = if handles < lowest.0 {
                (handles, 0)
            } else {
                (lowest.0, lowest.1 + 1)
            };
            (lowest.1 >= 200).then_some(())
        })
        .await;
        Self {
            handles: lowest.0,
            tasks: load(platform).await["tasks"].as_u64().unwrap_or(0),
            threads: threads(platform),
            files: files(platform),
        }
    }

    /// Waits until the host holds no more than this again.
    pub(crate) async fn is_reached_again(&self, platform: &Platform) {
        let wanted = self.handles + HANDLES_MORE;
        within(
            GIVEN_BACK_WITHIN,
            &format!("at most {wanted} file handles"),
            async || (handles(platform) <= wanted).then_some(()),
        )
        .await;
        let wanted = self.tasks + TASKS_MORE;
        within(
            GIVEN_BACK_WITHIN,
            &format!("no sandbox in use, nothing of their memory, and at most {wanted} tasks"),
            async || {
                let load = load(platform).await;
                let is_free = load["sandboxes"] == 0 && load["memory_bytes"] == 0;
                (is_free && load["tasks"].as_u64()? <= wanted).then_some(())
            },
        )
        .await;
        let wanted = self.threads + THREADS_MORE;
        within(
            GIVEN_BACK_WITHIN,
            &format!("at most {wanted} threads"),
            async || (threads(platform) <= wanted).then_some(()),
        )
        .await;
        assert_eq!(files(platform), self.files, "files of the data folder");
    }
}

/// What the host says of itself.
async fn load(platform: &Platform) -> Value {
    platform.api().get("/host").await.expect(200).json()
}

fn entries(platform: &Platform, folder: &str) -> usize {
    let path = format!("/proc/{}/{folder}", platform.process_id());
    fs::read_dir(path)
        .expect("the system describes its processes")
        .count()
}

fn handles(platform: &Platform) -> usize {
    entries(platform, "fd")
}

fn threads(platform: &Platform) -> usize {
    entries(platform, "task")
}

/// The files of the data folder, those left out that a database keeps while it is open.
fn files(platform: &Platform) -> BTreeSet<String> {
    let all = WalkDir::new(platform.data()).into_iter().flatten();
    all.filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().display().to_string())
        .filter(|path| !path.ends_with("-wal") && !path.ends_with("-shm"))
        .collect()
}

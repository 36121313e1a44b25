//! Bytes that no toolchain made: components that were right and were changed, and core modules at random
//! that start on their own. A push is refused with reasons, or what it brought runs under its limits.

use std::fs;

use cloudware_tests::{Mutations, Package, Platform, Source};
use serde_json::json;

use crate::{
    assert_others_are_well, platform,
    text::{Handler, IDLE, RANDOM_MODULES, with_module},
};

/// Changed components of each kind. The seeds are the numbers from 0.
const CHANGED: u64 = 150;

/// Changes of each.
const CHANGES: u64 = 3;

/// Pushes, and lets run what was taken. Whether it was taken.
async fn try_out(platform: &Platform, name: &str, component: Vec<u8>) -> bool {
    let package = Package::around(name, component);
    let answer = platform.try_push(package.archive()).await;
    if answer.status != 201 {
        let problem = answer.problem(422, "package-rejected");
        let problems = problem["problems"].as_array().cloned().unwrap_or_default();
        assert!(!problems.is_empty(), "{name}: {problem}");
        for told in &problems {
            for member in ["code", "at", "message", "fix"] {
                assert!(
                    told[member].as_str().is_some_and(|text| !text.is_empty()),
                    "{name}: {told}"
                );
            }
        }
        return false;
    }
    platform.enable("acme", name, json!({})).await;
    let site = platform.site("acme", "");
    let request = site.request(http::Method::GET, &format!("/{name}/"));
    // An answer that broke off is one too.
    if let Ok(answer) = site.try_send(request).await {
        assert!(answer.status != 500, "{name}: {}", answer.text());
    }
    true
}

async fn limited() -> Platform {
    let platform = platform().await;
    let limits = json!({ "fuel": "20M", "memory": "32MiB", "deadline": "5s" });
    platform.limit("acme", limits).await;
    platform
}

#[tokio::test]
async fn components_that_were_changed() {
    let platform = limited().await;
    let hello = Source::HELLO.package(platform.binary()).await.component();
    let small = Handler {
        before: "(core module $more (memory 1) (func (export \"more\") (memory.fill (i32.const 0) (i32.const 1) (i32.const 9))))",
        module: "(memory 1) (table 2 funcref) (global (mut i32) (i32.const 1)) (data (i32.const 0) \"data\") \
                 (func $f (result i32) (i32.add (i32.const 1) (i32.load (i32.const 0)))) (elem (i32.const 0) $f) \
                 (func (export \"handle\") (param i32 i32) (loop (drop (call $f)) (br_if 0 (i32.const 0))))",
        ..Handler::default()
    };
    let small = small.component();
    let mut taken = 0;
    for seed in 0..CHANGED {
        let mut mutations = Mutations::seeded(seed);
        for (kind, component, other) in [("hello", &hello, &small), ("small", &small, &hello)] {
            let changed = mutations.change(component, other, &[]);
            let name = format!("{kind}-{seed}");
            taken += u64::from(try_out(&platform, &name, changed).await);
        }
        if seed % 10 == 0 {
            assert_others_are_well(&platform).await;
        }
    }
    assert_others_are_well(&platform).await;
    // Where all are refused, what is behind the checks was not tested.
    assert!(taken > 0 && taken < 2 * CHANGED, "{taken} were taken");
}

#[tokio::test]
async fn modules_at_random() {
    let platform = limited().await;
    let idle = Handler {
        module: IDLE,
        ..Handler::default()
    };
    let idle = idle.component();
    let mut modules: Vec<_> = fs::read_dir(RANDOM_MODULES)
        .expect("they are in the repository")
        .collect();
    modules.sort_by_key(|module| module.as_ref().map(fs::DirEntry::file_name).ok());
    let (mut taken, mut tried) = (0, 0);
    for (number, module) in modules.into_iter().enumerate() {
        let module = fs::read(module.expect("the folder can be read").path());
        let module = module.expect("a module can be read");
        let mut mutations = Mutations::seeded(number as u64);
        for change in 0..=CHANGES {
            let module = match change {
                0 => module.clone(),
                _ => mutations.change(&module, &idle, &[]),
            };
            let component = with_module(&idle, &module);
            let name = format!("random-{number}-{change}");
            tried += 1;
            taken += u64::from(try_out(&platform, &name, component).await);
        }
        assert_others_are_well(&platform).await;
    }
    assert!(
        taken > tried / 8 && taken < tried,
        "{taken} of {tried} were taken"
    );
}

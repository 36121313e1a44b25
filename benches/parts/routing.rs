//! Finding the app that answers a path, among the sites of ten thousand tenants.

use std::hint::black_box;

use cloudware_gateway::{Mount, NotServed, RouteTable, Site};
use cloudware_types::InstanceId;
use criterion::Criterion;

const SITES: u32 = 10_000;

/// Apps of each site.
const MOUNTS: u32 = 5;

pub fn lookup(criterion: &mut Criterion) {
    let table = RouteTable::default();
    for number in 0..SITES {
        table.put(InstanceId::generate(), site(number));
    }
    let find = |site: Option<std::sync::Arc<Site>>, path: &str| {
        site.unwrap().find(path).unwrap().prefix.len()
    };
    criterion.bench_function("routing: lookup by host", |bench| {
        bench.iter(|| {
            find(
                table.by_host(black_box("tenant-4711")),
                black_box("/app-3/items/7"),
            )
        });
    });
    criterion.bench_function("routing: lookup by path", |bench| {
        bench.iter(|| {
            let site = table.by_path(black_box("tenant-4711/main"));
            find(site, black_box("/app-3/items/7"))
        });
    });
}

fn site(number: u32) -> Site {
    let mount = |app| Mount {
        prefix: format!("/app-{app}"),
        install: Err(NotServed::Broken),
    };
    Site {
        tenant: format!("tenant-{number}").parse().unwrap(),
        instance: "main".parse().unwrap(),
        is_default: true,
        unavailable: None,
        mounts: (0..MOUNTS).map(mount).collect(),
        peers: None,
    }
}

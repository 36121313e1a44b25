//! Checking an upload: archive, manifest, component.

use std::hint::black_box;

use cloudware_packages::{HostInterfaces, accept};
use cloudware_tests::Package;
use criterion::Criterion;

const COMPONENT: &str = include_str!("../../tests/e2e/components/two_memories.wat");

pub fn verify(criterion: &mut Criterion) {
    let component = cloudware_tests::component(COMPONENT);
    let archive = Package::around("bench", component).archive();
    let host = HostInterfaces::new([]);
    criterion.bench_function("packages: verify a small one", |bench| {
        bench.iter(|| accept(black_box(&archive), None, &host).unwrap());
    });
}

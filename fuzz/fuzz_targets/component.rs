//! libFuzzer's entry to the target `component`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudware_fuzz::component::run(data));

//! libFuzzer's entry to the target `routing`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudware_fuzz::routing::run(data));

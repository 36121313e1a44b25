//! libFuzzer's entry to the target `manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudware_fuzz::manifest::run(data));

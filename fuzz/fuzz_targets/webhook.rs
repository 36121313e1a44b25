//! libFuzzer's entry to the target `webhook`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudware_fuzz::webhook::run(data));

//! libFuzzer's entry to the target `migration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudware_fuzz::migration::run(data));

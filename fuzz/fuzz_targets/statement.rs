//! libFuzzer's entry to the target `statement`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudware_fuzz::statement::run(data));

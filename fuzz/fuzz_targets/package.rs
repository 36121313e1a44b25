//! libFuzzer's entry to the target `package`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cloudware_fuzz::package::run(data));

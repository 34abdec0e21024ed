//! See `blazedb::log::fuzzing::log_recovery`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::log::fuzzing::log_recovery(data));

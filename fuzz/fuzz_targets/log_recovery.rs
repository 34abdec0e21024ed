//! See `blazedb::log::fuzzing::recover`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::log::fuzzing::recover(data));

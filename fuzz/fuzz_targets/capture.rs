//! See `blazedb::log::fuzzing::capture`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::log::fuzzing::capture(data));

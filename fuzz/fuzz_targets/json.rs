//! See `blazedb::blazebinary::fuzzing::json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::blazebinary::fuzzing::json(data));

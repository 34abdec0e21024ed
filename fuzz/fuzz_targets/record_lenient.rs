//! See `blazedb::blazebinary::fuzzing::record_lenient`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::blazebinary::fuzzing::record_lenient(data));

//! See `blazedb::blazebinary::fuzzing::order`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::blazebinary::fuzzing::order(data));

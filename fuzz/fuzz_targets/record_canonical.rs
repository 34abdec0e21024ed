//! See `blazedb::blazebinary::fuzzing::record_canonical`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::blazebinary::fuzzing::record_canonical(data));

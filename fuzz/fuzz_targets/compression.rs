//! See `blazedb::wire::fuzzing::compression`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::wire::fuzzing::compression(data));

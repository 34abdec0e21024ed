//! See `blazedb::wire::fuzzing::frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::wire::fuzzing::frames(data));

//! See `blazedb::wire::fuzzing::message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::wire::fuzzing::message(data));

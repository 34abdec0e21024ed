//! See `blazedb::proto::fuzzing::client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::proto::fuzzing::client(data));

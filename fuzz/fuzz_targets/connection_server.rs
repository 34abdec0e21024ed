//! See `blazedb::proto::fuzzing::server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::proto::fuzzing::server(data));

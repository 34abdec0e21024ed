//! See `blazedb::proto::fuzzing::connection_server`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::proto::fuzzing::connection_server(data));

//! See `blazedb::proto::fuzzing::connection_client`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| blazedb::proto::fuzzing::connection_client(data));

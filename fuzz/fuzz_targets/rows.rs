//! See `blazedb::engine::fuzzing::rows`.
#![no_main]

blazedb_fuzz::target!(blazedb::engine::fuzzing::rows);

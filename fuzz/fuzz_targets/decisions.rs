//! See `blazedb::engine::fuzzing::decisions`.
#![no_main]

blazedb_fuzz::target!(blazedb::engine::fuzzing::decisions);

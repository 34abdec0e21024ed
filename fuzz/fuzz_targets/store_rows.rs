//! See `blazedb::store::fuzzing::store_rows`.
#![no_main]

blazedb_fuzz::target!(blazedb::store::fuzzing::store_rows);

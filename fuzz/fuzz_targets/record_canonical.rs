//! See `blazedb::blazebinary::fuzzing::record_canonical`.
#![no_main]

blazedb_fuzz::target!(blazedb::blazebinary::fuzzing::record_canonical);

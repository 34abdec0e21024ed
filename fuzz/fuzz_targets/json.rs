//! See `blazedb::blazebinary::fuzzing::json`.
#![no_main]

blazedb_fuzz::target!(blazedb::blazebinary::fuzzing::json);

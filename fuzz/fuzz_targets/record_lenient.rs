//! See `blazedb::blazebinary::fuzzing::record_lenient`.
#![no_main]

blazedb_fuzz::target!(blazedb::blazebinary::fuzzing::record_lenient);

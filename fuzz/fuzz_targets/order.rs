//! See `blazedb::blazebinary::fuzzing::order`.
#![no_main]

blazedb_fuzz::target!(blazedb::blazebinary::fuzzing::order);

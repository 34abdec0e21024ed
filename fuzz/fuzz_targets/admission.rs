//! See `blazedb::server::fuzzing::admission`.
#![no_main]

blazedb_fuzz::target!(blazedb::server::fuzzing::admission);

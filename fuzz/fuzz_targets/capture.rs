//! See `blazedb::log::fuzzing::capture`.
#![no_main]

blazedb_fuzz::target!(blazedb::log::fuzzing::capture);

//! See `blazedb::server::fuzzing::door`.
#![no_main]

blazedb_fuzz::target!(blazedb::server::fuzzing::door);

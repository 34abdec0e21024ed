//! See `blazedb::wire::fuzzing::message`.
#![no_main]

blazedb_fuzz::target!(blazedb::wire::fuzzing::message);

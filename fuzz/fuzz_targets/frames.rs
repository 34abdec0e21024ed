//! See `blazedb::wire::fuzzing::frames`.
#![no_main]

blazedb_fuzz::target!(blazedb::wire::fuzzing::frames);

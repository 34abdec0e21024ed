//! See `blazedb::wire::fuzzing::compression`.
#![no_main]

blazedb_fuzz::target!(blazedb::wire::fuzzing::compression);

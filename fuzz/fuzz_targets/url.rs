//! See `blazedb::transport::fuzzing::url`.
#![no_main]

blazedb_fuzz::target!(blazedb::transport::fuzzing::url);

//! See `blazedb::log::fuzzing::transactions`.
#![no_main]

blazedb_fuzz::target!(blazedb::log::fuzzing::transactions);

//! See `blazedb::log::fuzzing::log_recovery`.
#![no_main]

blazedb_fuzz::target!(blazedb::log::fuzzing::log_recovery);

//! See `blazedb::log::fuzzing::log_commits`.
#![no_main]

blazedb_fuzz::target!(blazedb::log::fuzzing::log_commits);

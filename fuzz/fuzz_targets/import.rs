//! See `blazedb::cli::fuzzing::import`.
#![no_main]

blazedb_fuzz::target!(blazedb::cli::fuzzing::import);

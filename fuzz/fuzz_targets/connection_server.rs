//! See `blazedb::proto::fuzzing::connection_server`.
#![no_main]

blazedb_fuzz::target!(blazedb::proto::fuzzing::connection_server);

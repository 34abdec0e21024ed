//! See `blazedb::proto::fuzzing::connection_client`.
#![no_main]

blazedb_fuzz::target!(blazedb::proto::fuzzing::connection_client);

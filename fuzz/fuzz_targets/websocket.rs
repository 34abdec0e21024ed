//! See `blazedb::transport::fuzzing::websocket`.
#![no_main]

blazedb_fuzz::target!(blazedb::transport::fuzzing::websocket);

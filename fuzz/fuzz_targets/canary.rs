//! See `blazedb_fuzz::canary`: a run that does not find what is planted there finds nothing else either.
#![no_main]

blazedb_fuzz::target!(blazedb_fuzz::canary::canary);

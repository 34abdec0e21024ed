//! The binary: parses the command line and hands over to [`blazedb::cli`].

#![forbid(unsafe_code)]

fn main() {}

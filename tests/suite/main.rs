//! The one integration test binary: few binaries keep the build quick.

mod generated;
mod protocol;

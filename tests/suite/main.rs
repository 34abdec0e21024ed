//! The one integration test binary: few binaries keep the build quick.

mod allocations;
mod golden;
mod house;

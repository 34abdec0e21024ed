//! The one integration test binary: few binaries keep the build quick.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_types,
    reason = "a test that meets the unexpected has failed"
)]

mod allocations;
mod golden;
mod house;
mod store;

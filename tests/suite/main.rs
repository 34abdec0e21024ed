//! The one integration test binary: few binaries keep the build quick.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics fails, which is what it is for"
)]

mod values;

mod allocations;
mod cli_record;
mod fuzz_seeds;
mod golden;
mod house;
mod json_properties;
mod order_properties;

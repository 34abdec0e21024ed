//! The one integration test binary: few binaries keep the build quick.

mod values;

mod allocations;
mod golden;
mod house;
mod json_properties;
mod order_properties;

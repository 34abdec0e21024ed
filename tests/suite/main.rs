//! The one integration test binary: few binaries keep the build quick.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::disallowed_types,
    reason = "a test that meets the unexpected has failed"
)]

mod values;
mod verify;
mod wire_tools;

mod allocations;
mod broken_client;
mod broken_relay;
mod broken_server;
mod clauses;
mod cli_bench;
mod cli_client;
mod cli_completion;
mod cli_demo;
mod cli_frames;
mod cli_import;
mod cli_import_faults;
mod cli_proxy;
mod cli_record;
mod cli_watch;
mod client;
mod command;
mod conformance;
mod doors;
mod doors_http;
mod engine;
mod fuzz_seeds;
mod generated;
mod golden;
mod house;
mod json_properties;
mod live;
mod loop_disk;
mod order_properties;
mod protocol;
mod random;
mod readme;
mod refusals;
mod registry;
mod server_attacks;
mod server_crowds;
mod server_descriptors;
mod server_end_to_end;
mod server_fairness;
mod server_full;
mod server_kill;
mod server_kit;
mod server_load;
mod server_power;
mod sessions;
mod specified;
mod store;
mod test_server;
mod vectors;

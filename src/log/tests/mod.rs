//! Tests of the log as a whole: it is written, crashed, damaged and opened again.
//!
//! `world` drives the real log over the simulated disk and knows what must be there afterwards. `crashes` tries every
//! crash of short scripts and many of long ones, with controls that must fail; `points` lets every input and output
//! fail once; `full` leaves the disk no room; `accept` lets an operator accept damage, `surveys`
//! says what is told then; `idle` watches the clock; `rot` damages logs at rest; `spec` compares bytes with the
//! specification.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    reason = "numbers in tests are small, and a test that overflows should stop"
)]

mod accept;
pub(super) mod choosers;
mod crashes;
mod full;
mod group;
mod idle;
mod points;
mod rot;
mod spec;
mod surveys;
mod world;

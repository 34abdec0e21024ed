//! BlazeDB: one self-hosted binary that is an application database, a real-time sync service and an
//! observability store, speaking one encoding (BlazeBinary) on disk and on the wire.
//!
//! The crate is built in layers and arrows point down only; `ARCHITECTURE.md` draws them and
//! `tests/suite/house.rs` checks them. The layers that exist today, lowest first:
//!
//! - [`blazebinary`]: values, records, the codec, the total order, typed JSON;
//! - [`wire`]: frames and messages over plain buffers;
//! - [`proto`]: the connection protocol as a pure state machine, without IO;
//! - [`log`]: the segments, their recovery, positions;
//! - [`store`]: the ordered view that a log is folded into, and its backends;
//! - [`engine`]: the decider, the commit path, snapshots, changes;
//! - [`live`]: who watches which collection, subscriptions as positions;
//! - [`service`]: a session plus an event of its connection gives replies;
//! - `transport`: frames over byte streams, URLs, connecting (feature `net`);
//! - `server`: the listener, a task a client, upkeep, stopping (feature `net`);
//! - `client`: the client of a served database (feature `net`);
//! - `conformance`: holds other implementations against the specification (feature `net`).
//!
//! Everything below `transport` builds without network crates (`--no-default-features`), reads no clock,
//! socket or disk but through what it is given ([`store::Lsm`] and [`store::directory`] excepted), and contains no
//! `unsafe` code.

#![forbid(unsafe_code)]
// Production code is linted without `cfg(test)` in the same run.
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a test that meets the unexpected has failed"
    )
)]

pub mod blazebinary;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "net")]
pub mod client;
#[cfg(feature = "net")]
pub mod conformance;
pub mod engine;
pub mod live;
pub mod log;
pub mod proto;
#[cfg(feature = "net")]
pub mod server;
pub mod service;
pub mod store;
#[cfg(feature = "net")]
pub mod transport;
pub mod wire;

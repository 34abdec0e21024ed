//! The connection protocol as a pure state machine; the normative text is `spec/connection.md`.
//!
//! | file | what it keeps |
//! |---|---|
//! | `connection`, `core` | the glue: families of methods, phases, deadlines, the order of output |
//! | `client`, `server` | what each role may say, and the verbs of its application |
//! | `handshake` | what Hello and Welcome must agree on |
//! | `credit` | ledger 1: receive credit |
//! | `outbox`, `outcomes` | ledger 2: operations and what became of them, at the client and at the server |
//! | `asks`, `requests` | ledger 3: queries and subscriptions, at the client and at the server |
//! | `sequence`, `heartbeat`, `control`, `budget`, `close` | what is not a ledger |
//!
//! This module knows nothing of sockets, clocks, threads or storage: [`Connection`] is driven by whoever has
//! them. It never panics on what a peer sends, and what it holds is bounded
//! ([`ServerConfig::memory_bound`]).

mod asks;
mod budget;
mod client;
mod close;
mod config;
mod connection;
mod control;
mod core;
mod credit;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
#[cfg(test)]
mod harness;
mod heartbeat;
pub mod limits;
mod outbox;
mod outcomes;
mod peek;
mod requests;
mod sequence;
mod server;
#[cfg(test)]
mod tests;
mod time;

pub use client::{Client, ClientEvent};
pub use close::Parting;
pub use config::{ClientConfig, ServerConfig};
pub use connection::Connection;
pub use credit::Cost;
pub use error::{AcceptError, CloseReason, Deadline, Misuse, RequestError, SubmitError, Violation};
pub use handshake::{Acceptance, HelloInfo, LZ4, WelcomeInfo};
pub use outbox::{Outbox, Outcome, Refusal};
pub use requests::{Delivery, RequestKind};
pub use server::{RefusalText, Server, ServerEvent, Verdict};
pub use time::Time;

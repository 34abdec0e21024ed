//! Live changes: who watches which collection, and what a subscription is told; the normative text is `spec/live.md`.
//!
//! ```text
//!   engine ──published──▶ hub ──"something is new"──▶ session ──▶ subscription.step ──reads──▶ engine
//!                          (carries no data)                       (a position, and what it owes)
//! ```
//!
//! | file | what it does |
//! |---|---|
//! | `hub` | by database and collection who is to be woken; how far a database is published |
//! | `subscription` | where a subscription stands and what it is told next |
//! | `catching_up` | the newest image of each record, by the order of changes |
//! | `following` | transactions in order, from memory, else from the log |
//! | `name` | a collection's name over drops |
//! | `limits` | bounds of one turn and of what rests |
//!
//! A subscription is a position: everything it tells is read from the engine, from there on. A wake-up that comes twice, or
//! for nothing, costs a look and tells nothing. This module does no IO of its own and reads no clock.

mod catching_up;
mod following;
mod hub;
pub mod limits;
mod name;
mod subscription;

pub use hub::{Hub, Source, Wake};
pub use subscription::{Step, Subscription, Tidings, Wish};

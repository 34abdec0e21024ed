//! What a server does with what a client says, without sockets: an event of the connection in, replies out.
//!
//! | file | what it does |
//! |---|---|
//! | `databases` | the databases that are served, by name |
//! | `publication` | hears from the engine what is durable, tells whoever waits |
//! | `nodes` | one connection a node: a newer one fences the older |
//! | `session` | a connection's session: handshake, which event goes where |
//! | `operations` | operations: decided in order, told at once and when durable |
//! | `subscriptions` | subscriptions: events as the client's credit allows, heartbeats |
//! | `queries`, `answer`, `statistics` | queries: pages as the client's credit allows |
//! | `refusals` | errors of the engine in the words of the protocol |
//!
//! A session is driven by whoever has the socket: [`Session::handle`] with every event of the connection,
//! [`Session::commit`] when it is this connection's turn to lead, [`Session::advance`] after something was
//! published or [`Session::next_deadline`] has passed, or what it was
//! given to be woken by was called. This module reads no clock and waits for nothing but the
//! disk.

mod answer;
mod databases;
pub mod limits;
mod nodes;
mod operations;
mod publication;
mod queries;
mod refusals;
mod session;
mod statistics;
mod subscriptions;

pub use databases::{Databases, Served};
pub use nodes::{Claim, Fence, Nodes};
pub use publication::{Publication, StorageFailure};
pub use session::Session;

//! The client of a served database: a handle that many tasks share, over one connection that comes back.
//!
//! ```text
//!   Client ──operations, questions, signals──▶ driver ──▶ proto::Connection ──▶ TCP, TLS, …
//!     (cheap to clone)      bounded              one task; the only one that holds the connection
//! ```
//!
//! - **Pipelining.** [`Client::submit`] returns once an operation is taken, and its [`Pending`] tells the outcome.
//!   Operations are decided in the order in which they were submitted. It waits while as many as the protocol allows are
//!   unacknowledged: that is the back-pressure.
//! - **Once.** When the connection is lost the driver connects again, with growing pauses, as the same node, and sends
//!   what was not acknowledged again, byte for byte. The server knows each operation by its number, so each takes effect
//!   once and its first outcome is told.
//! - **Reading.** [`Client::scan`] answers [`Pages`]; a reader that does not read holds up nobody else, since each
//!   answer has credit of its own. A question that was not answered in part is asked again on the next connection.
//!   A question may overtake operations that were submitted before it: [`Client::at_least`] makes it see them.
//!
//! - **Watching.** [`Client::subscribe`] answers a [`Subscription`], which goes on over connections from the last position
//!   that it was told: each change comes once, in order, or a reset says that some are no longer held.
//!
//! This module knows nothing of files, terminals or the server's insides.

mod backoff;
mod dial;
mod driver;
mod error;
mod handle;
mod options;
mod outcome;
mod pages;
mod questions;
mod records;
mod shared;
mod state;
mod subscription;
mod watches;
mod work;

pub use backoff::{FIRST_DELAY, MAX_DELAY};
pub use dial::Dial;
pub use error::{Ending, Error, InputError};
pub use handle::Client;
pub use options::{DEFAULT_PATIENCE, Options};
pub use outcome::{Pending, Receipt, Refused};
pub use pages::{Page, Pages, Stored};
pub use questions::Range;
pub use records::{Put, id_of, with_id};
pub use state::State;
pub use subscription::{ChangeSet, Subscription, Tidings};

//! What every way of carrying records has in common.

use std::error::Error;

use blazedb::blazebinary::Record;

/// Whatever goes wrong ends the program.
pub type Fault = Box<dyn Error + Send + Sync>;

/// How records become operations.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Records in an operation.
    pub batch: usize,
    /// Operations under way at once; with 1 each answer is awaited before the next operation.
    pub window: usize,
}

impl Shape {
    /// A record an operation, each answer awaited.
    pub const ONE: Self = Self { batch: 1, window: 1 };
    /// A record an operation, 64 under way.
    pub const PIPELINED: Self = Self { batch: 1, window: 64 };
    /// A hundred records an operation, each answer awaited.
    pub const BATCHES: Self = Self { batch: 100, window: 1 };
}

/// A connection that stores records in its way.
pub trait Link: Sized {
    /// Stores records under their ids. All of them are acknowledged when it returns.
    async fn store(&mut self, records: &[Record]) -> Result<(), Fault>;

    /// Ends the connection as its protocol has it.
    async fn close(self) -> Result<(), Fault>;
}

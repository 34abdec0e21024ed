//! The engine: what an operation means, when it is durable, what readers see; the normative text is
//! `spec/engine.md`.
//!
//! | file | what it does |
//! |---|---|
//! | `prepare`, `decider`, `draft`, `patch` | an operation becomes a decision, which is final |
//! | `decision`, `outcome`, `record`, `catalogue` | what is decided, and its bytes |
//! | `view` | what a decision is made against |
//!
//! This module knows nothing of connections and messages' frames; it reads no clock and no disk by itself.

mod catalogue;
mod decider;
mod decision;
mod draft;
mod environment;
mod error;
mod hybrid_clock;
pub mod limits;
mod outcome;
mod patch;
mod prepare;
mod record;
mod view;

pub use catalogue::Catalogue;
pub use decider::{Answer, Decider, Published, Request};
pub use decision::{CatalogueEntry, DecidedEffect, Decision, RecordWrite};
pub use environment::Environment;
pub use error::EngineError;
pub use hybrid_clock::HybridClock;
pub use outcome::{LedgerEntry, Outcome, Refusal, Verdict};
pub use prepare::{Act, Item, Prepared, prepare};
pub use record::{Envelope, FieldStamp, Id, StoredRecord};
pub use view::StateView;

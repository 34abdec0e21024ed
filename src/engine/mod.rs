//! The engine: what an operation means, when it is durable, what readers see; the normative text is
//! `spec/engine.md`.
//!
//! | file | what it does |
//! |---|---|
//! | `prepare`, `decider`, `draft`, `patch` | an operation becomes a decision, which is final |
//! | `decision`, `outcome`, `record`, `catalogue` | what is decided, and its bytes |
//! | `view`, `rows`, `codec` | what a decision is made against; decisions as rows and as effects of the log |
//! | `database`, `committer`, `shared` | the commit path: decide, append, sync beside the fold, publish |
//! | `opening`, `marker`, `upkeep`, `retention` | opening and replay, checkpoints, trimming, verification |
//! | `node_id`, `nodes` | nodes that come, are seen, and are forgotten |
//! | `drops`, `sweep` | dropped collections: what is remembered of them, and how their rows go |
//! | `acceptance` | going on without what damage destroyed |
//! | `read`, `changes`, `feed` | snapshots, scans, changes from a position on |
//!
//! This module knows nothing of connections and frames; it reads no clock and no disk by itself.

mod acceptance;
mod catalogue;
mod changes;
mod codec;
mod committer;
mod database;
mod decider;
mod decision;
mod draft;
mod drops;
mod environment;
mod error;
mod feed;
pub mod fuzzing;
mod hybrid_clock;
pub mod limits;
mod marker;
mod node_id;
mod nodes;
mod opening;
mod outcome;
mod patch;
mod prepare;
mod read;
mod record;
mod retention;
mod rows;
mod shared;
mod sweep;
mod upkeep;
mod view;

pub use acceptance::{Damaged, LogCheck};
pub use catalogue::{Catalogue, Collections, Node};
pub use changes::{AllChanges, LatestChange, LatestChanges};
pub use database::{Database, Submission, Ticket};
pub use decider::{Answer, Decider, Published, Request};
pub use decision::{CatalogueEntry, DecidedEffect, Decision, RecordWrite};
pub use environment::Environment;
pub use error::EngineError;
pub use feed::Next;
pub use hybrid_clock::HybridClock;
pub use marker::FORMAT_FILE;
pub use node_id::new_node_id;
pub use opening::{Opening, Settings};
pub use outcome::{LedgerEntry, Outcome, Refusal, Verdict};
pub use prepare::{Act, Item, Prepared, prepare};
pub use read::{CollectionStatistics, Named, Range, Reader, Scan};
pub use record::{Content, Envelope, FieldStamp, Id, StoredRecord};
pub use retention::Retention;
pub use shared::Listener;
pub use sweep::Sweeping;
pub use upkeep::Checkpointed;
pub use view::StateView;

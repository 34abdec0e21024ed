//! The tester of conformance: plays one side of the protocol against any implementation of the other, and says
//! clause by clause whether it is as `spec/` has it.
//!
//! ```text
//!   case ──▶ Peer ──frames of any kind──▶ server under test
//!             │  ▲
//!             ▼  └── what is heard, each frame held to `rules`
//!           verdict ──▶ report: text, JUnit
//! ```
//!
//! It speaks in frames of its own making and not through `proto`, so that it can send what no client sends, and so that
//! a mistake there is not made twice.

mod case;
mod clients;
mod exclusions;
mod failure;
mod fields;
mod hello;
mod items;
mod limits;
mod peer;
mod report;
mod rules;
mod run;
mod said;
mod servers;
mod target;
mod work;

pub use case::{Title, table};
pub use clients::Listen;
pub use exclusions::Exclusions;
pub use failure::Failure;
pub use report::{Finding, Line, Report};
pub use run::{ClientStage, Selection, check_client, check_server, client_cases, server_cases};
pub use target::{PREFIX, Restart};

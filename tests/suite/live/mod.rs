//! Live changes: against a history that the test keeps for itself, in process (`rules`), and over real servers that are
//! killed (`served`).
//!
//! `base` is a database in memory whose history is known, and a reader that is told as a client would be.

mod base;
mod rules;
mod served;

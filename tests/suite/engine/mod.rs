//! The engine as a whole: against an independent model, under faults of every input and output, under power cuts,
//! and from many threads.
//!
//! `kit` is the machinery, `model` the plain reading of `spec/engine.md` that answers are compared with.

mod concurrency;
mod drops;
mod faults;
mod fixture;
mod kit;
mod model;
mod nodes;
mod rules;
mod scripts;
mod syscalls;

//! The engine as a whole: against an independent model, under faults of every input and output, under power cuts,
//! and from many threads.
//!
//! `kit` is the machinery, `model` the plain reading of `spec/engine.md` that answers are compared with.

mod concurrency;
mod drops;
mod faults;
mod kit;
mod model;
mod rules;
mod scripts;

//! Tests of whole connections: scripted peers for single rules, the harness for everything together.

mod peer;
mod sessions;

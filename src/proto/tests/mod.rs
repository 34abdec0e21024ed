//! Tests of whole connections: scripted peers for single rules, the harness for everything together.

mod deadlines;
mod deadlocks;
mod floods;
mod goodbye;
mod handshakes;
mod peer;
mod requests;
mod resume;
mod sessions;
mod simulation;
mod violations;

//! Frames and messages over plain buffers; the normative text is `spec/protocol.md`.
//!
//! This module knows nothing of sockets, clocks or connections: bytes in, messages out, and back.

pub mod header;

pub use header::{Flags, Header, HeaderError, MessageType};

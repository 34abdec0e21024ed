//! Carrying frames over byte streams: the only layer between the sans-IO core and sockets.
//!
//! [`FrameCodec`] is all of the protocol that is known here: where a frame begins and ends. What it means is the
//! core's to say.

pub mod codec;

pub use codec::{CodecError, FrameCodec, OwnedFrame};

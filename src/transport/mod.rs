//! Carrying frames over byte streams: the only layer between the sans-IO core and sockets.
//!
//! [`FrameCodec`] is all of the protocol that is known here: where a frame begins and ends. What it means is the
//! core's to say.

pub mod codec;
pub mod tcp;
pub mod url;

pub use codec::{CodecError, FrameCodec, OwnedFrame};
pub use tcp::ConnectError;
pub use url::{Url, UrlError};

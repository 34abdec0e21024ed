//! Carrying frames over byte streams: the only layer between the sans-IO core and sockets.
//!
//! ```text
//!                     frames
//!        ┌───────────────┴──────────────┐
//!        │                          WebSocket          `websocket`
//!        ├──────────────┬───────────────┤
//!        │             TLS              │              `tls`
//!        ├──────────────┴───────────────┤
//!       TCP                       Unix socket          `socket`
//! ```
//!
//! [`Stream`] is any of these ways. [`FrameCodec`] is all of the protocol that is known here: where a frame begins and
//! ends. What it means is the core's to say. `spec/doors.md` is the normative text.

pub mod codec;
pub mod detect;
pub mod dial;
pub mod fuzzing;
mod headed;
pub mod pin;
pub mod rewound;
pub mod socket;
pub mod stream;
pub mod tls;
pub mod url;
pub mod websocket;

pub use codec::{CodecError, FrameCodec, OwnedFrame};
pub use dial::{ConnectError, Dialer};
pub use pin::Pin;
pub use stream::Stream;
pub use url::{Url, UrlError};

//! Frames as sessions compare them: plain, and without what their sender may choose.

use std::collections::VecDeque;

use blazedb::wire::{EncodedDict, ErrorCode, Flags, FrameBuffer, Message, Subject, decompress};
use serde_json::Value as Json;

use super::super::describe::describe;

/// A frame that was written, its payload plain.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) message_type: u8,
    sequence: u32,
    pub(super) payload: Vec<u8>,
}

/// The frames in what a side wrote.
pub(super) fn read(bytes: &[u8]) -> Vec<Written> {
    let mut buffer = FrameBuffer::new();
    buffer.extend(bytes);
    let mut found = Vec::new();
    while let Some(frame) = buffer.next_frame().unwrap() {
        let mut payload = frame.payload.to_vec();
        if frame.header.flags.contains(Flags::COMPRESSED) {
            decompress(frame.payload, &mut payload).unwrap();
        }
        let (message_type, sequence) = (frame.header.message_type, frame.header.sequence);
        found.push(Written { message_type, sequence, payload });
    }
    assert_eq!(buffer.pending_bytes(), 0, "half a frame was written");
    found
}

/// The one frame of a step.
pub(super) fn plain(raw: &[u8]) -> Option<Written> {
    let mut frames = read(raw);
    let frame = frames.pop()?;
    frames.is_empty().then_some(frame)
}

/// Whether `written` says what the script has.
pub(super) fn same(expected: &Written, written: &Written) -> Result<(), String> {
    let told = |frame: &Written| {
        let message = Message::decode(frame.message_type, &frame.payload);
        (frame.sequence, message.map(|message| without_choices(&message)).map_err(|error| error.to_string()))
    };
    let (expected, written) = (told(expected), told(written));
    if expected == written { Ok(()) } else { Err(format!("{expected:?} was to come, not {written:?}")) }
}

/// A message without the members that are its sender's choice.
fn without_choices(message: &Message<'_>) -> Json {
    let mut told = describe(message, &EncodedDict::NONE);
    let chosen: &[&str] = match message {
        Message::Error(_) => &["message", "detail"],
        Message::Goodbye(_) => &["message"],
        Message::Ping(_) => &["nonce"],
        _ => &[],
    };
    for member in chosen {
        told.as_object_mut().unwrap().remove(*member);
    }
    told
}

/// The code of the Error about the connection that a side wrote last.
pub(super) fn last_error(written: &VecDeque<Written>) -> Option<String> {
    let last = written.back()?;
    match Message::decode(last.message_type, &last.payload) {
        Ok(Message::Error(error)) if error.subject == Subject::Connection => {
            Some(ErrorCode::from_number(error.code)?.name().to_owned())
        }
        _ => None,
    }
}

//! The bodies of the fuzz targets: what a peer sends over a WebSocket, and the texts that name a server.

use super::pin::Pin;
use super::url::Url;
use super::websocket::frames::{
    Answers, Fault, IDLE_FRAME_COST, MAX_ALLOWANCE, Receiver, Role, push_close, push_message, push_pong,
};

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] = &[("websocket", websocket), ("url", url)];

/// The mask of frames that are made here.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Frames of a WebSocket as they come. Bit 0 of the first byte is whose end reads, bit 1 whether the rest is raw or a
/// program of frames, the others the size of the pieces: they do not matter, more comes out than came in never, and
/// what is made here is read. A frame of a program is its kind u8, its length u8, its payload.
pub fn websocket(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let role = if choice & 1 == 0 { Role::Server } else { Role::Client };
    let (stream, expected) = if choice & 2 == 0 { (rest.to_vec(), None) } else { made(role, rest) };
    let whole = read(role, &stream, stream.len().max(1));
    assert_eq!(read(role, &stream, usize::from(choice >> 2).max(1)), whole, "pieces matter");
    let Read { payload, answers, ended, .. } = &whole;
    assert!(payload.len() <= stream.len(), "{} bytes out of {}", payload.len(), stream.len());
    assert!(answers.pong.as_ref().is_none_or(|pong| pong.len() <= 125), "a pong longer than a ping may be");
    if let Some(expected) = expected {
        assert_eq!((payload, ended), (&expected, &None), "what is made here is read");
    }
}

/// What came out of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    payload: Vec<u8>,
    answers: Answers,
    is_closed: bool,
    ended: Option<Fault>,
}

fn read(role: Role, stream: &[u8], piece: usize) -> Read {
    let (mut receiver, mut answers, mut payload) = (Receiver::new(role), Answers::default(), Vec::new());
    let mut ended = None;
    for piece in stream.chunks(piece) {
        let mut piece = piece.to_vec();
        match receiver.take(&mut piece, &mut answers) {
            Ok(kept) => payload.extend_from_slice(piece.get(..kept).unwrap_or_default()),
            // What stood before the fault in the same piece is not answered: the connection is at its end.
            Err(fault) => {
                ended = Some(fault);
                payload.clear();
                answers = Answers::default();
                break;
            }
        }
    }
    assert!(payload.is_empty() || ended.is_none());
    Read { payload, answers, is_closed: receiver.is_closed(), ended }
}

/// Frames as this end's peer makes them, and the payload of their messages.
fn made(role: Role, mut program: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let mask = (role == Role::Server).then_some(MASK);
    let (mut stream, mut expected) = (Vec::new(), Vec::new());
    // As many frames as may all be without payload.
    for _ in 0..MAX_ALLOWANCE / IDLE_FRAME_COST {
        let Some((&[kind, length], rest)) = program.split_first_chunk() else { break };
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        match kind % 4 {
            0 => push_pong(payload.get(..payload.len().min(125)).unwrap_or_default(), mask, &mut stream),
            1 => {
                push_close(1000, mask, &mut stream);
                break;
            }
            _ => {
                // Longer than one byte can say: lengths have three forms.
                let payload = payload.repeat(usize::from(kind >> 2).saturating_add(1));
                push_message(&payload, mask, &mut stream);
                expected.extend_from_slice(&payload);
            }
        }
        program = rest;
    }
    (stream, Some(expected))
}

/// The URL of a server: what is read is written, and read again, the same. So is a fingerprint.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Url>() {
        Ok(url) => assert_eq!(url.to_string().parse(), Ok(url), "{text:?}"),
        Err(error) => drop(error.to_string()),
    }
    if let Ok(pin) = text.parse::<Pin>() {
        assert_eq!(pin.to_string().parse(), Ok(pin), "{text:?}");
    }
}

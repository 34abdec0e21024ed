//! The bodies of the fuzz targets: no input makes them panic but a defect.

use super::frame::{FrameError, encode_frame};
use super::frame_buffer::FrameBuffer;
use super::header::{Flags, Header};
use super::message::{EventKind, Message};
use super::{compress, decompress};

/// What a target runs on an input.
pub type Body = fn(&[u8]);

/// Every target by the name of its file in `fuzz/fuzz_targets` and of its folder in `fuzz/seeds`.
pub const TARGETS: &[(&str, Body)] =
    &[("frames", frames), ("message", message), ("compression", compression)];

/// A stream of bytes, in one piece and in small ones: both give the same frames and end in the same way, and
/// each frame encodes to its bytes again. The first byte says how the rest becomes a stream: as it is, or as the
/// payloads of frames, one byte of which is changed.
pub fn frames(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let stream = if choice & 1 == 0 { rest.to_vec() } else { built(rest) };
    let whole = decode_all(&stream, stream.len().max(1));
    let piece = usize::from(choice >> 1).max(1);
    assert_eq!(decode_all(&stream, piece), whole, "in pieces of {piece}");
    let mut again = Vec::new();
    for (header, payload) in &whole.0 {
        let written = encode_frame(header.message_type, header.flags, header.sequence, payload, &mut again);
        assert!(written.is_ok());
    }
    assert!(stream.starts_with(&again), "frames encode to the bytes they came from");
}

type Decoded = (Vec<(Header, Vec<u8>)>, Result<usize, FrameError>);

/// The frames of a stream that arrives in pieces, and how it ends: with so many bytes left over, or an error.
fn decode_all(stream: &[u8], piece: usize) -> Decoded {
    let mut buffer = FrameBuffer::new();
    let mut frames = Vec::new();
    for arrived in stream.chunks(piece) {
        buffer.extend(arrived);
        loop {
            match buffer.next_frame() {
                Ok(Some(frame)) => frames.push((frame.header, frame.payload.to_vec())),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
    }
    (frames, Ok(buffer.pending_bytes()))
}

/// Frames whose types, flags and lengths come from `data`; its first two bytes change one byte of the stream.
fn built(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(([at, change], mut rest)) = data.split_first_chunk() else { return out };
    let mut sequence = 0u32;
    while let Some(([message_type, flags, length], behind)) = rest.split_first_chunk() {
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        let flags = Flags::from_byte(*flags).unwrap_or_default();
        let written = encode_frame(*message_type, flags, sequence, payload, &mut out);
        assert!(written.is_ok());
        sequence = sequence.saturating_add(1);
        rest = behind;
    }
    if let Some(byte) = out.get_mut(usize::from(*at)) {
        *byte ^= change;
    }
    out
}

/// One frame of any type and payload (the first byte is the type): what is accepted encodes to its bytes again,
/// and all that it holds is there to be iterated.
pub fn message(data: &[u8]) {
    let Some((&message_type, payload)) = data.split_first() else { return };
    match Message::decode_extended(message_type, payload) {
        Ok((message, extension)) => {
            let mut again = Vec::new();
            message.encode(&mut again);
            extension.append_to(&mut again);
            assert!(again == payload, "{message:?}");
            iterate(&message);
        }
        Err(error) => {
            assert!(error.offset <= payload.len(), "{error}");
            assert!(error.code().scopes().contains(&error.subject.scope()), "{error}: {}", error.code());
        }
    }
}

fn iterate(message: &Message<'_>) {
    match message {
        Message::Operation(operation) => {
            let grouped: usize = operation.groups.iter().map(|group| group.operations.iter().count()).sum();
            let counted: usize = operation.groups.iter().map(|group| group.operations.len()).sum();
            assert_eq!(grouped, counted);
            assert_eq!(operation.groups.operations().count(), counted);
        }
        Message::QueryResponse(response) => assert_eq!(response.rows.iter().count(), response.rows.len()),
        Message::Event(event) => {
            if let EventKind::Changes(changes) = event.kind {
                assert_eq!(changes.iter().count(), changes.len());
            }
        }
        Message::Hello(hello) => assert_eq!(hello.capabilities.iter().count(), hello.capabilities.len()),
        Message::Welcome(welcome) => {
            assert_eq!(welcome.capabilities.iter().count(), welcome.capabilities.len())
        }
        Message::Error(error) => assert_eq!(error.detail.view().is_none(), error.detail.is_none()),
        _ => {}
    }
}

/// A compressed payload, and a plain one: what is accepted has the declared length and bounded memory, and what
/// is compressed comes back.
pub fn compression(data: &[u8]) {
    let mut plain = Vec::new();
    if decompress(data, &mut plain).is_ok() {
        let declared = data.first_chunk().map(|length| u32::from_be_bytes(*length));
        assert_eq!(u32::try_from(plain.len()).ok(), declared);
        round_trip(&plain);
    } else {
        assert!(plain.is_empty());
    }
    round_trip(data);
}

fn round_trip(plain: &[u8]) {
    let mut compressed = Vec::new();
    if compress(plain, &mut compressed) {
        let mut again = Vec::new();
        assert_eq!(decompress(&compressed, &mut again), Ok(()));
        assert!(again == plain);
        assert!(compressed.len() < plain.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a body over seeds in hex, composed by hand from the layouts, over their beginnings and over changes of
    /// each byte.
    fn run(body: fn(&[u8]), seeds: &[&str]) {
        for seed in seeds {
            let digits: String = seed.split_whitespace().collect();
            let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
            body(&bytes);
            for at in 0..bytes.len() {
                body(&bytes[..at]);
                for change in [0x01, 0x02, 0x10, 0x80, 0xFF] {
                    let mut changed = bytes.clone();
                    changed[at] ^= change;
                    body(&changed);
                }
            }
            body(&[bytes.as_slice(), &bytes].concat());
        }
    }

    const PING: &str = "424c415a45 01 12 00000008 00 000001 0000000000000002 a08b65f3";
    const RECORD: &str = "00000008 969ec96f 424c415a45 01 0000";
    const ID: &str = "000102030405060708090a0b0c0d0e0f";

    #[test]
    fn frames_hold_over_seeds_and_their_mutations() {
        let raw = [format!("00 {PING}"), format!("06 {PING} {PING}"), format!("04 {PING} 424c41")];
        run(frames, &raw.each_ref().map(String::as_str));
        run(
            frames,
            &["01 00 00 120008 0000000000000002 020400", "07 14 01 120003 010203 120000 ee0702 0102"],
        );
    }

    #[test]
    fn messages_hold_over_seeds_and_their_mutations() {
        let credit = "0000000000000004 0000000000010000";
        let position = "00000001000000000000000000000009";
        let seeds = [
            format!(
                "01 01 01 02 000000000000002a 0000000000000028 00003a98 246d61696e 256370702f31 05{ID} 08 0001 236c7a34"
            ),
            format!(
                "01 02 01 0000000000000029 0400 00003a98 {credit} {credit} 0040 0102030405060708 {position} 05{ID} 05{ID} 11 18"
            ),
            format!(
                "02 0000000000000102 01 0002 2161 0002 01 {RECORD} 85 0000000000000000 {ID} 2162 0001 03 {ID} 08 0001 2178 {RECORD}"
            ),
            format!("03 0000000000000005 {credit} 02 01 {position} 2161 01 000000000000000a 01 {ID} 02 {ID}"),
            format!("03 0000000000000005 {credit} 01 00 2161 0001 {ID} 09 0001 0001 78 0b"),
            format!("04 0000000000000005 01 {position} 0001 0000000000000007 {RECORD}"),
            format!("05 0000000000000005 {credit} 01 02 {position} 2161"),
            format!("07 00 01 0000000000000102 0000000000000003 {position}"),
            "08 01 0000000000000102 006c 2178 09 0001 0004 6974656d 1203".to_owned(),
            format!(
                "10 0000000000000006 01 {position} 0002 01 0000000000000008 {RECORD} 82 0000000000000009 {ID}"
            ),
            format!("10 0000000000000006 03 {position} 012c {position}"),
            "11 0000000000000006".to_owned(),
            "13 0000000000000006 0000000000010002".to_owned(),
            "15 01f7 000003e8 256c61746572".to_owned(),
            format!("16 02 0000000000000102 {credit}"),
        ];
        run(message, &seeds.each_ref().map(String::as_str));
    }

    #[test]
    fn compression_holds_over_seeds_and_their_mutations() {
        run(
            compression,
            &["00000023 1f 61 0100 0a 50 6262626262", "000003fc 1f 61 0100 ffffff e6 50 6262626262"],
        );
        compression(&b"a sentence that repeats; ".repeat(100));
    }
}

//! Frames: what is found in bytes, what is refused and how early.

use blazedb::wire::{Flags, FrameBuffer, MessageType, check_flags, encode_frame};
use serde_json::{Value as Json, json};

use super::{Case, bytes, for_each};

/// Type, flags, sequence and payload.
type Found = (u8, Flags, u32, Vec<u8>);

/// The frames in `hex`, given in pieces of `step` bytes, and the verdict with the number of bytes that it took.
fn read(hex: &[u8], limit: usize, step: usize) -> (Vec<Found>, Option<(String, usize)>) {
    let mut buffer = FrameBuffer::new();
    buffer.set_max_payload_bytes(limit);
    let mut found = Vec::new();
    for (at, piece) in hex.chunks(step).enumerate() {
        buffer.extend(piece);
        loop {
            match buffer.next_frame() {
                Ok(Some(frame)) => {
                    let header = frame.header;
                    found.push((header.message_type, header.flags, header.sequence, frame.payload.to_vec()));
                }
                Ok(None) => break,
                Err(error) => {
                    return (found, Some((error.code().name().to_owned(), at * step + piece.len())));
                }
            }
        }
    }
    (found, None)
}

#[test]
fn frames() {
    for_each("frames.json", 90, |case| {
        let (name, hex) = (case.name.clone(), case.bytes("hex"));
        let limit = case.optional("limit").map_or(2 << 20, |limit| limit.as_u64().unwrap() as usize);
        if case.is_refused() {
            return refused(case, &hex, limit);
        }
        let expected = case.optional("frames").unwrap_or(json!([]));
        assert_eq!(case.is_valid(), expected != json!([]), "{name}");
        for step in [hex.len().max(1), 1, 7] {
            if hex.len() > 1 << 16 && step < hex.len() {
                continue;
            }
            let (found, verdict) = read(&hex, limit, step);
            assert_eq!(verdict, None, "{name}");
            check_frames(&name, &found, &expected);
        }
        if case.is_valid() {
            let mut written = Vec::new();
            for frame in expected.as_array().unwrap() {
                let number = |member: &str| frame[member].as_u64().unwrap();
                let flags = Flags::from_byte(number("flags") as u8).unwrap();
                let (message_type, sequence) = (number("type") as u8, number("sequence") as u32);
                encode_frame(message_type, flags, sequence, &bytes(&frame["payload"]), &mut written).unwrap();
            }
            assert!(written == hex, "{name}: written otherwise");
        }
    });
}

fn check_frames(name: &str, found: &[Found], expected: &Json) {
    let expected = expected.as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{name}");
    for ((message_type, flags, sequence, payload), expected) in found.iter().zip(expected) {
        assert_eq!(expected.as_object().unwrap().len(), 4, "{name}: unknown members");
        assert_eq!(u64::from(*message_type), expected["type"], "{name}");
        assert_eq!(Some(*flags), Flags::from_byte(expected["flags"].as_u64().unwrap() as u8), "{name}");
        assert_eq!(u64::from(*sequence), expected["sequence"], "{name}");
        assert!(*payload == bytes(&expected["payload"]), "{name}: payload");
    }
}

fn refused(case: &mut Case, hex: &[u8], limit: usize) {
    let name = case.name.clone();
    let (code, judged_at) = (case.text("code"), case.number("judged_at") as usize);
    let (found, verdict) = read(hex, limit, 1);
    if code == "unexpected_flag" {
        let lz4 = case.take("lz4").as_bool().unwrap();
        assert_eq!((verdict, judged_at), (None, hex.len()), "{name}");
        let [(message_type, flags, ..)] = found[..] else { panic!("{name}: {} frames", found.len()) };
        let message_type = MessageType::from_byte(message_type).unwrap();
        assert!(check_flags(Some(message_type), flags, lz4).is_err(), "{name}");
        return;
    }
    let (found_code, after) = verdict.unwrap_or_else(|| panic!("{name}: accepted"));
    assert_eq!((found_code, found.len()), (code, 0), "{name}");
    // It may take the header to see what a byte of it shows.
    let latest = if judged_at <= 15 { 15.min(hex.len()) } else { judged_at };
    assert!((judged_at..=latest).contains(&after), "{name}: judged after {after} bytes, not {judged_at}");
}

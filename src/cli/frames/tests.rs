//! What `frames` prints, over captures put together by hand.

use proptest::prelude::*;

use super::*;
use crate::wire::{compress, encode_frame};

/// A Ping with this nonce.
fn ping(sequence: u32, nonce: u64) -> Vec<u8> {
    frame(0x12, Flags::NONE, sequence, &nonce.to_be_bytes())
}

fn frame(message_type: u8, flags: Flags, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(message_type, flags, sequence, payload, &mut out).unwrap();
    out
}

/// What is printed, and the places and bytes of damage.
fn print(capture: &[u8], output: Output) -> (String, (u64, u64)) {
    let mut out = Vec::new();
    let damage = print_all(capture, output, &mut out).unwrap();
    let damage = (damage.places, damage.skipped);
    (String::from_utf8(out).unwrap(), damage)
}

#[track_caller]
fn check(capture: &[u8], expected: &str, damage: (u64, u64)) {
    assert_eq!(print(capture, Output::Text), (expected.to_owned(), damage));
}

const FIRST: &str = "0  Ping  payload 8  flags none  sequence 1  crc ok\n    nonce: 7\n";

#[test]
fn frames_are_printed_with_their_messages() {
    check(&[], "", (0, 0));
    let credit = [&[2][..], &258u64.to_be_bytes(), &4u64.to_be_bytes(), &65_536u64.to_be_bytes()].concat();
    let capture = [ping(1, 7), frame(0x16, Flags::NONE, 2, &credit)].concat();
    let second = "27  Credit  payload 25  flags none  sequence 2  crc ok\n    scope: request\n    id: 258\n    limit:\n        frames: 4\n        bytes: 65536\n";
    check(&capture, &format!("{FIRST}{second}"), (0, 0));
}

#[test]
fn json_is_one_object_a_line() {
    let capture = [ping(1, 7), vec![0xEE; 3], ping(2, 8)].concat();
    let (text, damage) = print(&capture, Output::Json);
    assert_eq!(damage, (1, 3));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = serde_json::json!([
        {"offset": 0, "type": "Ping", "payload": 8, "flags": "none", "sequence": 1, "crc": "ok", "message": {"nonce": 7}},
        {"offset": 27, "skipped": 3, "reason": "a frame begins with the bytes BLAZE: this is another protocol, or the stream lost its place"},
        {"offset": 30, "type": "Ping", "payload": 8, "flags": "none", "sequence": 2, "crc": "ok", "message": {"nonce": 8}},
    ]);
    assert_eq!(serde_json::Value::Array(lines), expected);
}

#[test]
fn damage_is_passed_over_and_counted() {
    let whole = [ping(1, 7), ping(2, 8), ping(3, 9)].concat();
    let at = |offset: usize, change: u8| {
        let mut capture = whole.clone();
        capture[offset] ^= change;
        print(&capture, Output::Text)
    };
    let third = "54  Ping  payload 8  flags none  sequence 3  crc ok\n    nonce: 9\n";
    // The magic, the length (then longer than the capture), a payload: of the last the frame's place is known.
    let (text, damage) = at(27, 1);
    assert!(text.contains("27  skipped 27  reason") && text.ends_with(third), "{text}");
    assert_eq!(damage, (1, 27));
    let (text, damage) = at(27 + 8, 0x10);
    assert!(text.contains("27  skipped 27  reason \"the declared length") && text.ends_with(third), "{text}");
    assert_eq!(damage, (1, 27));
    let (text, damage) = at(27 + 20, 1);
    assert!(
        text.contains("27  Ping  payload 8  flags none  sequence 2  crc bad") && text.ends_with(third),
        "{text}"
    );
    assert_eq!(damage, (1, 0));
    // A length that is too short by one: what it leads to is no frame.
    let (text, damage) = at(27 + 10, 1);
    assert!(text.contains("27  skipped 27  reason \"the frame's CRC-32") && text.ends_with(third), "{text}");
    assert_eq!(damage, (1, 27));
}

#[test]
fn a_record_inside_a_damaged_frame_is_not_taken_for_a_frame() {
    let record = b"BLAZE\x01\x00\x01\x09\x12\x01";
    let mut operation = [&1u64.to_be_bytes()[..], &[1, 0, 1, 0x21, b'a', 0, 1, 1]].concat();
    operation.extend_from_slice(&(record.len() as u32).to_be_bytes());
    operation.extend_from_slice(&crc32fast::hash(record).to_be_bytes());
    operation.extend_from_slice(record);
    let mut damaged = frame(2, Flags::REQUIRES_ACK, 0, &operation);
    damaged[0] = b'b';
    let capture = [damaged.clone(), ping(1, 7)].concat();
    let (text, damage) = print(&capture, Output::Text);
    assert_eq!(damage, (1, damaged.len() as u64), "{text}");
}

#[test]
fn a_capture_that_is_cut_off_says_so() {
    let whole = [ping(1, 7), ping(2, 8)].concat();
    for end in 28..whole.len() {
        let wanted = if end < 27 + 15 { 19 } else { 27 };
        let line = format!("27  cut_off {}  wanted {wanted}\n", end - 27);
        check(&whole[..end], &format!("{FIRST}{line}"), (1, end as u64 - 27));
    }
}

#[test]
fn what_is_not_understood_is_shown_and_counts() {
    let (text, damage) = print(&frame(0x12, Flags::NONE, 0, &[1]), Output::Text);
    assert!(text.contains("note: \"truncated: ") && text.contains("bytes: 01"), "{text}");
    assert_eq!(damage, (1, 0));
    let (text, damage) = print(&frame(0x12, Flags::COMPRESSED, 0, &[1]), Output::Text);
    assert!(text.contains("flags compressed") && text.contains("at least 5 bytes"), "{text}");
    assert_eq!(damage, (1, 0));
    let (text, damage) = print(&frame(0xEE, Flags::NONE, 0, &[1]), Output::Text);
    assert!(text.contains("unknown(0xee)") && text.contains("unknown_message_type"), "{text}");
    assert_eq!(damage, (1, 0));
}

#[test]
fn compressed_payloads_are_read() {
    let text = "x".repeat(600);
    let plain = [&[0, 0, 0, 0, 0, 0][..], &[1, 0, 0, 2, 88], text.as_bytes()].concat();
    let mut compressed = Vec::new();
    assert!(compress(&plain, &mut compressed));
    let (printed, damage) = print(&frame(0x15, Flags::COMPRESSED, 0, &compressed), Output::Text);
    assert!(printed.contains(&format!("message: \"{text}\"")), "{printed}");
    assert_eq!(damage, (0, 0));
}

#[test]
fn files_of_frames_are_filled_up_with_zeros() {
    let mut capture = frame(0x20, Flags::NONE, 0, &[1, 2]);
    capture.resize(4_096, 0);
    capture.extend(frame(0x21, Flags::NONE, 1, &[3; 100]));
    capture.resize(1 << 20, 0);
    let (text, damage) = print(&capture, Output::Text);
    assert_eq!(damage, (0, 0));
    assert!(
        text.starts_with("0  SegmentHeader  payload 2") && text.contains("\n4096  Commit  payload 100"),
        "{text}"
    );
    assert_eq!(text.matches("of a file: not decoded here").count(), 2);
    // A damaged one whose length is right keeps its place.
    capture[16] ^= 1;
    let (text, damage) = print(&capture, Output::Text);
    assert!(text.starts_with("0  SegmentHeader  payload 2  flags none  sequence 0  crc bad"), "{text}");
    assert_eq!(damage, (1, 0));
}

proptest! {
    /// Whatever stands between two frames, both are found and every byte is accounted for.
    #[test]
    fn every_byte_is_accounted_for(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let capture = [ping(1, 7), noise.clone(), ping(2, 8)].concat();
        let (text, (_, skipped)) = print(&capture, Output::Text);
        prop_assert!(text.starts_with(FIRST) && text.ends_with("nonce: 8\n"), "{}", text);
        prop_assert_eq!(skipped, noise.len() as u64);
    }
}

/// Headers that announce the largest payload and are followed by no frame, again and again: each is looked at with
/// all that it announces, and let go of.
#[test]
fn a_hostile_capture_is_not_held_in_memory() {
    const CAPTURE_BYTES: usize = 24 << 20;
    let false_start = [b"BLAZE".as_slice(), &[1, 2, 0, 0x20, 0, 0, 4, 0, 0, 0]].concat();
    let mut capture = vec![b'x'; CAPTURE_BYTES];
    for at in (1..CAPTURE_BYTES - (3 << 20)).step_by(1 << 20) {
        capture[at..at + false_start.len()].copy_from_slice(&false_start);
    }
    let mut damage = Damage::default();
    let used = allocation_counter::measure(|| {
        damage = print_all(capture.as_slice(), Output::Text, &mut io::sink()).unwrap();
    });
    assert_eq!(damage, Damage { places: 1, skipped: CAPTURE_BYTES as u64 });
    assert!(used.bytes_max < 12 << 20, "{} bytes were held", used.bytes_max);
}

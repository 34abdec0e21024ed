//! The frame decoder over every split, every flipped bit, every flag.

use proptest::prelude::*;

use super::*;
use crate::wire::FrameBuffer;

/// Composed by hand: a Ping, sequence 1, nonce 2. The checksum comes from zlib.crc32 over the bytes before it.
const PING: [u8; 27] = [
    0x42, 0x4C, 0x41, 0x5A, 0x45, 1, 0x12, 0, 0, 0, 8, 0, 0, 0, 1, // header
    0, 0, 0, 0, 0, 0, 0, 2, // nonce
    0xA0, 0x8B, 0x65, 0xF3,
];

type OwnedFrame = (Header, Vec<u8>);

/// Frames of payloads of the given lengths, with sequences from 0.
fn stream(lengths: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    for (sequence, length) in lengths.iter().enumerate() {
        let payload: Vec<u8> = (0..*length).map(|at| (at * 7 + sequence) as u8).collect();
        encode_frame(0x02, Flags::REQUIRES_ACK, sequence as u32, &payload, &mut out).unwrap();
    }
    out
}

fn decode_all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<OwnedFrame>, FrameError> {
    let mut buffer = FrameBuffer::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend(piece);
        while let Some(frame) = buffer.next_frame()? {
            frames.push((frame.header, frame.payload.to_vec()));
        }
    }
    Ok(frames)
}

#[test]
fn a_frame_is_written_and_read() {
    let mut out = vec![9];
    let length = encode_frame(0x12, Flags::NONE, 1, &[0, 0, 0, 0, 0, 0, 0, 2], &mut out);
    assert_eq!(length, Ok(27));
    assert_eq!(out, [&[9], PING.as_slice()].concat());
    let frame = FrameDecoder::new().decode(&PING).unwrap().unwrap();
    assert_eq!((frame.header.message_type, frame.header.sequence), (0x12, 1));
    assert_eq!(frame.payload, [0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(frame.wire_bytes(), 27);
}

#[test]
fn every_split_of_a_stream_gives_the_same_frames() {
    let bytes = stream(&[0, 1, 40, 0, 100]);
    let whole = decode_all([bytes.as_slice()].into_iter()).unwrap();
    assert_eq!(whole.iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>(), [0, 1, 40, 0, 100]);
    for first in 0..=bytes.len() {
        for second in first..=bytes.len() {
            let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            assert_eq!(decode_all(pieces.into_iter()).as_ref(), Ok(&whole), "{first} {second}");
        }
    }
    assert_eq!(decode_all(bytes.chunks(1)).as_ref(), Ok(&whole));
}

#[test]
fn each_byte_is_hashed_once_however_it_arrives() {
    let bytes = stream(&[5_000]);
    for size in [1, 7, 4_096, 10_000] {
        let mut decoder = FrameDecoder::new();
        let mut end = 0;
        while end < bytes.len() {
            end = (end + size).min(bytes.len());
            assert_eq!(decoder.decode(&bytes[..end]).unwrap().is_some(), end == bytes.len());
        }
        assert_eq!(decoder.hashed_in_all, bytes.len() - TRAILER_BYTES, "pieces of {size}");
    }
}

#[test]
fn every_flipped_bit_is_found() {
    let mut bytes = stream(&[33]);
    let frame_bits = bytes.len() * 8;
    // Room for whatever length the flipped header may announce.
    bytes.resize(bytes.len() + MAX_PAYLOAD_BYTES, 0);
    for bit in 0..frame_bits {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = FrameDecoder::new().decode(&bytes);
        let error = found.expect_err(&format!("bit {bit}"));
        match bit / 8 {
            0..=4 => assert_eq!(error, FrameError::BadMagic),
            5 => assert!(matches!(error, FrameError::UnsupportedVersion(_))),
            11 if bit % 8 > 2 => assert!(matches!(error, FrameError::ReservedFlags(_))),
            7 | 8 => assert!(matches!(
                error,
                FrameError::PayloadTooLarge { .. } | FrameError::ChecksumMismatch { .. }
            )),
            _ => assert!(matches!(error, FrameError::ChecksumMismatch { .. }), "bit {bit}: {error}"),
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn reserved_flags_are_refused_on_every_type() {
    for message_type in 0..=u8::MAX {
        for flags in 0..=u8::MAX {
            let mut bytes = PING;
            bytes[6] = message_type;
            bytes[11] = flags;
            let checksum = crc32fast::hash(&bytes[..23]).to_be_bytes();
            bytes[23..].copy_from_slice(&checksum);
            let found = FrameDecoder::new().decode(&bytes);
            if flags > 0b111 {
                assert_eq!(found, Err(FrameError::ReservedFlags(flags)));
            } else {
                let header = found.unwrap().unwrap().header;
                assert_eq!((header.message_type, header.flags.byte()), (message_type, flags));
            }
        }
    }
}

#[test]
fn another_protocol_is_turned_away_by_its_first_wrong_byte() {
    for (bytes, error) in [
        (&b"G"[..], FrameError::BadMagic),
        (b"BLAZF", FrameError::BadMagic),
        (b"BLAZE\x02", FrameError::UnsupportedVersion(2)),
    ] {
        let mut decoder = FrameDecoder::new();
        assert_eq!(decoder.decode(&bytes[..bytes.len() - 1]), Ok(None));
        assert_eq!(decoder.decode(bytes), Err(error));
        assert_eq!(decoder.decode(&PING), Err(error), "a lost stream stays lost");
        assert_eq!(FrameDecoder::new().decode(bytes), Err(error));
    }
}

#[test]
fn the_largest_payload_is_a_matter_of_the_moment() {
    let (fits, too_long) = (stream(&[100]), stream(&[101]));
    let mut decoder = FrameDecoder::new();
    decoder.set_max_payload_bytes(100);
    assert!(decoder.decode(&fits).unwrap().is_some());
    let error = FrameError::PayloadTooLarge { announced: 101, max: 100 };
    assert_eq!(decoder.decode(&too_long[..15]), Err(error), "by its header alone");

    let mut decoder = FrameDecoder::new();
    decoder.set_max_payload_bytes(usize::MAX);
    let largest = stream(&[MAX_PAYLOAD_BYTES]);
    assert!(decoder.decode(&largest).unwrap().is_some());
    let mut out = vec![1];
    let over = vec![0; MAX_PAYLOAD_BYTES + 1];
    let refused = encode_frame(0x02, Flags::NONE, 0, &over, &mut out);
    assert_eq!((refused, out), (Err(PayloadTooLong(MAX_PAYLOAD_BYTES + 1)), vec![1]));
}

#[test]
fn nothing_is_allocated_by_a_declared_length() {
    let bytes = stream(&[MAX_PAYLOAD_BYTES]);
    let mut buffer = FrameBuffer::new();
    let used = allocation_counter::measure(|| {
        buffer.extend(&bytes[..1_000]);
        assert_eq!(buffer.next_frame(), Ok(None));
    });
    assert!(used.bytes_max <= 2_000, "{used:?}");
    let mut decoder = FrameDecoder::new();
    let used = allocation_counter::measure(|| assert!(decoder.decode(&bytes).unwrap().is_some()));
    assert_eq!(used.count_total, 0);
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        lengths in prop::collection::vec(0usize..300, 1..8),
        sizes in prop::collection::vec(1usize..200, 1..20),
    ) {
        let bytes = stream(&lengths);
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        for size in sizes.into_iter().cycle() {
            if rest.is_empty() { break }
            let (piece, behind) = rest.split_at(size.min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let frames = decode_all(pieces.into_iter()).unwrap();
        prop_assert_eq!(frames.into_iter().map(|(_, payload)| payload.len()).collect::<Vec<_>>(), lengths);
    }
}

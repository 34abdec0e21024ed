//! How fast frames are decoded and encoded, beside the checksum alone over the same bytes.
//!
//! `cargo bench --bench frames` prints a table. Each line alternates the two sides and compares medians, so that a
//! change of the machine's clock meets both.

#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use blazedb::wire::{Flags, FrameBuffer, FrameDecoder, encode_frame};

/// What one run works through, in bytes: stays in a core's own cache, so that memory is not what is measured.
const STREAM_BYTES: usize = 256 << 10;
const ROUNDS: usize = 41;
/// Each side of a round repeats its work for at least this long.
const RUN: Duration = Duration::from_millis(10);

fn main() {
    println!("{:<34} {:>12} {:>12} {:>8}", "work", "MB/s", "CRC alone", "ratio");
    for payload in [64, 256, 1024, 4096, 32 << 10] {
        let stream = stream(payload);
        line(&format!("decode, payloads of {payload}"), &stream, payload, || decode(&stream));
    }
    let stream_1k = stream(1024);
    line("decode from a buffer, 1024", &stream_1k, 1024, || decode_buffered(&stream_1k));
    let payload = vec![0x5A; 1024];
    let mut out = Vec::with_capacity(STREAM_BYTES.saturating_mul(2));
    let frames = count(&stream_1k, 1024);
    line("encode, payloads of 1024", &stream_1k, 1024, || {
        out.clear();
        for _ in 0..frames {
            let _ = black_box(encode_frame(2, Flags::REQUIRES_ACK, 7, black_box(&payload), &mut out));
        }
    });
}

fn stream(payload: usize) -> Vec<u8> {
    let payload: Vec<u8> = (0u8..=250).cycle().take(payload).collect();
    let mut out = Vec::new();
    while out.len() < STREAM_BYTES {
        let written = encode_frame(2, Flags::REQUIRES_ACK, 0, &payload, &mut out);
        assert!(written.is_ok(), "the payload fits");
    }
    out
}

fn count(stream: &[u8], payload: usize) -> usize {
    stream.chunks_exact(payload.saturating_add(19)).len()
}

fn decode(stream: &[u8]) {
    let mut decoder = FrameDecoder::new();
    let mut rest = black_box(stream);
    while let Ok(Some(frame)) = decoder.decode(rest) {
        black_box(frame.payload);
        rest = rest.get(frame.wire_bytes()..).unwrap_or_default();
    }
    assert!(rest.is_empty(), "all frames are good");
}

/// With the copy into the buffer, in pieces as a socket brings them.
fn decode_buffered(stream: &[u8]) {
    let mut buffer = FrameBuffer::new();
    for piece in black_box(stream).chunks(16 << 10) {
        buffer.extend(piece);
        while let Ok(Some(frame)) = buffer.next_frame() {
            black_box(frame.payload);
        }
    }
    assert_eq!(buffer.pending_bytes(), 0, "all frames are good");
}

/// The checksum of each frame's header and payload, and nothing else.
fn checksum(stream: &[u8], payload: usize) {
    for frame in black_box(stream).chunks_exact(payload.saturating_add(19)) {
        black_box(crc32fast::hash(frame.get(..payload.saturating_add(15)).unwrap_or_default()));
    }
}

fn line(name: &str, stream: &[u8], payload: usize, mut work: impl FnMut()) {
    let (mut ours, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(speed(stream.len(), &mut work));
        alone.push(speed(stream.len(), || checksum(stream, payload)));
    }
    let (ours, alone) = (median(ours), median(alone));
    println!("{name:<34} {ours:>12.0} {alone:>12.0} {:>8.3}", ours / alone);
}

/// Megabytes a second.
fn speed(bytes: usize, mut work: impl FnMut()) -> f64 {
    let (start, mut runs) = (Instant::now(), 0u32);
    while start.elapsed() < RUN {
        work();
        runs = runs.saturating_add(1);
    }
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    f64::from(bytes) * f64::from(runs) / start.elapsed().as_secs_f64() / 1e6
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

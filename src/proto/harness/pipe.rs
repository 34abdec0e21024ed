//! One direction of a transport: bytes in order, late, in pieces, and bounded: a full pipe blocks its writer.

use std::collections::VecDeque;
use std::time::Duration;

use super::Rng;
use crate::proto::Time;

/// How a pipe behaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) latency: Duration,
    pub(crate) jitter: Duration,
    /// How long a byte occupies the line.
    pub(crate) per_byte: Duration,
    /// Bytes that may be under way.
    pub(crate) capacity: usize,
    /// The largest piece that the reader gets at once.
    pub(crate) piece: usize,
}

impl Line {
    /// 5 ms ± 2, 10 MB/s, 64 KiB under way, in pieces of up to 4 KiB.
    pub(crate) const USUAL: Self = Self {
        latency: Duration::from_millis(5),
        jitter: Duration::from_millis(2),
        per_byte: Duration::from_nanos(100),
        capacity: 64 << 10,
        piece: 4 << 10,
    };
}

#[derive(Debug)]
pub(crate) struct Pipe {
    line: Line,
    under_way: VecDeque<(Time, Vec<u8>)>,
    held: usize,
    line_free: Time,
    last_due: Time,
    /// The reader does not read.
    pub(crate) paused: bool,
}

impl Pipe {
    pub(crate) fn new(line: Line) -> Self {
        Self {
            line,
            under_way: VecDeque::new(),
            held: 0,
            line_free: Time::ZERO,
            last_due: Time::ZERO,
            paused: false,
        }
    }

    /// Takes as many of `bytes` as there is room for; answers how many.
    pub(crate) fn write(&mut self, now: Time, rng: &mut Rng, mut bytes: &[u8]) -> usize {
        let room = self.line.capacity.saturating_sub(self.held).min(bytes.len());
        bytes = &bytes[..room];
        while !bytes.is_empty() {
            let length = usize::try_from(rng.within(1, self.line.piece as u64)).unwrap().min(bytes.len());
            let (piece, rest) = bytes.split_at(length);
            self.line_free =
                self.line_free.max(now).after(self.line.per_byte * u32::try_from(length).unwrap());
            let jitter = Duration::from_nanos(rng.below(self.line.jitter.as_nanos() as u64 + 1));
            let due = self.line_free.after(self.line.latency + jitter).max(self.last_due);
            self.last_due = due;
            self.under_way.push_back((due, piece.to_vec()));
            self.held += length;
            bytes = rest;
        }
        room
    }

    /// When the next piece arrives.
    pub(crate) fn due(&self) -> Option<Time> {
        if self.paused { None } else { self.under_way.front().map(|(due, _)| *due) }
    }

    /// The piece that has arrived.
    pub(crate) fn read(&mut self, now: Time) -> Option<Vec<u8>> {
        if self.due()? > now {
            return None;
        }
        let (_, piece) = self.under_way.pop_front()?;
        self.held -= piece.len();
        Some(piece)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

//! A capture of connections: its entries, and the frames that each side's bytes are.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use jiff::Timestamp;

use super::node::Node;
use super::stream::{Piece, Stream};
use super::{Damage, Entry, Output, frame_facts};
use crate::cli::Failure;
use crate::log::capture::{CaptureEntry, CaptureError, CaptureHeader, CaptureReader, Happening, Side};

/// Microseconds of a second.
const SECOND_US: u64 = 1_000_000;

/// Prints a capture.
pub(super) fn print_all(source: impl Read, output: Output, out: &mut dyn Write) -> Result<Damage, Failure> {
    let mut printer = Printer { output, out, damage: Damage::default(), streams: BTreeMap::new() };
    match printer.print(source) {
        Ok(()) => {}
        Err(Stop::Failed(failure)) => return Err(failure),
        Err(Stop::Capture(CaptureError::Io(error))) => {
            return Err(Failure::new(format_args!("cannot read the capture: {error}")));
        }
        Err(Stop::Capture(error)) => printer.print_end(&error)?,
    }
    Ok(printer.damage)
}

/// Why printing ends early.
enum Stop {
    Capture(CaptureError),
    Failed(Failure),
}

impl From<CaptureError> for Stop {
    fn from(error: CaptureError) -> Self {
        Self::Capture(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

struct Printer<'o> {
    output: Output,
    out: &'o mut dyn Write,
    damage: Damage,
    /// Of each open connection what the client and the server sent of a frame that is not whole.
    streams: BTreeMap<u32, [Stream; 2]>,
}

impl Printer<'_> {
    fn print(&mut self, source: impl Read) -> Result<(), Stop> {
        let (header, mut reader) = CaptureReader::begin(source)?;
        self.write(header_entry(&header))?;
        while let Some(entry) = reader.next_entry()? {
            self.take(&entry)?;
        }
        Ok(())
    }

    fn take(&mut self, entry: &CaptureEntry<'_>) -> Result<(), Failure> {
        match entry.happening {
            Happening::Opened(address) => {
                self.streams.insert(entry.connection, [Stream::default(), Stream::default()]);
                self.write(told(entry, "opened", ("address", address)))
            }
            Happening::Bytes(side, bytes) => self.take_bytes(entry, side, bytes),
            Happening::Ended(side, why) => {
                self.write(told(entry, &format!("{}_ended", name(side)), ("reason", why)))?;
                self.take_rest(entry, side)
            }
            Happening::Closed(why) => {
                self.write(told(entry, "closed", ("reason", why)))?;
                self.take_rest(entry, Side::Client)?;
                self.take_rest(entry, Side::Server)?;
                self.streams.remove(&entry.connection);
                Ok(())
            }
        }
    }

    fn take_bytes(&mut self, entry: &CaptureEntry<'_>, side: Side, bytes: &[u8]) -> Result<(), Failure> {
        let Some(mut stream) = self.stream(entry.connection, side).map(std::mem::take) else { return Ok(()) };
        stream.push(bytes);
        while let Some(piece) = stream.next() {
            self.piece(entry, side, piece)?;
        }
        if let Some(place) = self.stream(entry.connection, side) {
            *place = stream;
        }
        Ok(())
    }

    fn stream(&mut self, connection: u32, side: Side) -> Option<&mut Stream> {
        let [client, server] = self.streams.get_mut(&connection)?;
        Some(if side == Side::Client { client } else { server })
    }

    fn piece(&mut self, entry: &CaptureEntry<'_>, side: Side, piece: Piece) -> Result<(), Failure> {
        let mut line = when(entry);
        line.push(("from", Node::word(name(side))));
        match piece {
            Piece::Frame(frame) => {
                let (facts, message, fault) = frame_facts(&frame);
                self.damage.places = self.damage.places.saturating_add(u64::from(fault));
                line.extend(facts.into_iter().filter(|(fact, _)| *fact != "offset"));
                line.push(("at", Node::number(frame.offset)));
                self.write(Entry { line, message: Some(message) })
            }
            Piece::Lost { offset, bytes, why } => {
                self.damage.places = self.damage.places.saturating_add(u64::from(why.is_some()));
                self.damage.skipped = self.damage.skipped.saturating_add(bytes);
                line.push(("skipped", Node::number(bytes)));
                line.extend(why.map(|why| ("reason", Node::Text(why.to_string()))));
                line.push(("at", Node::number(offset)));
                self.write(Entry { line, message: None })
            }
        }
    }

    /// What is left of a side that sends no more: the beginning of a frame.
    fn take_rest(&mut self, entry: &CaptureEntry<'_>, side: Side) -> Result<(), Failure> {
        let Some((offset, bytes)) = self.stream(entry.connection, side).and_then(Stream::end) else {
            return Ok(());
        };
        self.damage.places = self.damage.places.saturating_add(1);
        self.damage.skipped = self.damage.skipped.saturating_add(bytes);
        let mut line = when(entry);
        line.extend([
            ("from", Node::word(name(side))),
            ("cut_off", Node::number(bytes)),
            ("at", Node::number(offset)),
        ]);
        self.write(Entry { line, message: None })
    }

    /// The line that says why nothing more of the capture can be read.
    fn print_end(&mut self, error: &CaptureError) -> Result<(), Failure> {
        self.damage.places = self.damage.places.saturating_add(1);
        if let CaptureError::Torn { bytes, .. } = error {
            self.damage.skipped = self.damage.skipped.saturating_add(*bytes);
        }
        self.write(Entry { line: vec![("end", Node::Text(error.to_string()))], message: None })
    }

    fn write(&mut self, entry: Entry) -> Result<(), Failure> {
        let text = entry.print(self.output);
        self.out.write_all(text.as_bytes()).map_err(|error| Failure::writing(&error))
    }
}

fn name(side: Side) -> &'static str {
    match side {
        Side::Client => "client",
        Side::Server => "server",
    }
}

fn header_entry(header: &CaptureHeader) -> Entry {
    let started = i64::try_from(header.started_us).ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    let started = started.map_or_else(|| Node::number(header.started_us), Node::word);
    let line = vec![
        ("capture", Node::text(&header.agent)),
        ("started", started),
        ("target", Node::text(&header.target)),
    ];
    Entry { line, message: None }
}

/// When and where: seconds since the capture began, and the connection.
fn when(entry: &CaptureEntry<'_>) -> Vec<(&'static str, Node)> {
    let (seconds, rest) = (entry.elapsed_us / SECOND_US, entry.elapsed_us % SECOND_US);
    vec![("time", Node::Word(format!("{seconds}.{rest:06}"))), ("connection", Node::number(entry.connection))]
}

fn told(entry: &CaptureEntry<'_>, event: &str, (title, text): (&'static str, &str)) -> Entry {
    let mut line = when(entry);
    line.push(("event", Node::word(event)));
    if !text.is_empty() {
        line.push((title, Node::text(text)));
    }
    Entry { line, message: None }
}

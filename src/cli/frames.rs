//! `blazedb frames`: what stands in a capture of frames.

#![expect(clippy::disallowed_types, reason = "the command line is where files are opened")]

mod capture;
mod describe;
mod node;
mod scan;
mod stream;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Failure, tell};
use crate::wire::Flags;
use crate::wire::header::{HEADER_BYTES, Header, MessageType};
use node::Node;
use scan::{CapturedFrame, Found, Scanner};

/// Print the frames of a capture
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct FramesArgs {
    /// A capture of connections, or consecutive frames as they travelled or lie on disk; - for stdin
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

const EXAMPLES: &str = "\
Examples:
  blazedb frames session.blaze
  blazedb frames -o json - < session.blaze
  blazedb frames session.capture

One line a frame (offset, type, payload length, flags, sequence, checksum), then its message. \
After damage the next frame is searched for, and the bytes passed over are counted.

Of a capture that blazedb proxy recorded each line begins with the time in seconds, the connection and who sent the frame; \
at is where it stands among the bytes of that side. What was carried for other protocols is counted. A capture whose \
recording was ended in the middle is printed up to its last whole entry.

Exit status: 0 when every byte was read and understood, 1 when something was damaged, cut off \
or unreadable, 2 for a wrong command line.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Runs the command: prints everything that can be read, then says what could not.
pub(super) fn run(args: &FramesArgs) -> Result<(), Failure> {
    let source: Box<dyn Read> =
        if args.input.as_os_str() == "-" {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                tell("reading a capture from the terminal; Ctrl-D ends");
            }
            Box::new(stdin.lock())
        } else {
            let opened = File::open(&args.input);
            Box::new(opened.map_err(|error| {
                Failure::new(format_args!("cannot open '{}': {error}", args.input.display()))
            })?)
        };
    let mut out = BufWriter::new(io::stdout().lock());
    let damage = print_all(source, args.output, &mut out)?;
    out.flush().map_err(|error| Failure::writing(&error))?;
    if damage.places == 0 {
        return Ok(());
    }
    let Damage { places, skipped } = damage;
    Err(Failure::new(format_args!(
        "damaged, cut off or not understood in {places} place(s), {skipped} byte(s) passed over: see the lines above"
    )))
}

/// What of a capture is not frames that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Damage {
    /// In how many places.
    places: u64,
    /// How many bytes belong to no frame.
    skipped: u64,
}

fn print_all(mut source: impl Read, output: Output, out: &mut dyn Write) -> Result<Damage, Failure> {
    let unreadable = |error| Failure::new(format_args!("cannot read the capture: {error}"));
    let mut first = Vec::new();
    source.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut first).map_err(unreadable)?;
    let is_capture = first.first_chunk().and_then(|bytes| Header::parse(bytes).ok());
    let source = first.as_slice().chain(source);
    if is_capture.is_some_and(|header| header.message_type == MessageType::CaptureHeader as u8) {
        return capture::print_all(source, output, out);
    }
    let mut scanner = Scanner::new(source);
    let mut damage = Damage::default();
    while let Some(found) = scanner.next().map_err(unreadable)? {
        let (entry, fault) = entry(&found);
        damage.places = damage.places.saturating_add(u64::from(fault));
        if let Found::Skipped { bytes, .. } | Found::CutOff { bytes, .. } = found {
            damage.skipped = damage.skipped.saturating_add(bytes);
        }
        out.write_all(entry.print(output).as_bytes()).map_err(|error| Failure::writing(&error))?;
    }
    Ok(damage)
}

/// What is printed for one find.
struct Entry {
    /// The first line: facts in order.
    line: Vec<(&'static str, Node)>,
    /// The message, or why there is none.
    message: Option<Node>,
}

/// The entry of a find, and whether it is a fault.
fn entry(found: &Found) -> (Entry, bool) {
    match found {
        Found::Frame(frame) => {
            let (line, message, fault) = frame_facts(frame);
            (Entry { line, message: Some(message) }, fault)
        }
        Found::Skipped { offset, bytes, why } => {
            let line = vec![
                ("offset", Node::number(*offset)),
                ("skipped", Node::number(*bytes)),
                ("reason", Node::Text(why.to_string())),
            ];
            (Entry { line, message: None }, true)
        }
        Found::CutOff { offset, bytes, wanted } => {
            let line = vec![
                ("offset", Node::number(*offset)),
                ("cut_off", Node::number(*bytes)),
                ("wanted", Node::number(*wanted)),
            ];
            (Entry { line, message: None }, true)
        }
    }
}

/// What is printed of a frame: its line, its message, and whether something of it is a fault.
fn frame_facts(frame: &CapturedFrame) -> (Vec<(&'static str, Node)>, Node, bool) {
    let (message, understood) = describe::payload(frame);
    (frame_line(frame), message, !understood || !frame.checksum_is_right())
}

fn frame_line(frame: &CapturedFrame) -> Vec<(&'static str, Node)> {
    let header = frame.header;
    let crc = match frame.checksum_is_right() {
        true => Node::Word("ok".to_owned()),
        false => Node::Word("bad".to_owned()),
    };
    vec![
        ("offset", Node::number(frame.offset)),
        ("type", Node::Word(describe::type_name(header.message_type))),
        ("payload", Node::number(header.payload_bytes)),
        ("flags", Node::Word(flag_names(header.flags))),
        ("sequence", Node::number(header.sequence)),
        ("crc", crc),
    ]
}

fn flag_names(flags: Flags) -> String {
    let named = [
        (Flags::COMPRESSED, "compressed"),
        (Flags::ENCRYPTED, "encrypted"),
        (Flags::REQUIRES_ACK, "requires_ack"),
    ];
    let names: Vec<&str> =
        named.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join("+") }
}

impl Entry {
    fn print(&self, output: Output) -> String {
        match output {
            Output::Text => self.to_text(),
            Output::Json => self.to_json(),
        }
    }

    fn to_text(&self) -> String {
        let mut out = String::new();
        for (at, (name, value)) in self.line.iter().enumerate() {
            if at > 0 {
                out.push_str("  ");
            }
            // These speak for themselves.
            if !matches!(*name, "offset" | "type" | "time" | "event") {
                out.push_str(name);
                out.push(' ');
            }
            value.write_leaf(&mut out);
        }
        out.push('\n');
        if let Some(message) = &self.message {
            message.write_text(1, &mut out);
        }
        out
    }

    fn to_json(&self) -> String {
        let mut fields = self.line.clone();
        if let Some(message) = &self.message {
            fields.push(("message", message.clone()));
        }
        let mut out = String::new();
        Node::Map(fields).write_json(&mut out);
        out.push('\n');
        out
    }
}

#[cfg(test)]
mod tests;

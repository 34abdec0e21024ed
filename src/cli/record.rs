//! `record encode` and `record decode`: typed JSON, one record a line, to the bytes of records and back.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use data_encoding::{DecodeKind, HEXLOWER, HEXLOWER_PERMISSIVE};

use super::Failure;
use super::input::{Line, Lines};
use crate::blazebinary::{Layout, Record, RecordView, decode_lenient, encode_record, json};

const EXAMPLES: &str = "\
Examples:
  blazedb record encode records.ndjson > records.hex
  blazedb record decode records.hex
  blazedb record encode --help";

const ENCODE_EXAMPLES: &str = "\
Examples:
  echo '{\"title\":\"Hello\",\"priority\":1}' | blazedb record encode
  blazedb record encode --layout 2 records.ndjson > records.hex

Typed JSON: 5 is an integer and 5.0 a double; what JSON has no form for is an object with one key:
  {\"$uuid\":\"550e8400-e29b-41d4-a716-446655440000\"}   {\"$date\":\"2013-01-01T10:00:00Z\"}
  {\"$int\":\"9007199254740993\"}   {\"$double\":\"NaN\"}   {\"$data\":\"AAEC/w==\"}   {\"$vector\":[1.0,0.5]}
A field whose name begins with $ takes another: $$name.

The first line that is wrong ends the run with exit status 1; what came before it is written.";

const DECODE_EXAMPLES: &str = "\
Examples:
  echo 424c415a45010001091201 | blazedb record decode
  blazedb record decode --lenient old-records.hex > records.ndjson

The first line that is wrong ends the run with exit status 1; what came before it is written.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true, subcommand_required = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Read typed JSON, one record a line, and write each record's bytes in hexadecimal
    #[command(after_help = ENCODE_EXAMPLES)]
    Encode {
        /// The layout of the records: 1 without checksum, 2 with a CRC-32 at the end
        #[arg(long, value_enum, default_value = "1")]
        layout: LayoutArg,
        /// The file to read; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Read records in hexadecimal, one a line, and write each as typed JSON
    #[command(after_help = DECODE_EXAMPLES)]
    Decode {
        /// Accept what Swift's decoders accept: forms that are not canonical, unsorted and repeated keys, bytes
        /// behind the last field
        #[arg(long)]
        lenient: bool,
        /// The file to read; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutArg {
    #[value(name = "1")]
    V1,
    #[value(name = "2")]
    V2,
}

impl From<LayoutArg> for Layout {
    fn from(layout: LayoutArg) -> Self {
        match layout {
            LayoutArg::V1 => Self::V1,
            LayoutArg::V2 => Self::V2,
        }
    }
}

pub(super) fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Encode { layout, file } => {
            let (layout, mut bytes) = (layout.into(), Vec::new());
            convert(Lines::open(&file, "records as typed JSON")?, |line, out| {
                bytes.clear();
                encode(line, layout, &mut bytes)?;
                HEXLOWER.encode_append(&bytes, out);
                Ok(())
            })
        }
        Command::Decode { lenient, file } => {
            convert(Lines::open(&file, "records in hexadecimal")?, |line, out| decode(line, lenient, out))
        }
    }
}

/// Writes a line for each line that is read. What was converted before a failure is written all the same.
fn convert(
    mut lines: Lines,
    mut line_to: impl FnMut(&Line<'_>, &mut String) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let stdout = io::stdout().lock();
    // Stdout itself writes line by line, which someone at a terminal wants.
    let mut output: Box<dyn Write> =
        if stdout.is_terminal() { Box::new(stdout) } else { Box::new(BufWriter::new(stdout)) };
    let mut text = String::new();
    let mut converted = || {
        while let Some(line) = lines.next()? {
            text.clear();
            line_to(&line, &mut text)?;
            text.push('\n');
            output.write_all(text.as_bytes()).map_err(|error| Failure::writing(&error))?;
        }
        Ok(())
    };
    let outcome = converted();
    let flushed = output.flush().map_err(|error| Failure::writing(&error));
    outcome.and(flushed)
}

/// The record that a line of typed JSON is.
pub(super) fn read_line(line: &Line<'_>) -> Result<Record, Failure> {
    json::read_record(line.text).map_err(|error| {
        // A record spread over lines ends too early on its first.
        let spread = matches!(error.kind, json::JsonErrorKind::UnexpectedEnd(_));
        let advice = if spread { "; each record takes one line" } else { "" };
        // The text is one line, so of its place only the column says anything.
        line.failure(format_args!("column {}: {}{advice}", error.column, error.kind))
    })
}

fn encode(line: &Line<'_>, layout: Layout, out: &mut Vec<u8>) -> Result<(), Failure> {
    let record = read_line(line)?;
    encode_record(&record, layout, out).map_err(|error| line.failure(error))
}

fn decode(line: &Line<'_>, lenient: bool, out: &mut String) -> Result<(), Failure> {
    let hex = line.text.trim_ascii();
    let bytes = HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).map_err(|error| match error.kind {
        DecodeKind::Length => {
            line.failure("an odd number of hexadecimal digits; each byte takes two: is the line cut?")
        }
        _ => {
            let column = error.position.saturating_add(1);
            line.failure(format_args!(
                "character {column} is not a hexadecimal digit; one record a line, 0-9 and a-f"
            ))
        }
    })?;
    if lenient {
        let record = decode_lenient(&bytes).map_err(|error| line.failure(error))?;
        json::write_record(&record, out);
        return Ok(());
    }
    let record = RecordView::canonical(&bytes).map_err(|error| {
        let readable = decode_lenient(&bytes).is_ok();
        let advice = if readable { "; --lenient reads it" } else { "" };
        line.failure(format_args!("{error}{advice}"))
    })?;
    json::write_record(record, out);
    Ok(())
}

//! Records on stdout, as lines or as one array of JSON.

use std::io::{self, BufWriter, IsTerminal, Write};

use clap::ValueEnum;

use super::Failure;
use crate::blazebinary::{RecordView, json};

/// How records are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Form {
    /// One record a line, as typed JSON
    #[default]
    Ndjson,
    /// One array of typed JSON
    Json,
}

/// Stdout, buffered unless somebody watches it.
pub(super) struct Output {
    sink: Box<dyn Write>,
    form: Form,
    records: u64,
    text: String,
}

impl Output {
    pub(super) fn stdout(form: Form) -> Self {
        let stdout = io::stdout().lock();
        let sink: Box<dyn Write> =
            if stdout.is_terminal() { Box::new(stdout) } else { Box::new(BufWriter::new(stdout)) };
        Self::new(sink, form)
    }

    fn new(sink: Box<dyn Write>, form: Form) -> Self {
        Self { sink, form, records: 0, text: String::new() }
    }

    /// Prints the record whose bytes these are.
    pub(super) fn record(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let record = RecordView::canonical(bytes)
            .map_err(|error| Failure::new(format_args!("the server sent a record that is wrong: {error}")))?;
        self.text.clear();
        match (self.form, self.records) {
            (Form::Ndjson, _) => {}
            (Form::Json, 0) => self.text.push_str("[\n  "),
            (Form::Json, _) => self.text.push_str(",\n  "),
        }
        json::write_record(record, &mut self.text);
        if self.form == Form::Ndjson {
            self.text.push('\n');
        }
        self.records = self.records.saturating_add(1);
        self.sink.write_all(self.text.as_bytes()).map_err(|error| Failure::writing(&error))
    }

    /// Prints a line as it is.
    pub(super) fn line(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        writeln!(self.sink, "{line}").map_err(|error| Failure::writing(&error))
    }

    /// Hands on what is buffered.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        self.sink.flush().map_err(|error| Failure::writing(&error))
    }

    /// Ends the array and hands on what is buffered.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        match (self.form, self.records) {
            (Form::Ndjson, _) => {}
            (Form::Json, 0) => self.line("[]")?,
            (Form::Json, _) => self.line("\n]")?,
        }
        self.flush()
    }
}

/// A number with its thousands set apart: 1,234,567.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}

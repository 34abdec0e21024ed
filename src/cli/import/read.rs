//! Reading the file on a thread of its own, so that reading and encoding go on while the connection works.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::batch::{Batch, Batcher};
use super::duplicates::Duplicates;
use super::records::{Found, Plan, Records};
use super::source::{Hashing, Source};
use crate::cli::Failure;

/// Batches and bad records that wait for the connection.
const READ_AHEAD: usize = 4;

/// What the reader says.
pub(super) enum Message {
    Batch(Batch),
    /// A record that cannot be imported; without its text where that was too long.
    Bad {
        line: u64,
        raw: Option<Vec<u8>>,
        why: String,
    },
    /// The last.
    End(Result<ReadSummary, Failure>),
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ReadSummary {
    /// Records that another of the same id follows: not sent.
    pub(super) superseded: u64,
}

/// Begins to read; ends early when nobody listens any more.
pub(super) fn begin(source: Source, plan: Plan, duplicates: Duplicates) -> mpsc::Receiver<Message> {
    let (sender, messages) = mpsc::channel(READ_AHEAD);
    std::thread::spawn(move || {
        let say = |message| sender.blocking_send(message).is_ok();
        if let Some(end) = read_all(&source, &plan, &duplicates, say).transpose() {
            // Who does not listen has ended before.
            let _ = sender.blocking_send(Message::End(end));
        }
    });
    messages
}

/// None if nobody listens.
fn read_all(
    source: &Source,
    plan: &Plan,
    duplicates: &Duplicates,
    say: impl Fn(Message) -> bool,
) -> Result<Option<ReadSummary>, Failure> {
    let failed = |error: std::io::Error| source.failure(&error);
    let mut file = Hashing::new(source.reader().map_err(failed)?, Arc::new(AtomicU64::new(0)));
    let mut records = Records::new(plan, &mut file).map_err(failed)?;
    let mut batcher = Batcher::new(&plan.collection);
    let mut summary = ReadSummary::default();
    loop {
        let position = records.position();
        let message = match records.next().map_err(failed)? {
            Found::End => break,
            Found::Record(record) if duplicates.is_superseded(record.id, record.row) => {
                summary.superseded = summary.superseded.saturating_add(1);
                None
            }
            Found::Record(record) => {
                let pushed = batcher.push(record.bytes, record.line, record.raw, position);
                match pushed {
                    Ok(batch) => batch.map(Message::Batch),
                    Err(error) => {
                        let (line, raw) = (record.line, Some(record.raw.to_vec()));
                        Some(Message::Bad { line, raw, why: error.to_string() })
                    }
                }
            }
            Found::Bad(bad) => {
                Some(Message::Bad { line: bad.line, raw: bad.raw.map(<[u8]>::to_vec), why: bad.why })
            }
        };
        if message.is_some_and(|message| !say(message)) {
            return Ok(None);
        }
    }
    let position = records.position();
    if batcher.take(position).is_some_and(|batch| !say(Message::Batch(batch))) {
        return Ok(None);
    }
    drop(records);
    let (hash, _) = file.finish().map_err(failed)?;
    if hash != plan.file {
        let what =
            "the file changed while it was imported, and so did the ids of what has no key; import it again";
        return Err(Failure::new(what));
    }
    Ok(Some(summary))
}

/// Bytes read so far, for whoever shows them.
pub(super) fn counted(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

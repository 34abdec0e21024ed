//! What every frame of a server is held to, whatever the case is about.
//!
//! Each case reads through these rules, so that an Ack that overtakes an Error, a frame without credit or a sequence
//! that skips fails it, although it asks for something else.

use std::collections::BTreeMap;

use super::failure::{Failure, Verdict, ensure};
use super::fields::{FRAME_BYTES, SEQUENCES, kind};
use super::said::{Change, Complaint, Did, Part, Said, Tiding, What};
use crate::blazebinary::RecordView;
use crate::wire::message::{Ack, Credit, CreditScope};
use crate::wire::{
    CreditLimit, ErrorCode, Header, Lane, Message, MessageType, Position, Scope, Subject, check_flags,
};

/// What is known of a request.
#[derive(Debug, Default)]
struct Account {
    is_subscription: bool,
    limit: CreditLimit,
    sent: CreditLimit,
    is_over: bool,
    is_unsubscribed: bool,
    position: Option<Position>,
    last_seq: u64,
}

/// What the server has said so far, as far as it binds what it may say.
#[derive(Debug, Default)]
pub(super) struct Rules {
    sequence: Option<u32>,
    is_welcome: bool,
    pub(super) is_compressing: bool,
    /// The last operation sent.
    sent: u64,
    /// The highest number covered, by level.
    covered: [u64; 3],
    refused: u64,
    unchanged: u64,
    work: CreditLimit,
    telemetry: CreditLimit,
    requests: BTreeMap<u64, Account>,
    /// An Error that ends the connection was said.
    is_over: bool,
    has_parted: bool,
}

impl Rules {
    /// What the client sends binds the server: its numbers, its requests, its credit.
    pub(super) fn note_sent(&mut self, message_type: u8, payload: &[u8]) {
        let number = |at: usize| {
            let bytes = payload.get(at..).and_then(<[u8]>::first_chunk::<8>);
            bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
        };
        match message_type {
            kind::OPERATION => self.sent = self.sent.max(number(0)),
            kind::QUERY | kind::SUBSCRIBE => {
                let limit = CreditLimit { frames: number(8), bytes: number(16) };
                let is_subscription = message_type == kind::SUBSCRIBE;
                self.requests.entry(number(0)).or_insert(Account {
                    is_subscription,
                    limit,
                    ..Account::default()
                });
            }
            kind::UNSUBSCRIBE => {
                if let Some(account) = self.requests.get_mut(&number(0)) {
                    account.is_unsubscribed = true;
                }
            }
            kind::CREDIT if payload.first() == Some(&2) => {
                if let Some(account) = self.requests.get_mut(&number(1)) {
                    account.limit.frames = account.limit.frames.max(number(9));
                    account.limit.bytes = account.limit.bytes.max(number(17));
                }
            }
            _ => {}
        }
    }

    /// The limits of the work lane.
    pub(super) const fn work(&self) -> CreditLimit {
        self.work
    }

    /// Judges a frame before its payload is read.
    pub(super) fn judge_header(&mut self, header: &Header) -> Verdict {
        if let Some(last) = self.sequence {
            let due = last.wrapping_add(1) % SEQUENCES;
            ensure(header.sequence == due, || {
                format!("a frame of the server has sequence {}, {due} was due (P-6.1)", header.sequence)
            })?;
        }
        self.sequence = Some(header.sequence);
        let found = MessageType::from_byte(header.message_type).filter(|found| found.is_sent_by_peers());
        let Some(message_type) = found else {
            return Err(Failure::new(format_args!(
                "the server sent the type {:#04x} (P-2.7)",
                header.message_type
            )));
        };
        check_flags(Some(message_type), header.flags, self.is_compressing)
            .map_err(|error| Failure::new(format_args!("a {message_type:?} of the server: {error} (P-2.6)")))
    }

    /// Judges a message; `cost` is what its frame spends.
    pub(super) fn judge(&mut self, message: &Message<'_>, plain_bytes: usize) -> Result<Said, Failure> {
        let name = message.message_type();
        let Some(said) = Said::read(message) else {
            return Err(Failure::new(format_args!("the server sent a {name:?}, which is a client's (P-2)")));
        };
        self.judge_moment(&said, name)?;
        let bytes = u64::try_from(plain_bytes).unwrap_or(u64::MAX).saturating_add(FRAME_BYTES);
        match &said {
            Said::Welcome(welcome) => {
                self.is_welcome = true;
                self.is_compressing = welcome.capabilities.iter().any(|name| name == "lz4");
                (self.work, self.telemetry) = (welcome.work, welcome.telemetry);
            }
            Said::Ack(ack) => self.judge_ack(ack)?,
            Said::Error(complaint) => self.judge_error(complaint)?,
            Said::Answer(part) => self.judge_answer(part, bytes)?,
            Said::Event(tiding) => self.judge_event(tiding, bytes)?,
            Said::Credit(credit) => self.judge_credit(credit)?,
            Said::Goodbye { .. } => self.has_parted = true,
            Said::Ping(_) | Said::Pong { .. } | Said::End => {}
        }
        Ok(said)
    }

    fn judge_moment(&self, said: &Said, name: MessageType) -> Verdict {
        let is_outcome = match said {
            Said::Ack(_) => true,
            // Or the Error by which it ends the connection (C-1.3).
            Said::Error(complaint) => match complaint.subject.scope() {
                Scope::Operation => true,
                Scope::Connection => !complaint.is_notice(),
                Scope::Request => false,
            },
            _ => false,
        };
        ensure(!self.is_over || matches!(said, Said::Goodbye { .. }), || {
            format!("a {name:?} follows the Error that ended the connection (P-8.2)")
        })?;
        ensure(!self.has_parted || is_outcome, || {
            format!("a {name:?} follows the server's Goodbye (C-11.1)")
        })?;
        match said {
            Said::Welcome(_) => ensure(!self.is_welcome, || "a second Welcome (C-2.1)".to_owned()),
            Said::Error(_) | Said::Goodbye { .. } => Ok(()),
            _ => ensure(self.is_welcome, || format!("a {name:?} precedes the Welcome (C-2.1)")),
        }
    }

    fn judge_ack(&mut self, ack: &Ack) -> Verdict {
        ensure(ack.lane == Lane::Work, || "an Ack of the telemetry lane (P-2.8)".to_owned())?;
        ensure(ack.number <= self.sent, || {
            format!("an Ack covers {}, the last operation sent was {} (P-7.5)", ack.number, self.sent)
        })?;
        let level = usize::from(ack.level as u8);
        let before = self.covered.get(level).copied().unwrap_or_default();
        ensure(ack.number > before, || {
            format!("an Ack of {} follows one of {before} of the same level (C-5.5)", ack.number)
        })?;
        ensure(ack.unchanged >= self.unchanged, || {
            format!("an Ack counts {} unchanged, one before it {} (P-4.6)", ack.unchanged, self.unchanged)
        })?;
        self.unchanged = ack.unchanged;
        if let Some(covered) = self.covered.get_mut(level) {
            *covered = ack.number;
        }
        Ok(())
    }

    fn judge_error(&mut self, complaint: &Complaint) -> Verdict {
        let known = ErrorCode::from_number(complaint.code);
        let scope = complaint.subject.scope();
        ensure(known.is_none_or(|code| code.scopes().contains(&scope)), || {
            format!("{} has no scope {} (P-8.3)", complaint.name(), scope.name())
        })?;
        match complaint.subject {
            Subject::Connection => {
                self.is_over = !(complaint.is_notice() && self.is_welcome);
                Ok(())
            }
            Subject::Operation(number) => {
                let covered = self.covered.iter().copied().max().unwrap_or_default();
                ensure(number <= self.sent, || {
                    format!("an Error about {number}, which was not sent (P-7.5)")
                })?;
                ensure(number > covered, || {
                    format!("the Error of {number} comes behind an Ack that covers it (P-7.4)")
                })?;
                ensure(number > self.refused, || {
                    format!("the Error of {number} follows that of {} (C-5.4)", self.refused)
                })?;
                self.refused = number;
                Ok(())
            }
            Subject::Request(id) => {
                let account = self.running(id)?;
                account.is_over = true;
                Ok(())
            }
        }
    }

    fn running(&mut self, id: u64) -> Result<&mut Account, Failure> {
        match self.requests.get_mut(&id) {
            None => Err(Failure::new(format_args!("request {id} is answered, which was not sent (C-6.7)"))),
            Some(account) if account.is_over => {
                Err(Failure::new(format_args!("request {id} is answered behind its end (P-4.4.2)")))
            }
            Some(account) => Ok(account),
        }
    }

    fn judge_answer(&mut self, part: &Part, bytes: u64) -> Verdict {
        let account = self.running(part.id)?;
        ensure(!account.is_subscription, || format!("a QueryResponse to the Subscribe {} (P-2)", part.id))?;
        spend(account, part.id, bytes)?;
        let taken_at = *account.position.get_or_insert(part.position);
        ensure(taken_at == part.position, || {
            format!("an answer was taken at {taken_at:?} and at {:?} (P-4.4)", part.position)
        })?;
        account.is_over = part.last;
        part.rows.iter().try_for_each(|row| canonical(&row.record))
    }

    fn judge_event(&mut self, tiding: &Tiding, bytes: u64) -> Verdict {
        let account = self.running(tiding.id)?;
        ensure(account.is_subscription, || format!("an Event to the Query {} (P-2)", tiding.id))?;
        if tiding.what == What::Ended {
            account.is_over = true;
            return ensure(account.is_unsubscribed, || {
                "ended, though nobody unsubscribed (P-4.9.1)".to_owned()
            });
        }
        spend(account, tiding.id, bytes)?;
        account.is_over = matches!(tiding.what, What::Reset { .. });
        if account.is_over {
            return Ok(());
        }
        let before = account.position.replace(tiding.position);
        ensure(before.is_none_or(|before| before <= tiding.position), || {
            format!("an event's position {:?} lies before {before:?} (L-1.2)", tiding.position)
        })?;
        let What::Changes(changes) = &tiding.what else { return Ok(()) };
        changes.iter().try_for_each(|change| judge_change(account, change, tiding.position))
    }

    fn judge_credit(&mut self, credit: &Credit) -> Verdict {
        let before = match credit.scope {
            CreditScope::Lane(Lane::Work) => &mut self.work,
            CreditScope::Lane(Lane::Telemetry) => &mut self.telemetry,
            CreditScope::Request(_) => {
                return Err(Failure::new(
                    "a server raises the credit of a request, which is the client's (P-9.3)",
                ));
            }
        };
        ensure(credit.limit.is_no_lower_than(*before), || {
            format!("a limit fell from {before:?} to {:?} (P-9.3)", credit.limit)
        })?;
        *before = credit.limit;
        Ok(())
    }
}

fn spend(account: &mut Account, id: u64, bytes: u64) -> Verdict {
    ensure(account.limit.allows_one_more(account.sent), || {
        format!("request {id} is told without credit: {:?} sent of {:?} (P-9.4)", account.sent, account.limit)
    })?;
    account.sent.frames = account.sent.frames.saturating_add(1);
    account.sent.bytes = account.sent.bytes.saturating_add(bytes);
    Ok(())
}

fn judge_change(account: &mut Account, change: &Change, position: Position) -> Verdict {
    ensure(change.seq > account.last_seq, || {
        format!("change {} is told behind change {} (L-1.2)", change.seq, account.last_seq)
    })?;
    ensure(change.seq <= position.seq, || {
        format!("change {} lies behind its event's position {} (L-1.2)", change.seq, position.seq)
    })?;
    account.last_seq = change.seq;
    match &change.did {
        Did::Put(record) => canonical(record),
        Did::Delete(_) | Did::Dropped => Ok(()),
    }
}

fn canonical(record: &[u8]) -> Verdict {
    let view = RecordView::canonical(record);
    view.map(drop).map_err(|error| {
        Failure::new(format_args!("a record of the server is not canonical: {error} (P-1.6)"))
    })
}

//! Transactions as they lie in the bodies of commits.
//!
//! A transaction is one piece, or several in consecutive commits of one batch. A piece repeats the transaction's head,
//! so that each can be read by itself. What the effects mean is [`super::effect`]'s business.

use super::bytes::{Reader, to_u32};
use super::effect::Effect;
use super::error::LogError;
use super::limits::MAX_PRINCIPAL_BYTES;

/// The transaction goes on in the next commit.
const CONTINUES: u8 = 1;
/// The transaction began in an earlier commit.
const CONTINUED: u8 = 1 << 1;
/// A trace id is there.
const TRACED: u8 = 1 << 2;
const KNOWN_FLAGS: u8 = CONTINUES | CONTINUED | TRACED;

/// Who changed what and on whose behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TransactionHead<'a> {
    /// The node that asked for it; zeros for the database itself.
    pub node: [u8; 16],
    /// The operation's number among those of its node, from 1.
    pub operation: u64,
    /// 64 bits of the hash of the operation's plain body.
    pub body_hash: u64,
    /// The principal, at most [`MAX_PRINCIPAL_BYTES`] of UTF-8.
    pub principal: &'a str,
    /// The trace that it is part of.
    pub trace: Option<[u8; 16]>,
}

/// A transaction, or the part of one that lies in one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The transaction's head; all pieces have the same.
    pub head: TransactionHead<'a>,
    /// The sequence number of this piece's first effect.
    pub first_sequence: u64,
    /// Whether an earlier commit holds the transaction's beginning.
    pub continued: bool,
    /// Whether the next commit holds more of it.
    pub continues: bool,
    count: u32,
    effects: &'a [u8],
}

impl<'a> Piece<'a> {
    /// How many effects it holds, from 1.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The sequence number of its last effect: the transaction's position, if it does not continue.
    pub fn last_sequence(&self) -> u64 {
        self.next_sequence().saturating_sub(1)
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.count))
    }

    /// The effects in order; `None` in place of one that cannot be read, which a log that passed its checksums
    /// does not contain unless a later release wrote it.
    pub fn effects(&self) -> impl Iterator<Item = Option<Effect<'a>>> + use<'a> {
        let mut reader = Reader::new(self.effects);
        std::iter::from_fn(move || reader.counted_u32().map(Effect::parse))
    }

    /// Reads the next piece of a body. `None` if its framing is not valid: lengths that do not add up, flags that
    /// are not known, no effects.
    pub(crate) fn parse(body: &mut Reader<'a>) -> Option<Self> {
        let mut reader = Reader::new(body.counted_u32()?);
        let flags = reader.u8()?;
        let first_sequence = reader.u64()?;
        let node = reader.array()?;
        let (operation, body_hash) = (reader.u64()?, reader.u64()?);
        let principal_bytes = usize::from(reader.u8()?);
        let principal = std::str::from_utf8(reader.bytes(principal_bytes)?).ok()?;
        let trace = if flags & TRACED == 0 { None } else { Some(reader.array()?) };
        let count = reader.u32()?;
        let effects = reader.rest();
        for _ in 0..count {
            reader.counted_u32()?;
        }
        // Its numbers, and the one behind them, are numbers.
        let numbered = first_sequence > 0
            && first_sequence.checked_add(u64::from(count)).is_some_and(|behind| behind < u64::MAX);
        let valid = flags & !KNOWN_FLAGS == 0 && count > 0 && numbered && reader.is_empty();
        let head = TransactionHead { node, operation, body_hash, principal, trace };
        let (continued, continues) = (flags & CONTINUED != 0, flags & CONTINUES != 0);
        valid.then_some(Self { head, first_sequence, continued, continues, count, effects })
    }
}

impl TransactionHead<'_> {
    /// Bytes of a piece with this head and no effects.
    pub(crate) fn piece_bytes(&self) -> usize {
        let fixed = if self.trace.is_some() { 50 + 16 } else { 50_usize };
        fixed.saturating_add(self.principal.len())
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        let found = self.principal.len();
        if found > MAX_PRINCIPAL_BYTES {
            return Err(LogError::FieldTooLong {
                what: "a principal's name",
                found,
                max: MAX_PRINCIPAL_BYTES,
            });
        }
        Ok(())
    }
}

/// Writes a piece into a body. Opened with its head, given effects one by one, closed with its lengths.
#[derive(Debug)]
pub(crate) struct PieceWriter {
    start: usize,
    flags_at: usize,
    count_at: usize,
    count: u32,
}

impl PieceWriter {
    /// Begins a piece at the end of `body`. The head has been checked.
    pub(crate) fn begin(body: &mut Vec<u8>, head: &TransactionHead<'_>, first: u64, continued: bool) -> Self {
        let start = body.len();
        body.extend([0; 4]);
        let flags_at = body.len();
        let traced = if head.trace.is_some() { TRACED } else { 0 };
        body.push(traced | if continued { CONTINUED } else { 0 });
        body.extend(first.to_be_bytes());
        body.extend(head.node);
        body.extend(head.operation.to_be_bytes());
        body.extend(head.body_hash.to_be_bytes());
        body.push(u8::try_from(head.principal.len()).unwrap_or(u8::MAX));
        body.extend(head.principal.bytes());
        body.extend(head.trace.iter().flatten());
        let count_at = body.len();
        body.extend([0; 4]);
        Self { start, flags_at, count_at, count: 0 }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds an effect of `effect_bytes` encoded bytes.
    pub(crate) fn push(&mut self, body: &mut Vec<u8>, effect: &Effect<'_>, effect_bytes: usize) {
        body.extend(to_u32(effect_bytes).to_be_bytes());
        effect.encode(body);
        self.count = self.count.saturating_add(1);
    }

    /// Completes the piece.
    pub(crate) fn finish(self, body: &mut [u8], continues: bool) {
        let length = body.len().saturating_sub(self.start).saturating_sub(4);
        put_u32(body, self.start, to_u32(length));
        put_u32(body, self.count_at, self.count);
        if let Some(flags) = body.get_mut(self.flags_at) {
            *flags |= if continues { CONTINUES } else { 0 };
        }
    }
}

fn put_u32(body: &mut [u8], at: usize, value: u32) {
    if let Some(place) = body.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *place = value.to_be_bytes();
    }
}

/// Follows the order of transactions from piece to piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    next_sequence: u64,
    /// The transaction whose next piece must come.
    open: Option<OpenTransaction>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct OpenTransaction {
    node: [u8; 16],
    operation: u64,
    body_hash: u64,
    principal: String,
    trace: Option<[u8; 16]>,
    durable_to: u64,
}

impl OpenTransaction {
    fn of(head: &TransactionHead<'_>, durable_to: u64) -> Self {
        let TransactionHead { node, operation, body_hash, principal, trace } = *head;
        Self { node, operation, body_hash, principal: principal.to_owned(), trace, durable_to }
    }

    fn is(&self, head: &TransactionHead<'_>, durable_to: u64) -> bool {
        let Self { node, operation, body_hash, ref principal, trace, durable_to: opened } = *self;
        opened == durable_to && *head == TransactionHead { node, operation, body_hash, principal, trace }
    }
}

/// Where the whole transactions of a body end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Bytes from the start of the body up to the end of the last piece that completes a transaction.
    pub(crate) bytes: usize,
    /// The sequence number after that piece.
    pub(crate) next_sequence: u64,
}

impl Order {
    /// The order in which `next_sequence` comes next, with no transaction open.
    pub(crate) const fn at(next_sequence: u64) -> Self {
        Self { next_sequence, open: None }
    }

    pub(crate) const fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) const fn is_between_transactions(&self) -> bool {
        self.open.is_none()
    }

    /// Takes the body of the next commit. `None` if it is not the next one; else where its whole transactions end,
    /// `Some(None)` if none ends here.
    pub(crate) fn take(&mut self, body: &[u8], durable_to: u64) -> Option<Option<Whole>> {
        let mut reader = Reader::new(body);
        let mut whole = None;
        let mut is_first = true;
        while !reader.is_empty() {
            let piece = Piece::parse(&mut reader)?;
            self.take_piece(&piece, durable_to, is_first)?;
            is_first = false;
            if !piece.continues {
                let bytes = body.len().saturating_sub(reader.rest().len());
                whole = Some(Whole { bytes, next_sequence: self.next_sequence });
            } else if !reader.is_empty() {
                return None;
            }
        }
        // An empty commit between two pieces would be a batch of its own.
        if is_first && self.open.is_some() { None } else { Some(whole) }
    }

    fn take_piece(&mut self, piece: &Piece<'_>, durable_to: u64, is_first: bool) -> Option<()> {
        let follows = match self.open.take() {
            Some(open) => is_first && piece.continued && open.is(&piece.head, durable_to),
            None => !piece.continued,
        };
        if !follows || piece.first_sequence != self.next_sequence {
            return None;
        }
        self.next_sequence = self.next_sequence.checked_add(u64::from(piece.count))?;
        self.open = piece.continues.then(|| OpenTransaction::of(&piece.head, durable_to));
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> TransactionHead<'static> {
        TransactionHead { node: [1; 16], operation: 2, body_hash: 3, principal: "p", trace: None }
    }

    /// A piece with one effect.
    fn piece(head: &TransactionHead<'_>, first: u64, continued: bool, continues: bool) -> Vec<u8> {
        let effect = Effect::Outcome { code: 1, detail: b"" };
        let mut body = Vec::new();
        let mut writer = PieceWriter::begin(&mut body, head, first, continued);
        writer.push(&mut body, &effect, effect.encoded_bytes().unwrap());
        writer.finish(&mut body, continues);
        body
    }

    /// What becomes of bodies that come one after the other, all of one batch.
    fn take(bodies: &[Vec<u8>]) -> Option<bool> {
        let mut order = Order::at(5);
        for body in bodies {
            order.take(body, 9)?;
        }
        Some(order.is_between_transactions())
    }

    #[test]
    fn transactions_come_whole_and_in_order() {
        let (begins, ends) = (piece(&head(), 5, false, true), piece(&head(), 6, true, false));
        let (one, other) = (piece(&head(), 5, false, false), TransactionHead { operation: 9, ..head() });
        assert_eq!(take(std::slice::from_ref(&one)), Some(true));
        assert_eq!(take(&[begins.clone(), ends.clone()]), Some(true));
        assert_eq!(take(std::slice::from_ref(&begins)), Some(false));
        assert_eq!(take(&[Vec::new(), one.clone(), Vec::new()]), Some(true));
        let wrong = [
            ("a gap", vec![piece(&head(), 6, false, false)]),
            ("an end without a beginning", vec![piece(&head(), 5, true, false)]),
            ("a beginning without an end", vec![begins.clone(), piece(&head(), 6, false, false)]),
            ("another's end", vec![begins.clone(), piece(&other, 6, true, false)]),
            ("an empty commit within", vec![begins.clone(), Vec::new()]),
            ("more behind a piece that continues", vec![[begins.clone(), ends].concat()]),
            ("bytes left over", vec![[one, vec![0]].concat()]),
        ];
        for (name, bodies) in wrong {
            assert_eq!(take(&bodies), None, "{name}");
        }
        let mut order = Order::at(5);
        assert!(order.take(&begins, 9).is_some());
        assert!(order.take(&piece(&head(), 6, true, false), 10).is_none(), "the pieces lie in one batch");
    }

    /// 3.5: a count of four billion effects in a piece of 60 bytes takes no memory, nor does a length.
    #[test]
    fn a_declared_count_makes_no_room() {
        let sound = piece(&head(), 5, false, false);
        for offset in [0, 47, 51] {
            let mut boastful = sound.clone();
            boastful[offset..offset + 4].fill(0xFF);
            let used = allocation_counter::measure(|| {
                assert_eq!(Piece::parse(&mut Reader::new(&boastful)), None, "at {offset}");
            });
            assert_eq!(used.count_total, 0, "at {offset}");
        }
    }

    #[test]
    fn framing_that_does_not_add_up_is_refused() {
        let sound = piece(&head(), 5, false, false);
        assert!(Piece::parse(&mut Reader::new(&sound)).is_some());
        for length in 0..sound.len() {
            assert_eq!(Piece::parse(&mut Reader::new(&sound[..length])), None, "{length} bytes");
        }
        // Offsets as in the table of spec/log.md, 3.2; the principal's name has one byte.
        for (offset, byte, what) in [
            (3, 0xFF, "length"),
            (4, 8, "a flag that is not known"),
            (4, 4, "a trace that is not there"),
            (12, 0, "sequence number 0"),
            (45, 0xFF, "the principal's length"),
            (46, 0xFF, "a principal that is not UTF-8"),
            (50, 0, "no effects"),
            (50, 2, "an effect too many"),
            (54, 4, "an effect that is too long"),
            (54, 2, "an effect that is too short"),
        ] {
            let mut damaged = sound.clone();
            damaged[offset] = byte;
            assert_eq!(Piece::parse(&mut Reader::new(&damaged)), None, "{what}");
        }
    }
}

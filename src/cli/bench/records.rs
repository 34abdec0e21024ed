//! The records of a load: encoded once, then changed in place, so that making one costs a copy and a checksum.

use uuid::Uuid;

use super::args::wrong_size;
use super::random::Random;
use crate::blazebinary::limits::MAX_RECORD_BYTES;
use crate::blazebinary::{Layout, Record, encode_record};
use crate::cli::Failure;

/// Random text that the records' contents are cut from, in bytes beyond one record's: enough that a block of a store
/// does not hold the same cut twice.
const POOL_BYTES: usize = 64 << 10;
/// What the text is made of: six bits a byte, which LZ4 cannot shrink.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// A byte that no id of a load holds sixteen of: where it stands in the template is where an id goes.
const ID_MARK: [u8; 16] = [0xA5; 16];

/// An encoded record with an `id` and a `text`, both to be filled in.
#[derive(Debug, Clone)]
pub(super) struct Template {
    record: Vec<u8>,
    id_at: usize,
    text_at: usize,
    text_bytes: usize,
    pool: Vec<u8>,
}

impl Template {
    /// A template of records of `bytes` bytes, or a few more where no text gives just that many.
    pub(super) fn new(bytes: usize, seed: u64) -> Result<Self, Failure> {
        let least = encode(0)?.len();
        if !(least..=MAX_RECORD_BYTES).contains(&bytes) {
            return Err(wrong_size(least));
        }
        // A longer text needs a longer head: the first that reaches the size is a few bytes below the difference.
        let mut text_bytes = bytes.saturating_sub(least).saturating_sub(ITS_HEAD_BYTES);
        let mut record = encode(text_bytes)?;
        while record.len() < bytes {
            text_bytes = text_bytes.saturating_add(1);
            record = encode(text_bytes)?;
        }
        let id_at = record.windows(ID_MARK.len()).position(|window| *window == ID_MARK);
        // "text" sorts behind "id", so the text is the end of the record.
        let text_at = record.len().checked_sub(text_bytes);
        let (Some(id_at), Some(text_at)) = (id_at, text_at) else { return Err(wrong_size(least)) };
        let mut random = Random::new(seed);
        let letter = |bits: u64| {
            let index = usize::try_from(bits & 63).unwrap_or_default();
            LETTERS.get(index).copied().unwrap_or(b'x')
        };
        let pool = (0..text_bytes.saturating_add(POOL_BYTES)).map(|_| letter(random.next())).collect();
        Ok(Self { record, id_at, text_at, text_bytes, pool })
    }

    /// How long its records are.
    pub(super) const fn bytes(&self) -> usize {
        self.record.len()
    }

    /// The record of `id`. Its text follows from the id and the seed.
    pub(super) fn fill(&mut self, id: Uuid) -> &[u8] {
        let place = self.record.get_mut(self.id_at..).and_then(<[u8]>::first_chunk_mut);
        if let Some(place) = place {
            *place = id.into_bytes();
        }
        let (high, low) = id.as_u64_pair();
        let from = Random::new(high ^ low).index(POOL_BYTES);
        let text = self.pool.get(from..).and_then(|rest| rest.get(..self.text_bytes));
        if let (Some(place), Some(text)) = (self.record.get_mut(self.text_at..), text) {
            place.copy_from_slice(text);
        }
        &self.record
    }
}

/// The most bytes that a longer text adds to its own head.
const ITS_HEAD_BYTES: usize = 8;

fn encode(text_bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut record = Record::from_iter([("text", "x".repeat(text_bytes))]);
    record.insert("id", Uuid::from_bytes(ID_MARK));
    let mut bytes = Vec::new();
    encode_record(&record, Layout::V1, &mut bytes).map_err(Failure::new)?;
    Ok(bytes)
}

/// The ids of a load's new records: of version 7, rising, and of no other run.
#[derive(Debug, Clone)]
pub(super) struct NewIds {
    unix_ms: u64,
    salt: u64,
    made: u64,
}

impl NewIds {
    /// Ids of a run that begins at `unix_ms`; `entropy` tells it from one that begins in the same millisecond.
    pub(super) const fn new(unix_ms: u64, entropy: u64) -> Self {
        Self { unix_ms, salt: entropy & 0xFFFF_FFFF, made: 0 }
    }

    /// The next: 48 bits of time, 42 of a count, 32 of salt, around version and variant.
    pub(super) fn next(&mut self) -> Uuid {
        let (high, low) = (self.made >> 30 & 0xFFF, self.made & 0x3FFF_FFFF);
        self.made = self.made.saturating_add(1);
        Uuid::from_u64_pair(self.unix_ms << 16 | 0x7000 | high, 0b10 << 62 | low << 32 | self.salt)
    }
}

/// The id of the `number`-th record that is written to be read: the same in each run of a seed, of version 8, rising.
pub(super) fn known_id(seed: u64, number: u64) -> Uuid {
    Uuid::from_u64_pair(seed << 16 | 0x8000, 0b10 << 62 | number & (u64::MAX >> 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blazebinary::RecordView;

    #[test]
    fn records_have_the_size_that_was_asked_for() {
        let least = encode(0).unwrap().len();
        for bytes in [least, least + 1, 165, 1_000, 70_000, MAX_RECORD_BYTES] {
            let mut template = Template::new(bytes, 7).unwrap();
            let id = known_id(7, 3);
            let record = template.fill(id).to_vec();
            // One text length needs a longer head than the one before it: no record has the size between.
            assert!((bytes..bytes + 5).contains(&record.len()), "{bytes}: {}", record.len());
            let view = RecordView::canonical(&record).unwrap();
            assert_eq!((view.id(), view.len()), (Some(id), 2));
        }
        assert_eq!(Template::new(165, 1).unwrap().bytes(), 165);
        assert!(Template::new(least - 1, 7).is_err());
        assert!(Template::new(MAX_RECORD_BYTES + 1, 7).is_err());
    }

    #[test]
    fn contents_follow_from_seed_and_id() {
        let text = |seed, number| {
            let mut template = Template::new(165, seed).unwrap();
            template.fill(known_id(1, number)).split_off_text()
        };
        assert_eq!(text(1, 5), text(1, 5));
        assert_ne!(text(1, 5), text(1, 6));
        assert_ne!(text(1, 5), text(2, 5));
    }

    trait Text {
        fn split_off_text(&self) -> Vec<u8>;
    }

    impl Text for [u8] {
        fn split_off_text(&self) -> Vec<u8> {
            let view = RecordView::canonical(self).unwrap();
            format!("{:?}", view.get("text").unwrap().to_value()).into_bytes()
        }
    }

    #[test]
    fn ids_rise_and_say_what_they_are() {
        let mut ids = NewIds::new(1_700_000_000_123, u64::MAX);
        let first = ids.next();
        assert_eq!(first.to_string(), "018bcfe5-687b-7000-8000-0000ffffffff");
        let more: Vec<Uuid> = (0..5).map(|_| ids.next()).collect();
        assert!(more.is_sorted() && first < more[0]);
        ids.made = 1 << 30;
        assert_eq!(ids.next().to_string(), "018bcfe5-687b-7001-8000-0000ffffffff");
        assert!(known_id(1, 1) < known_id(1, 2) && known_id(1, u64::MAX) < known_id(2, 0));
        assert_eq!(known_id(1, 1).to_string(), "00000000-0001-8000-8000-000000000001");
    }
}

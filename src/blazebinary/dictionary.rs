//! The 58 common field names that the format writes as one byte at the top level of a record.
//!
//! The list is a fact of the outside world and closed for ever: a name added here would make records that
//! older decoders, Swift's among them, refuse (`spec/blazebinary.md`, "Common fields").

use super::key_order::KeyScan;

/// How many names the dictionary holds.
pub const COMMON_FIELD_COUNT: usize = 58;

/// The byte that announces a name written out instead of a common field's id.
pub(super) const NAME_FOLLOWS: u8 = 0xFF;

/// Names by id, id 1 first.
const NAMES: [&str; COMMON_FIELD_COUNT] = [
    "id",
    "createdAt",
    "updatedAt",
    "userId",
    "teamId",
    "title",
    "description",
    "status",
    "priority",
    "assignedTo",
    "tags",
    "completedAt",
    "dueDate",
    "startDate",
    "category",
    "name",
    "email",
    "password",
    "username",
    "firstName",
    "lastName",
    "age",
    "phone",
    "address",
    "city",
    "state",
    "zip",
    "country",
    "organizationId",
    "projectId",
    "taskId",
    "bugId",
    "issueId",
    "commentId",
    "attachmentId",
    "versionId",
    "parentId",
    "childIds",
    "metadata",
    "config",
    "settings",
    "preferences",
    "type",
    "kind",
    "label",
    "value",
    "count",
    "total",
    "sum",
    "average",
    "min",
    "max",
    "isActive",
    "isDeleted",
    "isPublic",
    "isPrivate",
    "isArchived",
    "isFavorite",
];

const SCANS: [KeyScan; COMMON_FIELD_COUNT] = {
    let mut scans = [KeyScan::of_slice(&[]); COMMON_FIELD_COUNT];
    let (mut names, mut places) = (NAMES.as_slice(), scans.as_mut_slice());
    while let (Some((name, rest)), Some((place, next))) = (names.split_first(), places.split_first_mut()) {
        *place = KeyScan::of_slice(name.as_bytes());
        (names, places) = (rest, next);
    }
    scans
};

/// The id of a common field: 1 to 58.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldId(u8);

impl FieldId {
    /// The id of `name`, if it is a common one.
    #[inline]
    pub fn of(name: &str) -> Option<Self> {
        Self::of_bytes(name.as_bytes())
    }

    #[inline]
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, middle, last) = (*bytes.first()?, *bytes.get(bytes.len() / 2)?, *bytes.last()?);
        let candidate = *SLOTS.get(slot(first, middle, last, bytes.len()))?;
        let id = Self(candidate);
        (candidate != 0 && id.name().as_bytes() == bytes).then_some(id)
    }

    /// The field with id `byte`, if there is one.
    #[inline]
    pub fn from_byte(byte: u8) -> Option<Self> {
        (1..=COMMON_FIELD_COUNT).contains(&usize::from(byte)).then_some(Self(byte))
    }

    /// The byte that stands for the name at the top level of a record.
    #[inline]
    pub fn byte(self) -> u8 {
        self.0
    }

    /// What a look at the name would tell, worked out when the crate is compiled.
    #[inline(always)]
    pub(super) fn scan(self) -> KeyScan {
        let scan = usize::from(self.0).checked_sub(1).and_then(|at| SCANS.get(at)).copied();
        scan.unwrap_or(KeyScan::of_slice(&[]))
    }

    /// The name.
    #[inline]
    pub fn name(self) -> &'static str {
        usize::from(self.0).checked_sub(1).and_then(|at| NAMES.get(at)).copied().unwrap_or_default()
    }
}

/// A table without collisions from (first, middle and last byte, length) to the only id that can match, so that a
/// look-up compares one name. The multipliers were searched for; the table is built, and its freedom from
/// collisions proved, when the crate is compiled.
const SLOT_COUNT: usize = 128;
const FIRST_FACTOR: usize = 43;
const MIDDLE_FACTOR: usize = 39;
const LAST_FACTOR: usize = 37;
const LENGTH_FACTOR: usize = 58;
const SLOTS: [u8; SLOT_COUNT] = build_slots();

#[expect(clippy::arithmetic_side_effects, reason = "bytes times factors below 2^6 cannot overflow usize")]
const fn slot(first: u8, middle: u8, last: u8, length: usize) -> usize {
    let sum = (first as usize) * FIRST_FACTOR
        + (middle as usize) * MIDDLE_FACTOR
        + (last as usize) * LAST_FACTOR
        + (length & 0xFF) * LENGTH_FACTOR;
    sum % SLOT_COUNT
}

#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::panic,
    reason = "runs in the compiler only, where a mistake is a build error"
)]
const fn build_slots() -> [u8; SLOT_COUNT] {
    let mut slots = [0; SLOT_COUNT];
    let mut at = 0;
    while at < COMMON_FIELD_COUNT {
        let name = NAMES[at].as_bytes();
        let place = slot(name[0], name[name.len() / 2], name[name.len() - 1], name.len());
        if slots[place] != 0 {
            panic!("two common names share a slot: choose other factors");
        }
        slots[place] = at as u8 + 1;
        at += 1;
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids_agree_in_both_directions() {
        for byte in 1..=58 {
            let id = FieldId::from_byte(byte).unwrap();
            assert_eq!(FieldId::of(id.name()), Some(id));
        }
        // Spot checks against the format's table, in hex there: 01, 10, 2E, 3A.
        assert_eq!(FieldId::of("id").unwrap().byte(), 0x01);
        assert_eq!(FieldId::of("name").unwrap().byte(), 0x10);
        assert_eq!(FieldId::of("value").unwrap().byte(), 0x2E);
        assert_eq!(FieldId::of("isFavorite").unwrap().byte(), 0x3A);
    }

    #[test]
    fn other_names_and_bytes_are_not_common() {
        for name in ["", "Id", "ids", "i", "created_at", "ïd", "isFavorit", "isFavoritee"] {
            assert_eq!(FieldId::of(name), None, "{name}");
        }
        for byte in [0u8, 0x3B, 0xFE, 0xFF] {
            assert_eq!(FieldId::from_byte(byte), None);
        }
    }
}

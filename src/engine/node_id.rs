//! What the id of a node tells: who made it and when, and therefore whether its node may have been forgotten.

use std::time::Duration;

use uuid::{Builder, Uuid, Variant, Version};

use super::limits::{EPHEMERAL_NOTED_AFTER, EPHEMERAL_UNSEEN, MAX_CLOCK_SKEW, NODE_NOTED_AFTER, NODE_UNSEEN};
use super::record::Id;

/// An id for a node whose client names none: a UUID of version 8, milliseconds since 1970 in 48 bits and then, but for
/// version and variant, the bits of `random`. Its node is ephemeral.
pub fn new_node_id(unix_ms: u64, random: u128) -> Uuid {
    let bits = u128::from(unix_ms) << 80 | random & ((1 << 80) - 1);
    let builder = Builder::from_bytes(bits.to_be_bytes());
    builder.with_version(Version::Custom).with_variant(Variant::RFC4122).into_uuid()
}

fn is_ephemeral(node: &Id) -> bool {
    Uuid::from_bytes(*node).get_version_num() == 8
}

/// When the id was made, in milliseconds since 1970, if it says so.
fn made_at(node: &Id) -> Option<u64> {
    let [a, b, c, d, e, f, ..] = *node;
    let says = matches!(Uuid::from_bytes(*node).get_version_num(), 7 | 8);
    says.then_some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

/// How old the note may become of when a node was seen, as long as it is.
fn noted_after(node: &Id) -> Duration {
    if is_ephemeral(node) { EPHEMERAL_NOTED_AFTER } else { NODE_NOTED_AFTER }
}

/// How long a node is remembered after it was noted last that it was seen: it may have been seen until the next note
/// was due.
fn remembered_for(node: &Id) -> Duration {
    let unseen = if is_ephemeral(node) { EPHEMERAL_UNSEEN } else { NODE_UNSEEN };
    unseen.saturating_add(noted_after(node))
}

fn since(earlier_ms: u64, now_ms: u64) -> Duration {
    Duration::from_millis(now_ms.saturating_sub(earlier_ms))
}

/// Whether it should be noted at `now_ms` that a node was seen, if it was noted last at `noted_ms`.
pub(super) fn is_to_be_noted(node: &Id, noted_ms: u64, now_ms: u64) -> bool {
    since(noted_ms, now_ms) >= noted_after(node)
}

/// Whether a node that is not connected is to be forgotten at `now_ms`. Never before its id is as old: so an id that is
/// younger proves that its node was not forgotten, whatever the client's clock said when it was made.
pub(super) fn is_to_be_forgotten(node: &Id, noted_ms: u64, now_ms: u64) -> bool {
    let seen = made_at(node).map_or(noted_ms, |made| made.max(noted_ms));
    since(seen, now_ms) >= remembered_for(node)
}

/// Whether a node of which nothing is remembered may have been forgotten, rather than never have been. An id that does
/// not say when it was made is taken for new.
pub(super) fn may_be_forgotten(node: &Id, now_ms: u64) -> bool {
    made_at(node).is_some_and(|made| {
        since(made, now_ms) >= remembered_for(node) || since(now_ms, made) > MAX_CLOCK_SKEW
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const DAY: u64 = 24 * 60 * MINUTE;
    /// When the ids below were made.
    const MADE: u64 = 0x0199_0000_0000;

    fn id(version: u8) -> Id {
        [1, 0x99, 0, 0, 0, 0, version << 4, 1, 0x80, 1, 1, 1, 1, 1, 1, 1]
    }

    #[test]
    fn an_id_that_is_given_says_when_and_that_its_node_is_ephemeral() {
        let given = new_node_id(MADE, u128::MAX);
        assert_eq!(given.to_string(), "01990000-0000-8fff-bfff-ffffffffffff");
        assert_eq!(made_at(given.as_bytes()), Some(MADE));
        assert!(is_ephemeral(given.as_bytes()) && !is_ephemeral(&id(7)));
    }

    /// (version, minutes after the id was made, noted so many minutes after it) → noted again, forgotten.
    #[test]
    fn nodes_are_noted_and_forgotten_in_their_time() {
        const DAY_MINUTES: u64 = 24 * 60;
        for (version, now, noted, is_noted, is_forgotten) in [
            (8, 9, 0, false, false),
            (8, 69, 0, true, false),
            (8, 70, 0, true, true),
            (8, 70, 1, true, false),
            (7, DAY_MINUTES - 1, 0, false, false),
            (7, 31 * DAY_MINUTES - 1, 0, true, false),
            (7, 31 * DAY_MINUTES, 0, true, true),
            (7, 31 * DAY_MINUTES, 1, true, false),
            (4, 31 * DAY_MINUTES, 0, true, true),
        ] {
            let (noted, now) = (MADE + noted * MINUTE, MADE + now * MINUTE);
            assert_eq!(is_to_be_noted(&id(version), noted, now), is_noted, "version {version} at {now}");
            assert_eq!(
                is_to_be_forgotten(&id(version), noted, now),
                is_forgotten,
                "version {version} at {now}"
            );
        }
        // Made by a clock that was ahead: it was seen before it was made.
        assert!(!is_to_be_forgotten(&id(7), MADE - DAY, MADE + 31 * DAY - 1));
    }

    #[test]
    fn an_id_that_is_old_or_of_the_future_may_be_that_of_a_forgotten_node() {
        for (version, now, expected) in [
            (8, MADE + 70 * MINUTE - 1, false),
            (8, MADE + 70 * MINUTE, true),
            (7, MADE + 31 * DAY - 1, false),
            (7, MADE + 31 * DAY, true),
            (7, MADE - 60 * MINUTE, false),
            (7, MADE - 60 * MINUTE - 1, true),
            (4, MADE + 99 * DAY, false),
        ] {
            assert_eq!(may_be_forgotten(&id(version), now), expected, "version {version} at {now}");
        }
    }
}

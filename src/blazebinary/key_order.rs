//! The order of keys inside a record or dict: by the UTF-8 bytes of their NFC forms.
//!
//! Swift orders strings by the Unicode scalars of their NFC forms, which is the same thing, since UTF-8 keeps
//! the order of scalars. Keys with equal NFC forms name the same field.

use std::cmp::Ordering;

use unicode_normalization::UnicodeNormalization;

/// The Unicode version of the NFC tables. Characters assigned later normalise to themselves here; the version is
/// pinned because a change of it could change the order of keys in canonical records.
pub const UNICODE_VERSION: (u8, u8, u8) = unicode_normalization::UNICODE_VERSION;

/// The canonical order of two keys; `Equal` means that they name the same field.
#[inline]
pub fn compare_keys(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { compare_normalised(a, b) }
}

/// Whether two keys name the same field: their NFC forms are equal.
#[inline]
pub fn keys_are_equivalent(a: &str, b: &str) -> bool {
    a == b || compare_keys(a, b).is_eq()
}

#[cold]
fn compare_normalised(a: &str, b: &str) -> Ordering {
    a.nfc().cmp(b.nfc())
}

/// Appends the NFC form of `key`, the form by which keys are ordered.
pub(super) fn push_normalised(key: &str, out: &mut String) {
    if key.is_ascii() {
        out.push_str(key);
    } else {
        out.extend(key.nfc());
    }
}

/// The keys of one container in the order in which they are met: checks that each sorts after the one before.
///
/// Nearly all keys are ASCII and differ in their first eight bytes, so those are compared as one number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KeySequence<'a> {
    previous: Option<SeenKey<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct SeenKey<'a> {
    name: &'a [u8],
    prefix: u64,
    is_ascii: bool,
}

impl<'a> KeySequence<'a> {
    /// How the key before `name` sorts against it; `None` for the first key. `name` is UTF-8.
    #[inline(always)]
    pub(super) fn advance(
        &mut self,
        name: &'a [u8],
        KeyScan { prefix, is_ascii }: KeyScan,
    ) -> Option<Ordering> {
        let key = SeenKey { name, prefix, is_ascii };
        let previous = self.previous.replace(key)?;
        Some(if previous.is_ascii && is_ascii {
            if previous.prefix == prefix { previous.name.cmp(name) } else { previous.prefix.cmp(&prefix) }
        } else {
            compare_utf8(previous.name, name)
        })
    }
}

#[cold]
fn compare_utf8(a: &[u8], b: &[u8]) -> Ordering {
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    compare_normalised(text(a), text(b))
}

/// What one look at a key tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyScan {
    /// The first eight bytes as a big-endian number, shorter names filled up with zeros.
    prefix: u64,
    /// Whether all bytes are ASCII.
    pub(super) is_ascii: bool,
}

impl KeyScan {
    /// Looks at `name`, at the start of `input`. Where the input goes on far enough both answers come from one
    /// load and a mask, without a branch on the length: lengths differ from field to field and cannot be guessed.
    #[inline(always)]
    pub(super) fn of(name: &[u8], input: &[u8]) -> Self {
        match input.first_chunk() {
            Some(window) if name.len() <= WINDOW => {
                let first = u64::from_be_bytes([
                    window[0], window[1], window[2], window[3], window[4], window[5], window[6], window[7],
                ]);
                let mask = PREFIX_MASKS.get(name.len()).copied().unwrap_or(u64::MAX);
                Self { prefix: first & mask, is_ascii: window_is_ascii(window, name.len()) }
            }
            _ => Self::of_slice(name),
        }
    }

    /// The same for a name that stands alone, and for a constant when the crate is compiled.
    pub(super) const fn of_slice(name: &[u8]) -> Self {
        let mut prefix = [0; 8];
        let (mut from, mut to) = (name, prefix.as_mut_slice());
        while let (Some((byte, next)), Some((place, rest))) = (from.split_first(), to.split_first_mut()) {
            *place = *byte;
            (from, to) = (next, rest);
        }
        Self { prefix: u64::from_be_bytes(prefix), is_ascii: name.is_ascii() }
    }
}

/// How many bytes are looked at in one load.
const WINDOW: usize = 16;
/// By length: the bits of a big-endian word that a name of that length fills.
const PREFIX_MASKS: [u64; 9] = {
    let full = u64::MAX;
    [0, full << 56, full << 48, full << 40, full << 32, full << 24, full << 16, full << 8, full]
};
/// By length: the high bits of the first so many bytes of a little-endian window.
const HIGH_BITS: [u128; WINDOW + 1] = {
    const ALL: u128 = u128::from_le_bytes([0x80; WINDOW]);
    let mut masks = [0; WINDOW + 1];
    let mut rest = masks.as_mut_slice();
    let mut unused_bits = 128;
    while let Some((mask, next)) = rest.split_first_mut() {
        *mask = match ALL.checked_shr(unused_bits) {
            Some(mask) => mask,
            None => 0,
        };
        unused_bits = unused_bits.saturating_sub(8);
        rest = next;
    }
    masks
};

/// Whether the first `length` bytes of the window are ASCII; `length` is at most [`WINDOW`].
#[inline(always)]
fn window_is_ascii(window: &[u8; WINDOW], length: usize) -> bool {
    let mask = HIGH_BITS.get(length).copied().unwrap_or(u128::MAX);
    u128::from_le_bytes(*window) & mask == 0
}

/// Whether `text`, which stands at the start of `input`, is ASCII.
#[inline(always)]
pub(super) fn text_is_ascii(text: &[u8], input: &[u8]) -> bool {
    match input.first_chunk() {
        Some(window) if text.len() <= WINDOW => window_is_ascii(window, text.len()),
        _ => text.is_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unicode_version_is_the_one_the_specification_names() {
        let named = format!("Unicode {}.{}.{}", UNICODE_VERSION.0, UNICODE_VERSION.1, UNICODE_VERSION.2);
        assert!(include_str!("../../spec/blazebinary.md").contains(&named), "{named}");
    }

    #[test]
    fn normal_forms_decide_the_order() {
        // Each pair in rising order, against the order of the raw bytes.
        for (low, high) in [
            ("f", "e\u{301}"),                        // é is U+00E9
            ("\u{212B}", "\u{C6}"),                   // the Ångström sign becomes U+00C5, before Æ
            ("\u{F900}", "\u{AC00}"),                 // a compatibility ideograph becomes U+8C48
            ("\u{3042}", "\u{1112}\u{1161}\u{11AB}"), // decomposed Hangul after Hiragana
            ("\u{FF5E}", "\u{1F525}"),                // scalars, not UTF-16 units
            ("a", "aa"),
        ] {
            assert_eq!(compare_keys(low, high), Ordering::Less, "{low:?} {high:?}");
            assert_eq!(compare_keys(high, low), Ordering::Greater, "{high:?} {low:?}");
        }
    }

    /// Against the plain comparison, over names of every length up to three words with a difference anywhere.
    #[test]
    fn the_fast_comparison_agrees_with_the_plain_one() {
        let names: Vec<String> = (0..=24usize)
            .flat_map(|length| {
                let plain = "a".repeat(length);
                let changed = (0..length).flat_map(move |at| {
                    ["\0", "b", "\u{E9}"]
                        .map(|other| format!("{}{other}{}", "a".repeat(at), "a".repeat(length - at - 1)))
                });
                std::iter::once(plain).chain(changed)
            })
            .collect();
        for a in &names {
            let long = format!("{a}\u{E9}{}", "z".repeat(WINDOW));
            let scan = KeyScan::of_slice(a.as_bytes());
            assert_eq!(KeyScan::of(a.as_bytes(), long.as_bytes()), scan, "{a:?} with a window");
            assert_eq!(KeyScan::of(a.as_bytes(), a.as_bytes()), scan, "{a:?} at the end of the input");
            assert_eq!(scan.is_ascii, a.is_ascii(), "{a:?}");
            for b in &names {
                let mut sequence = KeySequence::default();
                assert_eq!(sequence.advance(a.as_bytes(), scan), None);
                let order = sequence.advance(b.as_bytes(), KeyScan::of_slice(b.as_bytes()));
                assert_eq!(order, Some(a.nfc().cmp(b.nfc())), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn canonically_equal_keys_name_one_field() {
        assert!(keys_are_equivalent("\u{E9}", "e\u{301}"));
        assert!(keys_are_equivalent("K", "\u{212A}"), "the Kelvin sign normalises to ASCII");
        assert!(!keys_are_equivalent("k", "K"));
    }
}

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

    #[test]
    fn canonically_equal_keys_name_one_field() {
        assert!(keys_are_equivalent("\u{E9}", "e\u{301}"));
        assert!(keys_are_equivalent("K", "\u{212A}"), "the Kelvin sign normalises to ASCII");
        assert!(!keys_are_equivalent("k", "K"));
    }
}

//! Values of every shape for property tests, with a liking for the places where codecs and orders break.

use blazedb::blazebinary::{Date, Dict, Record, Value, Vector, limits::MAX_NESTING};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use uuid::Uuid;

/// The seed of a run that names none, so that a red run repeats.
const SEED: u64 = 25_293;

/// `cases` cases from a fixed seed; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` override both.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let given = ProptestConfig::default();
    let rng_seed = if given.rng_seed == RngSeed::Random { RngSeed::Fixed(SEED) } else { given.rng_seed };
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { given.cases } else { cases };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..given }
}

/// Integers, most of them near a power of two, where doubles begin to round.
pub(crate) fn ints() -> impl Strategy<Value = i64> {
    let near_power = (0u32..64, -3i64..=3, any::<bool>()).prop_map(|(power, off, negative)| {
        let power = 1u64.checked_shl(power).unwrap_or(0).cast_signed();
        let int = power.wrapping_add(off);
        if negative { int.wrapping_neg() } else { int }
    });
    prop_oneof![3 => near_power, 1 => any::<i64>(), 1 => -300i64..300]
}

/// Doubles of any bits, whole ones near the integers above, and their neighbours.
pub(crate) fn doubles() -> impl Strategy<Value = f64> {
    let near_int = (ints(), -2i64..=2).prop_map(|(int, steps)| {
        let bits = (int as f64).to_bits().cast_signed().wrapping_add(steps);
        f64::from_bits(bits.cast_unsigned())
    });
    let special = prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::NAN),
        Just(-f64::NAN),
        Just(f64::from_bits(0x7FF0_0000_0000_0001)),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        Just(f64::from_bits(1)),
    ];
    prop_oneof![
        3 => near_int,
        2 => any::<u64>().prop_map(f64::from_bits),
        1 => special,
        1 => (-1000i32..1000).prop_map(|tenths| f64::from(tenths) / 10.0),
    ]
}

/// Dates: fine ones, round ones, and any bits.
pub(crate) fn dates() -> impl Strategy<Value = Date> {
    let millis = (-70_000_000_000_000i64..300_000_000_000_000).prop_map(Date::from_unix_millis);
    prop_oneof![2 => millis, 1 => doubles().prop_map(Date::from_seconds)]
}

/// Short texts of few characters, so that prefixes, repeats and embedded zeros are frequent.
pub(crate) fn texts() -> impl Strategy<Value = String> {
    let few = vec(prop::sample::select(vec!['\0', '\u{1}', 'a', 'b', '"', '\\', '$', '\n', '\u{FF}']), 0..5);
    let strange = prop::sample::select(vec![
        "e\u{301}",
        "\u{E9}",
        "\u{E9}a",
        "\u{212B}",
        "\u{C6}",
        "\u{F900}",
        "\u{AC00}",
        "\u{1112}\u{1161}\u{11AB}",
        "\u{FEFF}a",
        "\u{2028}",
        "\u{FF5E}",
        "\u{1F525}",
        "\u{10FFFF}",
        "$int",
        "$double",
        "$",
        "$$",
        "id",
        "title",
    ]);
    prop_oneof![
        3 => few.prop_map(String::from_iter),
        2 => strange.prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn vectors() -> impl Strategy<Value = Vector> {
    let half = prop_oneof![
        any::<u32>(),
        prop::sample::select(vec![
            0,
            0x8000_0000,
            0x3FF0_0000,
            0x7FF0_0000,
            0x7FF8_0000,
            0x7FF0_0001,
            0xFFF8_0000
        ]),
    ];
    vec(half, 0..4).prop_map(Vector::from_upper_halves)
}

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        3 => ints().prop_map(Value::from),
        3 => doubles().prop_map(Value::from),
        2 => dates().prop_map(Value::from),
        1 => prop_oneof![any::<u128>(), 0u128..3].prop_map(|id| Uuid::from_u128(id).into()),
        3 => texts().prop_map(Value::from),
        2 => vec(prop_oneof![Just(0u8), Just(1), Just(0xFF), any::<u8>()], 0..5).prop_map(Value::Data),
        1 => vectors().prop_map(Value::Vector),
    ]
}

/// Dicts whose values come from `inner`.
fn dicts(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Dict> {
    vec((texts(), inner), 0..4).prop_map(Dict::from_iter)
}

/// Values of every type, a few levels deep.
pub(crate) fn bushes() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![vec(inner.clone(), 0..4).prop_map(Value::Array), dicts(inner).prop_map(Value::Dict)]
    })
}

/// Values of every type, now and then wrapped until only the format's limit stops it.
pub(crate) fn values() -> impl Strategy<Value = Value> {
    let shells = prop_oneof![9 => Just(vec![]), 1 => vec(prop::option::of(texts()), 0..=MAX_NESTING)];
    (bushes(), shells).prop_map(|(value, shells)| {
        let room = MAX_NESTING - nesting(&value);
        shells.into_iter().take(room).fold(value, |inner, key| match key {
            Some(key) => Dict::from_iter([(key, inner)]).into(),
            None => Value::Array(vec![inner]),
        })
    })
}

/// Records of such values.
pub(crate) fn records() -> impl Strategy<Value = Record> {
    dicts(values())
}

/// How many containers nest in `value`, itself included.
fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nesting).max().unwrap_or(0),
        Value::Dict(dict) => 1 + dict.iter().map(|(_, value)| nesting(value)).max().unwrap_or(0),
        _ => 0,
    }
}

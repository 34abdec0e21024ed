"""records.json and values.json: BlazeBinary in canonical form, and what a canonical reader refuses."""

import struct
import uuid

from blazebinary import (COMMON, MAX_NESTING, MAX_RECORD_BYTES, Date, Double, Input, Refused, Vector, decode_record,
                         encode_record, encode_value, read_value, top_key, with_checksum)
from cases import Cases
import typed

ID = uuid.UUID("550e8400-e29b-41d4-a716-446655440000")
ZEROS, ONES = uuid.UUID(int=0), uuid.UUID(int=2 ** 128 - 1)


def head(count, layout=1):
    return b"BLAZE" + bytes([layout]) + struct.pack(">H", count)


def raw(*fields, count=None, layout=1):
    """A record of fields that are written by hand: (key bytes, value bytes)."""
    return head(len(fields) if count is None else count, layout) + b"".join(key + value for key, value in fields)


def far(name):
    """A top-level name written out, whether it may be or not."""
    name = name.encode("utf-8") if isinstance(name, str) else name
    return b"\xff" + struct.pack(">H", len(name)) + name


def near(name):
    """A key of a nested dict."""
    return far(name)[1:]


def nested(depth, inner=b"\x18", keys=()):
    """`depth` containers inside one another, `inner` (a container itself) the last of them."""
    out = inner
    for level in range(depth - 1):
        out = (b"\x09\x00\x01\x00\x01k" if level in keys else b"\x08\x00\x01") + out
    return out


# Values by name: everything that a tag and its boundaries tell, with the clauses they show.
VALUES = [
    ("null", "B-3.1", None),
    ("false", "B-3.1", False),
    ("true", "B-3.1", True),
    ("int_0", "B-3.1", 0),
    ("int_1", "B-3.1", 1),
    ("int_127", "B-3.1", 127),
    ("int_128", "B-3.1", 128),
    ("int_255", "B-3.1", 255),
    ("int_256", "B-3.1", 256),
    ("int_minus_1", "B-3.1", -1),
    ("int_minus_128", "B-3.1", -128),
    ("int_minus_256", "B-3.1", -256),
    ("int_65535", "B-3.1", 65535),
    ("int_2_31", "B-3.1", 2 ** 31),
    ("int_minus_2_31", "B-3.1", -2 ** 31),
    ("int_2_32", "B-3.1", 2 ** 32),
    ("int_2_53_minus_1", "B-3.1 J-3.2", 2 ** 53 - 1),
    ("int_2_53", "B-3.1 J-3.2", 2 ** 53),
    ("int_2_53_plus_1", "B-3.1 J-3.2", 2 ** 53 + 1),
    ("int_minus_2_53_minus_1", "B-3.1 J-3.2", -2 ** 53 - 1),
    ("int_most", "B-3.1", 2 ** 63 - 1),
    ("int_least", "B-3.1", -2 ** 63),
    ("double_0", "B-3.1", Double.of(0.0)),
    ("double_minus_0", "B-3.1", Double.of(-0.0)),
    ("double_5", "B-3.1 J-2.1", Double.of(5.0)),
    ("double_tenth", "B-3.1", Double.of(0.1)),
    ("double_minus_1_5", "B-3.1", Double.of(-1.5)),
    ("double_2_53", "B-3.1 J-2.1", Double.of(2.0 ** 53)),
    ("double_1e300", "B-3.1", Double.of(1e300)),
    ("double_least_subnormal", "B-3.1", Double(1)),
    ("double_greatest_subnormal", "B-3.1", Double(0x000fffffffffffff)),
    ("double_least_normal", "B-3.1", Double(0x0010000000000000)),
    ("double_greatest", "B-3.1", Double(0x7fefffffffffffff)),
    ("double_infinity", "B-3.1 J-3.3", Double(0x7ff0000000000000)),
    ("double_minus_infinity", "B-3.1 J-3.3", Double(0xfff0000000000000)),
    ("double_nan", "B-3.1 J-3.3", Double(0x7ff8000000000000)),
    ("double_nan_negative", "B-3.1 J-3.3", Double(0xfff8000000000000)),
    ("double_nan_signalling", "B-3.1 J-3.3", Double(0x7ff0000000000001)),
    ("double_nan_payload", "B-3.1 J-3.3", Double(0x7ffc0123456789ab)),
    ("uuid", "B-3.1", ID),
    ("uuid_zeros", "B-3.1", ZEROS),
    ("uuid_ones", "B-3.1", ONES),
    ("date_2001", "B-3.1", Date.of(0.0)),
    ("date_1970", "B-3.1", Date.of(-978307200.0)),
    ("date_2013_with_tenth", "B-3.1", Date(0x41b692eb2019999a)),
    ("date_minus_0", "B-3.4 J-3.4", Date.of(-0.0)),
    ("date_nan", "B-3.4 J-3.4", Date(0x7ff8000000000000)),
    ("date_infinity", "B-3.4 J-3.4", Date(0x7ff0000000000000)),
    ("date_beyond_calendars", "B-3.4 J-3.4", Date.of(1e300)),
    ("string_empty", "B-3.1", ""),
    ("string_1_byte", "B-3.1", "a"),
    ("string_nul", "B-3.2", "\0"),
    ("string_15_bytes", "B-3.1", "fifteen bytes.."),
    ("string_16_bytes", "B-3.1", "sixteen bytes..."),
    ("string_15_bytes_of_5_characters", "B-3.1 B-3.2", "\u65e5" * 5),
    ("string_16_bytes_of_4_characters", "B-3.1 B-3.2", "\U0001f600" * 4),
    ("string_255_bytes", "B-3.1", "x" * 255),
    ("string_256_bytes", "B-3.1", "y" * 256),
    ("string_65536_bytes", "B-3.1", "z" * 65536),
    ("string_controls", "B-3.2 J-2.5", "\b\t\n\f\r\"\\/\x01\x1f\x7f"),
    ("string_composed", "B-3.2", "caf\u00e9"),
    ("string_decomposed", "B-3.2", "cafe\u0301"),
    ("string_byte_order_mark_first", "B-3.2 B-7.3", "\ufeffmark"),
    ("string_last_scalar", "B-3.2", "\U0010ffff"),
    ("string_around_the_surrogates", "B-3.2", "\ud7ff\ue000"),
    ("string_noncharacter", "B-3.2", "\uffff"),
    ("string_right_to_left", "B-3.2", "\u05e9\u05dc\u05d5\u05dd"),
    ("string_looks_like_typed_json", "J-4.1", "$int"),
    ("data_empty", "B-3.1", b""),
    ("data_1_byte", "B-3.1", b"\0"),
    ("data_4_bytes", "B-3.1 J-3.6", b"\x00\x01\x02\xff"),
    ("data_all_bytes", "B-3.1 J-3.6", bytes(range(256))),
    ("array_empty", "B-3.1", []),
    ("array_of_null", "B-3.1", [None]),
    ("array_mixed", "B-3.1", [1, "two", Double.of(3.0), None, True, [], {}]),
    ("array_nested", "B-3.1", [[1], [[2]], [[[]]]]),
    ("array_255_items", "B-3.1", [0] * 255),
    ("array_256_items", "B-3.1", [1] * 256),
    ("array_65535_items", "B-5.1", [None] * 65535),
    ("dict_empty", "B-3.1", {}),
    ("dict_empty_key", "B-2.3", {"": 1}),
    ("dict_common_names", "B-2.3", {"title": "x", "id": 1}),
    ("dict_sorted", "B-4.1", {"b": 2, "a": 1, "ab": 3, "B": 4, "": 0}),
    ("dict_dollar_keys", "J-4.1", {"$int": 5, "$$": 6, "$": 7}),
    ("dict_long_key", "B-5.2", {"k" * 300: True}),
    ("dict_65535_byte_key", "B-5.2", {"k" * 65535: True}),
    ("vector_empty", "B-3.3", Vector([])),
    ("vector_1_2_3", "B-3.3", Vector.of(1.0, 2.0, 3.0)),
    ("vector_tenth_is_cut", "B-3.3 J-3.7", Vector.of(0.1)),
    ("vector_specials", "B-3.3", Vector([0x80000000, 0x7ff00000, 0xfff00000, 0x7ff80000, 0x00000001])),
    ("vector_least_that_is_cut_to_0", "B-3.3", Vector([0x00000000])),
    ("vector_384_items", "B-3.3", Vector([0x3ff00000] * 384)),
]

# Values that are refused: name, clauses, bytes, code, offset.
BAD_VALUES = [
    ("no_bytes", "B-6.3", "", "truncated", 0),
    ("tag_00", "B-3.1", "00", "unknown_tag", 0),
    ("tag_0c", "B-3.1", "0c", "unknown_tag", 0),
    ("tag_10", "B-3.1", "10", "unknown_tag", 0),
    ("tag_13", "B-3.1", "13", "unknown_tag", 0),
    ("tag_17", "B-3.1", "17", "unknown_tag", 0),
    ("tag_1a", "B-3.1", "1a", "unknown_tag", 0),
    ("tag_1f", "B-3.1", "1f", "unknown_tag", 0),
    ("tag_30", "B-3.1", "30", "unknown_tag", 0),
    ("tag_7f", "B-3.1", "7f", "unknown_tag", 0),
    ("tag_80", "B-3.1", "80", "unknown_tag", 0),
    ("tag_ff", "B-3.1", "ff", "unknown_tag", 0),
    ("int_cut", "B-6.3", "0200000000000000", "truncated", 0),
    ("int_0_long", "B-6.3", "020000000000000000", "non_canonical_int", 0),
    ("int_1_long", "B-6.3", "020000000000000001", "non_canonical_int", 0),
    ("int_255_long", "B-6.3", "0200000000000000ff", "non_canonical_int", 0),
    ("small_int_cut", "B-6.3", "12", "truncated", 0),
    ("double_cut", "B-6.3", "0340140000000000", "truncated", 0),
    ("date_cut", "B-6.3", "0600", "truncated", 0),
    ("bool_cut", "B-6.3", "04", "truncated", 0),
    ("bool_02", "B-6.3", "0402", "non_canonical_bool", 0),
    ("bool_ff", "B-6.3", "04ff", "non_canonical_bool", 0),
    ("uuid_cut", "B-6.3", "05550e8400e29b41d4a71644665544", "truncated", 0),
    ("string_length_cut", "B-6.3", "01000000", "truncated", 0),
    ("string_cut", "B-6.3", "0100000010" + "61" * 15, "truncated", 0),
    ("string_claims_4_gib", "B-6.4", "01ffffffff61", "truncated", 0),
    ("string_0_long", "B-6.3", "0100000000", "non_canonical_string", 0),
    ("string_1_long", "B-6.3", "010000000161", "non_canonical_string", 0),
    ("string_15_long", "B-6.3", "010000000f" + "61" * 15, "non_canonical_string", 0),
    ("string_tag_20", "B-6.3", "20", "non_canonical_string", 0),
    ("string_short_cut", "B-6.3", "236162", "truncated", 0),
    ("string_short_f_cut", "B-6.3", "2f" + "61" * 14, "truncated", 0),
    ("utf8_lone_continuation", "B-3.2", "2180", "invalid_utf8", 0),
    ("utf8_cut_sequence", "B-3.2", "22e282", "invalid_utf8", 0),
    ("utf8_overlong_slash", "B-3.2", "22c0af", "invalid_utf8", 0),
    ("utf8_overlong_nul", "B-3.2", "22c080", "invalid_utf8", 0),
    ("utf8_overlong_3", "B-3.2", "23e0809f", "invalid_utf8", 0),
    ("utf8_overlong_4", "B-3.2", "24f08080af", "invalid_utf8", 0),
    ("utf8_surrogate_high", "B-3.2", "23eda080", "invalid_utf8", 0),
    ("utf8_surrogate_low", "B-3.2", "23edbfbf", "invalid_utf8", 0),
    ("utf8_surrogate_pair", "B-3.2", "26eda080edb080", "invalid_utf8", 0),
    ("utf8_above_10ffff", "B-3.2", "24f4908080", "invalid_utf8", 0),
    ("utf8_f5", "B-3.2", "24f5808080", "invalid_utf8", 0),
    ("utf8_latin1", "B-3.2", "24636166e9", "invalid_utf8", 0),
    ("utf8_in_long_string", "B-3.2", "0100000010" + "61" * 15 + "ff", "invalid_utf8", 0),
    ("utf8_before_its_form", "B-6.3", "0100000001ff", "invalid_utf8", 0),
    ("data_length_cut", "B-6.3", "07000000", "truncated", 0),
    ("data_cut", "B-6.3", "07000000020a", "truncated", 0),
    ("data_claims_4_gib", "B-6.4", "07ffffffff00", "truncated", 0),
    ("vector_count_cut", "B-6.3", "0a0000", "truncated", 0),
    ("vector_cut", "B-6.3", "0a000000023ff000003ff000", "truncated", 0),
    ("vector_claims_16_gib", "B-6.4", "0affffffff3ff00000", "truncated", 0),
    ("array_count_cut", "B-6.3", "0800", "truncated", 0),
    ("array_count_0", "B-6.3", "080000", "non_canonical_empty", 0),
    ("array_lacks_an_item", "B-6.3 B-6.5", "0800021201", "truncated", 5),
    ("array_claims_65535", "B-6.4", "08ffff0b0b", "truncated", 5),
    ("array_item_wrong", "B-6.5", "08000212010405", "non_canonical_bool", 5),
    ("array_item_cut", "B-6.5", "080002120102", "truncated", 5),
    ("array_in_array_count_0", "B-6.5", "080001080000", "non_canonical_empty", 3),
    ("dict_count_cut", "B-6.3", "0900", "truncated", 0),
    ("dict_count_0", "B-6.3", "090000", "non_canonical_empty", 0),
    ("dict_lacks_its_key", "B-6.5", "090001", "truncated", 3),
    ("dict_key_length_cut", "B-6.5", "09000100", "truncated", 3),
    ("dict_key_cut", "B-6.5", "09000100036162", "truncated", 3),
    ("dict_key_not_utf8", "B-3.2", "0900010002c3281201", "invalid_utf8", 3),
    ("dict_lacks_its_value", "B-6.5", "090001000161", "truncated", 6),
    ("dict_key_twice", "B-4.2", "09000200016112010001611202", "duplicate_key", 8),
    ("dict_key_twice_in_other_spelling", "B-4.2", "0900020002c3a9120100036" + "5cc811202", "duplicate_key", 9),
    ("dict_keys_out_of_order", "B-4.1", "09000200016212010001611202", "keys_out_of_order", 8),
    ("dict_shorter_key_behind", "B-4.1", "0900020002616112010001611202", "keys_out_of_order", 9),
    ("dict_value_wrong", "B-6.5", "0900010001610402", "non_canonical_bool", 6),
    ("dict_first_of_two_faults", "B-6.3", "090002000161040200016" + "11202", "non_canonical_bool", 6),
]


def values():
    out = Cases("values.json", "Single values in canonical form, without a record around them: y_ are written and read as "
                "they stand, n_ are refused in canonical mode with the code, at the offset of the wrong item.")
    for name, clauses, value in VALUES:
        raw_value = encode_value(value)
        source = Input(raw_value)
        if read_value(source) != value or source.at != len(raw_value):
            raise ValueError(name)
        out.add("y_" + name, clauses, hex=raw_value, value=typed.value(value))
    for depth in (1, 63, MAX_NESTING):
        for kind, inner in (("array", b"\x18"), ("dict", b"\x19")):
            raw_value = nested(depth, inner, range(depth) if kind == "dict" else ())
            value = read_value(Input(raw_value))
            out.add("y_%s_nested_%d" % (kind, depth), "B-5.3", hex=raw_value, value=typed.value(value))
    for name, clauses, hexes, code, offset in BAD_VALUES:
        refused(out, "n_" + name, clauses, bytes.fromhex(hexes), code, offset, lambda r: read_value(Input(r)))
    for name, inner in (("empty_array", "18"), ("empty_dict", "19"), ("array", "0800010b"), ("dict", "09000100000b")):
        raw_value = nested(MAX_NESTING + 1, bytes.fromhex(inner))
        refused(out, "n_%s_nested_65" % name, "B-5.3", raw_value, "too_deep", 3 * MAX_NESTING,
                lambda r: read_value(Input(r)))
    raw_value = nested(MAX_NESTING + 1, b"\x08\x00\x00")
    refused(out, "n_empty_form_before_depth", "B-6.3", raw_value, "non_canonical_empty", 3 * MAX_NESTING,
            lambda r: read_value(Input(r)))
    return out


def refused(out, name, clauses, raw_bytes, code, offset, decode):
    try:
        decode(raw_bytes)
    except Refused as found:
        if (found.code, found.offset) != (code, offset):
            raise ValueError("%s: %s, not %s at %d" % (name, found, code, offset)) from None
    else:
        raise ValueError("%s is accepted" % name)
    out.add(name, clauses, hex=raw_bytes, code=code, offset=offset)


NOTE = {"id": ID, "title": "A note", "count": 3, "done": False, "tags": ["a", "b"], "due": Date.of(0.0)}
RECORDS = [
    ("empty", "B-1.1 B-1.2", {}),
    ("spec_priority", "B-1.4", {"priority": 1}),
    ("spec_three_fields", "B-1.4 B-4.1", {"value": 42, "timestamp": Date.of(0.0), "id": ID}),
    ("note", "B-1.4 B-4.1", NOTE),
    ("every_type", "B-3.1", {"a": None, "b": True, "c": 1, "d": -1, "e": Double.of(0.5), "f": Date.of(1.0), "g": ID,
                             "h": "", "i": "short", "j": "a string of more than 15 bytes", "k": b"\x01", "l": [],
                             "m": [1], "n": {}, "o": {"p": 1}, "q": Vector.of(1.0)}),
    ("all_common_fields", "B-2.1", {name: index for index, name in enumerate(COMMON)}),
    ("names_like_common_ones", "B-2.1", {"Id": 1, "ID": 2, "id ": 3, "created_at": 4, "statuses": 5}),
    ("common_name_in_a_dict", "B-2.3", {"metadata": {"id": 1, "title": "x"}}),
    ("empty_name", "B-1.4", {"": 1}),
    ("sorted_by_name_not_by_byte", "B-4.1", {"id": 1, "createdAt": 2, "age": 3, "zip": 4, "b": 5}),
    ("shorter_name_first", "B-4.1", {"ab": 1, "a": 2, "abc": 3, "": 4}),
    ("upper_case_first", "B-4.1", {"a": 1, "B": 2, "A": 3, "_": 4, "Z": 5}),
    ("f_before_e_acute", "B-4.1", {"e\u0301": 1, "f": 2}),
    ("e_acute_both_neighbours", "B-4.1", {"\u00e8": 1, "e\u0301": 2, "\u00ea": 3}),
    ("angstrom_before_ae", "B-4.1", {"\u00c6": 1, "\u212b": 2}),
    ("fullwidth_tilde_before_fire", "B-4.1", {"\U0001f525": 1, "\uff5e": 2}),
    ("spelling_is_kept", "B-4.2", {"cafe\u0301": 1, "\u212b": 2}),
    ("hangul_jamo", "B-4.1", {"\u1100\u1161": 1, "\uac01": 2, "\uac00b": 3}),
    ("marks_are_reordered", "B-4.1", {"a\u0315\u0300": 1, "\u00e0\u0316": 2}),
    ("composition_excluded", "B-4.1", {"\u0958": 1, "\u0915\u093d": 2}),
    ("ohm_is_omega", "B-4.1", {"\u2126": 1, "\u03a8": 2, "\u03ab": 3}),
    ("compatibility_stays", "B-4.1", {"\ufb01": 1, "fi": 2, "\u00b2": 3}),
    ("prefix_of_a_composed_key", "B-4.1", {"e\u0301": 1, "\u00e9a": 2}),
    ("dollar_names", "J-4.1", {"$int": 5, "$$": 1, "$": 2, "x$": 3}),
    ("a_dict_that_looks_like_an_int", "J-4.1", {"a": {"$int": "5"}}),
    ("name_of_65535_bytes", "B-5.2", {"n" * 65535: 1}),
    ("65535_items", "B-5.1", {"a": [True] * 65535}),
]


def records():
    out = Cases("records.json", "Whole records of both layouts in canonical form: y_ are written and read as they stand, "
                "n_ are refused in canonical mode with the code, at the offset of the wrong item.")
    for name, clauses, record in RECORDS:
        add_record(out, name, clauses, record, 1)
        add_record(out, name, clauses + " B-1.3", record, 2)
    for tag in range(1, 59):
        raw_record = raw((bytes([tag]), b"\x12\x01"))
        add_record(out, "common_field_%02x" % tag, "B-2.1", {COMMON[tag - 1]: 1}, 1, raw_record)
    for name, record in (("64_arrays", nested(64)), ("64_dicts", nested(64, b"\x19", range(63)))):
        add_record(out, name, "B-5.3", {"a": read_value(Input(record))}, 1, raw((far("a"), record)))
    filler = MAX_RECORD_BYTES - len(raw((far("a"), b"\x07\0\0\0\0")))
    add_record(out, "of_1_mib", "B-1.5 B-5.4", {"a": bytes(filler)}, 1)
    add_record(out, "of_1_mib", "B-1.5 B-5.4", {"a": bytes(filler - 4)}, 2)
    later_compositions(out)
    for name, clauses, raw_record, code, offset in bad_records(filler):
        refused(out, "n_" + name, clauses, raw_record, code, offset, decode_record)
    return out


def add_record(out, name, clauses, record, layout, expected=None, **members):
    raw_record = encode_record(record, layout)
    if decode_record(raw_record) != (record, layout) or expected not in (None, raw_record):
        raise ValueError(name)
    out.add("y_%s_v%d" % (name, layout), clauses, layout=layout, hex=raw_record, record=typed.entries(record), **members)


def later_compositions(out):
    """Orders that depend on a Unicode version later than 15: expected values are UnicodeData.txt's."""
    # U+11382 U+113C9 compose to U+11383 since 16.0.0, and so sort behind U+11382 U+113D0; before, they sorted first.
    record = {"\U00011382\U000113c9": 1, "\U00011382\U000113d0": 2}
    add_record(out, "composed_since_unicode_16", "B-4.3", record, 1, unicode="16.0.0")
    wrong = raw((far("\U00011382\U000113c9"), b"\x12\x01"), (far("\U00011382\U000113d0"), b"\x12\x02"))
    try:
        decode_record(wrong)
    except Refused as found:
        out.add("n_order_before_unicode_16", "B-4.3", hex=wrong, code=found.code, offset=found.offset, unicode="16.0.0")


def bad_records(filler):
    one = b"\x12\x01"
    priority = raw((b"\x09", one))
    second = with_checksum(raw((b"\x09", one), layout=2))
    wide = raw((far("a"), b"\x07" + struct.pack(">I", filler + 1) + bytes(filler + 1)))
    yield "too_large", "B-1.5 B-6.3", wide, "record_too_large", 0
    yield "too_large_before_its_magic", "B-6.3", bytes(MAX_RECORD_BYTES + 1), "record_too_large", 0
    yield "no_bytes", "B-6.3", b"", "truncated", 0
    for length in range(1, len(priority)):
        offset = 0 if length < 5 else 5 if length < 6 else 6 if length < 8 else 8 if length < 9 else 9
        yield "cut_at_%d" % length, "B-6.3 B-6.5", priority[:length], "truncated", offset
    yield "short_and_no_magic", "B-6.3", b"JUNK", "truncated", 0
    yield "magic_case", "B-1.1", b"blaze" + priority[5:], "bad_magic", 0
    yield "magic_last_byte", "B-1.1", b"BLAZF" + priority[5:], "bad_magic", 0
    for layout in (0, 3, 0x7f, 0xff):
        yield "layout_%02x" % layout, "B-1.2", priority[:5] + bytes([layout]) + priority[6:], "unsupported_layout", 5
    yield "v2_without_count", "B-6.5", b"BLAZE\x02\x00", "truncated", 6
    for length in range(8, 12):
        yield "v2_cut_at_%d" % length, "B-6.5", second[:length], "truncated", 8
    yield "v2_checksum_cut", "B-6.5", second[:-1], "checksum_mismatch", len(second) - 5
    yield "v2_checksum_one_bit", "B-1.3", second[:-1] + bytes([second[-1] ^ 1]), "checksum_mismatch", len(second) - 4
    yield "v2_field_changed", "B-1.3", second[:10] + b"\x02" + second[11:], "checksum_mismatch", len(second) - 4
    two = raw((b"\x09", one), (b"\x30", one))
    yield "v2_of_v1", "B-1.3", two[:5] + b"\x02" + two[6:], "checksum_mismatch", 10
    yield "v1_with_checksum", "B-6.3", second[:5] + b"\x01" + second[6:], "trailing_bytes", 11
    broken = raw((b"\x00", one), layout=2)
    yield "v2_checksum_before_fields", "B-6.2", broken + b"\0\0\0\0", "checksum_mismatch", len(broken)
    yield "v2_unknown_field", "B-2.2", with_checksum(broken), "unknown_field", 8
    yield "v2_trailing", "B-6.3", with_checksum(raw((b"\x09", one), layout=2) + b"\0"), "trailing_bytes", 11
    yield "v2_lacks_a_field", "B-6.5", with_checksum(raw((b"\x09", one), count=2, layout=2)), "truncated", 11
    yield "v2_value_reaches_into_checksum", "B-6.5", with_checksum(raw((b"\x09", b"\x03"), layout=2)), "truncated", 9
    for byte in (0x00, 0x3b, 0x3c, 0x40, 0x7f, 0x80, 0xc0, 0xfe):
        yield "unknown_field_%02x" % byte, "B-2.2", raw((bytes([byte]), one)), "unknown_field", 8
    yield "lacks_a_field", "B-6.5", raw((b"\x09", one), count=2), "truncated", 11
    yield "claims_65535_fields", "B-6.4", raw((b"\x09", one), count=65535), "truncated", 11
    yield "trailing_byte", "B-6.3", priority + b"\0", "trailing_bytes", 11
    yield "trailing_in_empty", "B-6.3", head(0) + b"\x09\x12\x01", "trailing_bytes", 8
    for name in ("id", "title", "isFavorite"):
        yield "common_name_written_out_%s" % name.lower(), "B-1.4", raw((far(name), one)), "non_canonical_key", 8
    yield "name_length_cut", "B-6.5", head(1) + b"\xff\x00", "truncated", 8
    yield "name_cut", "B-6.5", head(1) + b"\xff\x00\x03ab", "truncated", 8
    yield "name_claims_65535", "B-6.4", head(1) + b"\xff\xff\xffab", "truncated", 8
    yield "name_not_utf8", "B-3.2", raw((far(b"\xff"), one)), "invalid_utf8", 8
    yield "name_surrogate", "B-3.2", raw((far(b"\xed\xa0\x80"), one)), "invalid_utf8", 8
    yield "common_field_twice", "B-4.2", raw((b"\x09", one), (b"\x09", one)), "duplicate_key", 11
    yield "name_twice", "B-4.2", raw((far("a"), one), (far("a"), one)), "duplicate_key", 14
    yield "name_twice_composed_first", "B-4.2", raw((far("\u00e9"), one), (far("e\u0301"), one)), "duplicate_key", 15
    yield "name_twice_decomposed_first", "B-4.2", raw((far("e\u0301"), one), (far("\u00e9"), one)), "duplicate_key", 16
    yield "angstrom_twice", "B-4.2", raw((far("\u212b"), one), (far("\u00c5"), one)), "duplicate_key", 16
    yield "order_by_byte", "B-4.1", raw((b"\x01", one), (b"\x02", one)), "keys_out_of_order", 11
    yield "order_of_raw_bytes", "B-4.1", raw((far("e\u0301"), one), (far("f"), one)), "keys_out_of_order", 16
    yield "order_of_utf16", "B-4.1", raw((far("\U0001f525"), one), (far("\uff5e"), one)), "keys_out_of_order", 17
    yield "order_of_lengths", "B-4.1", raw((far("b"), one), (far("aa"), one)), "keys_out_of_order", 14
    yield "duplicate_before_its_value", "B-6.3", raw((far("a"), one), (far("a"), b"\x00")), "duplicate_key", 14
    yield "written_out_before_order", "B-6.3", raw((far("z"), one), (far("id"), one)), "non_canonical_key", 14
    yield "bad_tag", "B-3.1", raw((b"\x09", b"\x00")), "unknown_tag", 9
    yield "bad_tag_deep", "B-6.5", raw((far("a"), b"\x08\x00\x01\x09\x00\x01" + near("b") + b"\x99")), "unknown_tag", 21
    yield "value_not_canonical", "B-6.3", raw((b"\x09", b"\x02" + bytes(7) + b"\x01")), "non_canonical_int", 9
    yield "65_arrays", "B-5.3", raw((far("a"), nested(65))), "too_deep", 12 + 3 * 64
    yield "65_dicts", "B-5.3", raw((far("a"), nested(65, b"\x19", range(64)))), "too_deep", 12 + 6 * 64
    yield "200_arrays", "B-5.3 B-6.4", raw((far("a"), nested(200))), "too_deep", 12 + 3 * 64
    yield "nothing_but_open_arrays", "B-5.3 B-6.4", raw((far("a"), b"\x08\x00\x01" * 5000)), "too_deep", 12 + 3 * 64
    yield "common_key_then_short_name", "B-4.1", raw((top_key("name"), one), (far("n"), one)), "keys_out_of_order", 11

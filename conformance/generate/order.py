"""order.json: the total order of values and its keys, written from spec/order.md alone."""

import struct
import uuid

from blazebinary import Date, Double, Vector, encode_value, nfc, sorted_items
from cases import Cases
from records import ID, ONES, ZEROS
import typed

SIGN = 1 << 63


def sortable(bits):
    """O-2.3."""
    if bits == SIGN:
        bits = 0
    if bits & ~SIGN > 0x7ff0000000000000:
        bits = 0x7ff8000000000000
    return bits ^ (SIGN if bits < SIGN else 2 ** 64 - 1)


def place(number):
    """O-2.2: the greatest double not above an int, and the rest."""
    below = Double.of(float(number))
    if int(below.number()) > number:
        # The next double downwards: towards zero for a positive one, away from it for a negative one.
        below = Double(below.bits - 1 if below.bits < SIGN else below.bits + 1)
    return struct.pack(">QH", sortable(below.bits), number - int(below.number()))


def text(raw):
    """O-2.4."""
    return raw.replace(b"\0", b"\0\xff") + b"\0\x01"


def key(value):
    """O-2.1."""
    if value is None:
        return b"\x0a"
    if isinstance(value, bool):
        return b"\x01" + bytes([value])
    if isinstance(value, int):
        return b"\x02" + place(value)
    if isinstance(value, Date):
        return b"\x03" + struct.pack(">Q", sortable(value.bits))
    if isinstance(value, Double):
        return b"\x02" + struct.pack(">QH", sortable(value.bits), 0)
    if isinstance(value, uuid.UUID):
        return b"\x04" + value.bytes
    if isinstance(value, str):
        return b"\x05" + text(value.encode("utf-8"))
    if isinstance(value, bytes):
        return b"\x06" + text(value)
    if isinstance(value, list):
        return b"\x07" + b"".join(key(item) for item in value) + b"\0"
    if isinstance(value, Vector):
        items = (b"\x01" + struct.pack(">I", sortable(upper << 32) >> 32) for upper in value.uppers)
        return b"\x09" + b"".join(items) + b"\0"
    entries = (b"\x01" + text(nfc(name).encode("utf-8")) + key(item) for name, item in sorted_items(value))
    return b"\x08" + b"".join(entries) + b"\0"


class Equal(list):
    """Values that compare equal."""


def d(number):
    return Double.of(number)


NAN, INFINITY = Double(0x7ff8000000000000), Double(0x7ff0000000000000)
MINUS_INFINITY = Double(0xfff0000000000000)
EVERY_NAN = Equal([NAN, Double(0xfff8000000000000), Double(0x7ff0000000000001), Double(0x7ffc0123456789ab),
                   Double(0xffffffffffffffff)])


CHAINS = [
    ("types", "O-1.1", [False, True, MINUS_INFINITY, -1, Equal([0, d(0.0), d(-0.0)]), Equal([5, d(5.0)]), INFINITY, EVERY_NAN,
                        Date(0xfff0000000000000), Date.of(0.0), Date(0x7ff8000000000000), ZEROS, ONES, "", "z", b"", b"\xff",
                        [], [None], {}, {"a": 1}, Vector([]), Vector.of(1.0), None]),
    ("bools", "O-1.3", [False, True]),
    ("small_ints", "O-1.4", [-257, -256, -255, -2, -1, 0, 1, 2, 127, 128, 255, 256, 65535, 65536]),
    ("ints_and_doubles", "O-1.4", [-2, d(-1.5), Equal([-1, d(-1.0)]), d(-0.5), Double(SIGN | 1), Equal([0, d(0.0), d(-0.0)]),
                                   Double(1), d(0.5), Equal([1, d(1.0)]), d(1.5), 2, d(2.5), Equal([3, d(3.0)])]),
    ("extremes", "O-1.4", [MINUS_INFINITY, Double(0xffefffffffffffff), d(-1e300), d(-9.3e18),
                           Equal([-2 ** 63, d(-2.0 ** 63)]), -2 ** 63 + 1, 2 ** 63 - 1, d(2.0 ** 63), d(1e300),
                           Double(0x7fefffffffffffff), INFINITY, EVERY_NAN]),
    ("around_2_53", "O-1.4", [2 ** 53 - 2, Equal([2 ** 53 - 1, d(2.0 ** 53 - 1)]), Equal([2 ** 53, d(2.0 ** 53)]), 2 ** 53 + 1,
                              Equal([2 ** 53 + 2, d(2.0 ** 53 + 2)]), 2 ** 53 + 3, Equal([2 ** 53 + 4, d(2.0 ** 53 + 4)])]),
    ("around_minus_2_53", "O-1.4", [Equal([-2 ** 53 - 4, d(-2.0 ** 53 - 4)]), -2 ** 53 - 3,
                                    Equal([-2 ** 53 - 2, d(-2.0 ** 53 - 2)]), -2 ** 53 - 1, Equal([-2 ** 53, d(-2.0 ** 53)]),
                                    Equal([-2 ** 53 + 1, d(-2.0 ** 53 + 1)])]),
    ("around_2_62", "O-1.4 O-2.2", [Equal([2 ** 62 - 512, d(2.0 ** 62 - 512)]), 2 ** 62 - 511, 2 ** 62 - 1,
                                    Equal([2 ** 62, d(2.0 ** 62)]), 2 ** 62 + 1, 2 ** 62 + 1023,
                                    Equal([2 ** 62 + 1024, d(2.0 ** 62 + 1024)]), 2 ** 62 + 1025]),
    ("around_minus_2_62", "O-1.4 O-2.2", [-2 ** 62 - 1025, Equal([-2 ** 62 - 1024, d(-2.0 ** 62 - 1024)]), -2 ** 62 - 1023,
                                          -2 ** 62 - 1, Equal([-2 ** 62, d(-2.0 ** 62)]), -2 ** 62 + 1, -2 ** 62 + 511,
                                          Equal([-2 ** 62 + 512, d(-2.0 ** 62 + 512)])]),
    ("most", "O-2.2", [Equal([2 ** 63 - 2048, d(2.0 ** 63 - 2048)]), Equal([2 ** 63 - 1024, d(2.0 ** 63 - 1024)]),
                       2 ** 63 - 1023, 2 ** 63 - 2, 2 ** 63 - 1, d(2.0 ** 63)]),
    ("least", "O-2.2", [d(-2.0 ** 63 - 2048), Equal([-2 ** 63, d(-2.0 ** 63)]), -2 ** 63 + 1, -2 ** 63 + 1023,
                        Equal([-2 ** 63 + 1024, d(-2.0 ** 63 + 1024)]), -2 ** 63 + 1025]),
    ("subnormals", "O-2.3", [Double(SIGN | 0x10000000000000), Double(SIGN | 0xfffffffffffff), Double(SIGN | 2), Double(SIGN | 1),
                             Equal([d(0.0), d(-0.0), 0]), Double(1), Double(2), Double(0xfffffffffffff),
                             Double(0x10000000000000)]),
    ("nans", "O-1.4 O-1.11", [INFINITY, EVERY_NAN]),
    ("dates", "O-1.5", [Date(0xfff0000000000000), Date.of(-978307200.0), Date.of(-1.0), Equal([Date.of(0.0), Date.of(-0.0)]),
                        Date.of(0.1), Date.of(1e9), Date(0x7ff0000000000000),
                        Equal([Date(0x7ff8000000000000), Date(0xfff8000000000001)])]),
    ("uuids", "O-1.6", [ZEROS, uuid.UUID(int=1), uuid.UUID(int=2 ** 64), ID, uuid.UUID(int=2 ** 127), ONES]),
    ("strings", "O-1.7", ["", "\0", "\0\0", "\0\x01", "\0a", "\x01", "A", "Z", "a", "a\0", "a\0b", "a\x01", "aa", "ab", "b",
                          "\x7f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"]),
    ("strings_not_normalised", "O-1.7", ["e", "e\u0301", "f", "\u00c5", "\u00e9", "\u212b"]),
    ("strings_at_the_short_form", "O-1.7", ["fifteen bytes..", "fifteen bytes...", "fifteen bytes../"]),
    ("data", "O-1.7", [b"", b"\0", b"\0\0", b"\0\x01", b"\0\xff", b"\x01", b"a", b"a\0", b"a\0\xff", b"a\x01", b"\xff", b"\xff\0",
                       b"\xff\xff"]),
    ("arrays", "O-1.8", [[], [False], [True], [True, False], [0], [0, 0], [0, 1], [1], [1, None], ["a"], [[]], [[], []],
                         [[0]], [{}], [None], [None, None]]),
    ("arrays_end_before_more", "O-1.8 O-2.5", [["a"], ["a", ""], ["a", "", ""], ["a", "b"], ["a\0"], ["ab"]]),
    ("arrays_of_equals", "O-1.11", [[1], Equal([[2, d(0.0)], [d(2.0), 0], [2, d(-0.0)]]), [2, 1]]),
    ("dicts", "O-1.9", [{}, {"": False}, {"": None}, {"a": False}, {"a": 0}, {"a": 0, "b": 0}, {"a": 0, "c": False}, {"a": 1},
                        {"a": None}, {"aa": False}, {"b": False}, {"\u00e9": 1}]),
    ("dicts_by_key_then_value", "O-1.9", [{"a": 1, "z": 9}, {"a": 2}, {"a": 2, "b": 0}, {"b": 0}, {"b": 0, "c": 0}]),
    ("dicts_of_equivalent_keys", "O-1.9 O-1.11", [{"e": 1}, {"f": 0}, Equal([{"\u00e9": False}, {"e\u0301": False}]),
                                                  Equal([{"\u00e9": 5}, {"e\u0301": d(5.0)}])]),
    ("dicts_with_nul_keys", "O-2.4", [{"": 1}, {"\0": 1}, {"\0\0": 1}, {"\0a": 1}, {"a": 1}, {"a\0": 1}, {"a\x01": 1}]),
    ("dicts_with_common_names", "O-1.9", [{"createdAt": 1}, {"id": 1}, {"idx": 0}, {"title": 0}]),
    ("vectors", "O-1.10", [Vector([]), Vector([0xfff00000]), Vector.of(-1.0), Vector.of(-1.0, 0.0),
                           Equal([Vector.of(0.0), Vector.of(-0.0)]), Vector.of(0.0, -1.0), Vector([0x00000001]),
                           Vector.of(1.0), Vector.of(1.0, 1.0), Vector.of(2.0), Vector([0x7ff00000]),
                           Equal([Vector([0x7ff80000]), Vector([0xfff80000]), Vector([0x7fffffff])])]),
    ("deep", "O-1.8 O-1.9", [[[[[1]]]], [[[[1, 0]]]], [[[[2]]]], [[{"a": [1]}]], [[{"a": [1], "b": 0}]], [[{"a": [2]}]]]),
    ("spec_examples", "O-2.1", [True, d(-2.0), Equal([5, d(5.0)]), 2 ** 53 + 1, 2 ** 63 - 1, NAN, Date.of(0.0), "a\0b", b"",
                                [True, None], Equal([{"\u00e9": False}, {"e\u0301": False}]), Vector.of(1.0, -2.0), None]),
]


def pairs_of_joined_keys():
    """O-2.5: keys joined order by the first value, then by the second."""
    parts = ["", "a", "a\0", [], [""], ["", ""], {}, 0, None]
    for first in parts:
        for second in parts:
            yield [first, second]


def order():
    out = Cases("order.json", "The total order: groups of values that compare equal, each group less than the next, with its key.")
    for name, clauses, chain in CHAINS:
        groups = [entry if isinstance(entry, Equal) else Equal([entry]) for entry in chain]
        add(out, name, clauses, groups)
    for exponent in range(54, 63):
        step = 2 ** (exponent - 52)
        number = 2 ** exponent
        below = number - step // 2
        groups = [Equal([below, d(float(below))]), number - 1, Equal([number, d(float(number))]), number + 1,
                  number + step - 1, Equal([number + step, d(float(number + step))])]
        groups = [entry if isinstance(entry, Equal) else Equal([entry]) for entry in groups]
        minus = [Equal([-v if isinstance(v, int) else Double(v.bits ^ SIGN) for v in group]) for group in reversed(groups)]
        if step // 2 > 1:
            add(out, "doubles_around_2_%d" % exponent, "O-1.4 O-2.2", groups)
            add(out, "doubles_around_minus_2_%d" % exponent, "O-1.4 O-2.2", minus)
    joined = sorted(pairs_of_joined_keys(), key=lambda pair: key(pair[0]) + key(pair[1]))
    add(out, "joined", "O-2.5", [Equal([pair]) for pair in joined])
    return out


def add(out, name, clauses, groups):
    told, before = [], b""
    for group in groups:
        (group_key,) = {key(value) for value in group}
        if group_key <= before:
            raise ValueError("%s: %r does not sort behind what stands before it" % (name, group))
        before = group_key
        told.append({"key": group_key.hex(),
                     "equal": [{"hex": encode_value(value).hex(), "value": typed.value(value)} for value in group]})
    out.add("y_" + name, clauses, ascending=told)

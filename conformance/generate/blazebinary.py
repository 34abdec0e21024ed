"""BlazeBinary, written from spec/blazebinary.md alone: values, the encoder, the canonical and the lenient decoder.

Values in Python: None, bool, int, Double, Date, uuid.UUID, str, bytes, list, dict (keys as spelled), Vector.
"""

import struct
import unicodedata
import uuid
import zlib

MAX_RECORD_BYTES = 1048576
MAX_ENTRIES = 65535
MAX_KEY_BYTES = 65535
MAX_NESTING = 64
LENIENT_MAX_TEXT = 100000000
LENIENT_MAX_ITEMS = 1000000

MAGIC = b"BLAZE"

COMMON = """id createdAt updatedAt userId teamId title description status priority assignedTo tags completedAt dueDate
startDate category name email password username firstName lastName age phone address city state zip country
organizationId projectId taskId bugId issueId commentId attachmentId versionId parentId childIds metadata config
settings preferences type kind label value count total sum average min max isActive isDeleted isPublic isPrivate
isArchived isFavorite""".split()
BYTE_OF = {name: index + 1 for index, name in enumerate(COMMON)}

# Pairs of characters that compose since a Unicode version later than Python 3.9 knows (UnicodeData.txt, 16.0.0).
LATER_COMPOSITIONS = {"\U00011382\U000113c9": "\U00011383"}


class Double:
    """A double by its bits, so that every NaN and both zeros are told apart."""

    def __init__(self, bits):
        self.bits = bits

    def __eq__(self, other):
        return type(other) is type(self) and other.bits == self.bits

    def __hash__(self):
        return hash((type(self).__name__, self.bits))

    def __repr__(self):
        return "%s(0x%016x)" % (type(self).__name__, self.bits)

    @classmethod
    def of(cls, number):
        return cls(struct.unpack(">Q", struct.pack(">d", number))[0])

    def number(self):
        return struct.unpack(">d", struct.pack(">Q", self.bits))[0]


class Date(Double):
    """A date: the bits of its seconds since 2001-01-01T00:00:00Z."""


class Vector:
    """A vector: the upper 32 bits of each item."""

    def __init__(self, uppers):
        self.uppers = list(uppers)

    def __eq__(self, other):
        return isinstance(other, Vector) and other.uppers == self.uppers

    def __repr__(self):
        return "Vector(%s)" % ", ".join("0x%08x" % upper for upper in self.uppers)

    @classmethod
    def of(cls, *numbers):
        return cls([Double.of(number).bits >> 32 for number in numbers])


class Refused(Exception):
    """What a decoder refuses: a code of B-6.3 and the offset at which the wrong item begins."""

    def __init__(self, code, offset):
        super().__init__("%s at %s" % (code, offset))
        self.code = code
        self.offset = offset


def nfc(text):
    """NFC by B-4.3, for texts whose normalisation every Python from 3.9 on knows."""
    for pair, composed in LATER_COMPOSITIONS.items():
        text = text.replace(pair, composed)
    return unicodedata.normalize("NFC", text)


def sort_key(key):
    return nfc(key).encode("utf-8")


def sorted_items(entries):
    items = sorted(entries.items(), key=lambda item: sort_key(item[0]))
    for (before, _), (after, _) in zip(items, items[1:]):
        if sort_key(before) == sort_key(after):
            raise ValueError("one key in two spellings: %r and %r" % (before, after))
    return items


# The encoder (sections 1 to 5).


def long_key(name):
    raw = name.encode("utf-8")
    if len(raw) > MAX_KEY_BYTES:
        raise ValueError("a key of %d bytes" % len(raw))
    return struct.pack(">H", len(raw)) + raw


def top_key(name):
    if name in BYTE_OF:
        return bytes([BYTE_OF[name]])
    return b"\xff" + long_key(name)


def encode_value(value, depth=0):
    if value is None:
        return b"\x0b"
    if value is True or value is False:
        return b"\x04" + (b"\x01" if value else b"\x00")
    if isinstance(value, int):
        return bytes([0x12, value]) if 0 <= value <= 255 else b"\x02" + struct.pack(">q", value)
    if isinstance(value, Date):
        return b"\x06" + struct.pack(">Q", value.bits)
    if isinstance(value, Double):
        return b"\x03" + struct.pack(">Q", value.bits)
    if isinstance(value, uuid.UUID):
        return b"\x05" + value.bytes
    if isinstance(value, str):
        raw = value.encode("utf-8")
        if len(raw) == 0:
            return b"\x11"
        return bytes([0x20 + len(raw)]) + raw if len(raw) < 16 else b"\x01" + struct.pack(">I", len(raw)) + raw
    if isinstance(value, bytes):
        return b"\x07" + struct.pack(">I", len(value)) + value
    if isinstance(value, Vector):
        return b"\x0a" + struct.pack(">I", len(value.uppers)) + b"".join(struct.pack(">I", u) for u in value.uppers)
    if depth >= MAX_NESTING:
        raise ValueError("more than %d containers inside one another" % MAX_NESTING)
    if len(value) > MAX_ENTRIES:
        raise ValueError("%d entries" % len(value))
    if isinstance(value, list):
        if not value:
            return b"\x18"
        return b"\x08" + struct.pack(">H", len(value)) + b"".join(encode_value(item, depth + 1) for item in value)
    if isinstance(value, dict):
        if not value:
            return b"\x19"
        items = sorted_items(value)
        parts = [long_key(key) + encode_value(item, depth + 1) for key, item in items]
        return b"\x09" + struct.pack(">H", len(items)) + b"".join(parts)
    raise TypeError(type(value))


def encode_record(record, layout=1):
    items = sorted_items(record)
    if len(items) > MAX_ENTRIES:
        raise ValueError("%d fields" % len(items))
    out = MAGIC + bytes([layout]) + struct.pack(">H", len(items))
    out += b"".join(top_key(key) + encode_value(value) for key, value in items)
    return with_checksum(out) if layout == 2 else out


def with_checksum(raw):
    return raw + struct.pack(">I", zlib.crc32(raw))


# The decoders (sections 6 and 7). One reader serves both modes: `lenient` switches off what B-7.1 names.


class Input:
    def __init__(self, raw, at=0, end=None, lenient=False):
        self.raw = raw
        self.at = at
        self.end = len(raw) if end is None else end
        self.lenient = lenient

    def take(self, count, item):
        """The next bytes, which belong to the item that began at `item`."""
        if self.end - self.at < count:
            raise Refused("truncated", item)
        self.at += count
        return self.raw[self.at - count:self.at]

    def number(self, count, item):
        return int.from_bytes(self.take(count, item), "big")

    def refuse_form(self, code, item):
        """Refuses what is readable but not canonical."""
        if not self.lenient:
            raise Refused(code, item)


def text(raw, item):
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("invalid_utf8", item) from None


def read_long(source, item):
    length = source.number(4, item)
    if source.lenient and length > LENIENT_MAX_TEXT:
        raise Refused("text_too_long", item)
    return source.take(length, item)


def read_string(source, tag, item):
    if tag == 0x11:
        return ""
    raw = read_long(source, item) if tag == 0x01 else source.take(tag & 0x0f, item)
    value = text(raw, item)
    if tag == 0x20 or (tag == 0x01 and len(raw) < 16):
        source.refuse_form("non_canonical_string", item)
    return value


def read_vector(source, item):
    count = source.number(4, item)
    if source.lenient and count > LENIENT_MAX_ITEMS:
        raise Refused("vector_too_long", item)
    raw = source.take(4 * count, item)
    return Vector(struct.unpack(">%dI" % count, raw))


def read_value(source, depth=0):
    """The next value; `depth` is how many containers stand around it."""
    item = source.at
    tag = source.number(1, item)
    if tag == 0x02:
        value = struct.unpack(">q", source.take(8, item))[0]
        if 0 <= value <= 255:
            source.refuse_form("non_canonical_int", item)
        return value
    if tag == 0x12:
        return source.number(1, item)
    if tag in (0x03, 0x06):
        return (Double if tag == 0x03 else Date)(source.number(8, item))
    if tag == 0x04:
        byte = source.number(1, item)
        if byte > 1:
            source.refuse_form("non_canonical_bool", item)
        return byte != 0
    if tag == 0x05:
        return uuid.UUID(bytes=bytes(source.take(16, item)))
    if tag == 0x07:
        return bytes(read_long(source, item))
    if tag == 0x0a:
        return read_vector(source, item)
    if tag == 0x0b:
        return None
    if tag in (0x01, 0x11) or 0x20 <= tag <= 0x2f:
        return read_string(source, tag, item)
    if tag in (0x08, 0x09, 0x18, 0x19):
        return read_container(source, tag, item, depth)
    raise Refused("unknown_tag", item)


def read_container(source, tag, item, depth):
    count = source.number(2, item) if tag in (0x08, 0x09) else 0
    if count == 0 and tag in (0x08, 0x09):
        source.refuse_form("non_canonical_empty", item)
    if depth >= MAX_NESTING:
        raise Refused("too_deep", item)
    if tag in (0x08, 0x18):
        return [read_value(source, depth + 1) for _ in range(count)]
    return read_entries(source, count, nested_key, depth + 1)


def nested_key(source, item):
    return text(source.take(source.number(2, item), item), item)


def field_key(source, item):
    byte = source.number(1, item)
    if 1 <= byte <= len(COMMON):
        return COMMON[byte - 1]
    if byte != 0xff:
        raise Refused("unknown_field", item)
    name = nested_key(source, item)
    if name in BYTE_OF:
        source.refuse_form("non_canonical_key", item)
    return name


def read_entries(source, count, read_key, depth):
    entries, spelling, before = {}, {}, None
    for _ in range(count):
        item = source.at
        key = read_key(source, item)
        order = sort_key(key)
        if before is not None and order == before:
            source.refuse_form("duplicate_key", item)
        if before is not None and order < before:
            source.refuse_form("keys_out_of_order", item)
        before = order
        entries[spelling.setdefault(order, key)] = read_value(source, depth)
    return entries


def decode_record(raw, lenient=False):
    """The record in `raw` and its layout, or Refused."""
    if not lenient and len(raw) > MAX_RECORD_BYTES:
        raise Refused("record_too_large", 0)
    source = Input(raw, lenient=lenient)
    if source.take(5, 0) != MAGIC:
        raise Refused("bad_magic", 0)
    layout = source.number(1, 5)
    if layout not in (1, 2):
        raise Refused("unsupported_layout", 5)
    count = source.number(2, 6)
    if layout == 2:
        source.end = len(raw) - 4
        if source.end < 8:
            raise Refused("truncated", 8)
        if zlib.crc32(raw[:source.end]) != int.from_bytes(raw[source.end:], "big"):
            raise Refused("checksum_mismatch", source.end)
    record = read_entries(source, count, field_key, 0)
    if source.at < source.end:
        source.refuse_form("trailing_bytes", source.at)
    return record, layout

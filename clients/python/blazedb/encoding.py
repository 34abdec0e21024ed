"""BlazeBinary (spec/blazebinary.md): records and values to bytes and back, canonical in both directions.

Types map one to one, so that a value read is the value written, bit for bit:

    None  null        float  double         uuid.UUID  uuid     list, tuple   array (read as list)
    bool  bool        str    string         Date       date     dict, Record  dict
    int   int         bytes  data           Vector     vector
"""

from __future__ import annotations

import datetime
import struct
import uuid
import zlib
from typing import Any, Callable, Dict, List, Mapping, Tuple

from ._nfc import nfc
from .errors import InputError, Malformed
from .values import Date, Record, Vector

MAGIC = b"BLAZE"
# Spec B-5: these bound a decoder's recursion and memory.
MAX_RECORD = 1_048_576
MAX_ENTRIES = 65_535
MAX_KEY = 65_535
MAX_DEPTH = 64

# Spec B-2.1, in the order of their bytes, from 01.
COMMON_FIELDS = (
    "id createdAt updatedAt userId teamId title description status priority assignedTo tags completedAt dueDate "
    "startDate category name email password username firstName lastName age phone address city state zip country "
    "organizationId projectId taskId bugId issueId commentId attachmentId versionId parentId childIds metadata config "
    "settings preferences type kind label value count total sum average min max isActive isDeleted isPublic isPrivate "
    "isArchived isFavorite"
).split()
_FIELD_BYTES = {name: bytes([index + 1]) for index, name in enumerate(COMMON_FIELDS)}

_F64 = struct.Struct(">d")
_TAGGED_F64 = struct.Struct(">Bd")
_TAGGED_I64 = struct.Struct(">Bq")
_TAGGED_U16 = struct.Struct(">BH")
_TAGGED_U32 = struct.Struct(">BI")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_I64 = struct.Struct(">q")
_HEADER = struct.Struct(">5sBH")

_SMALL_INTS = tuple(bytes([0x12, value]) for value in range(256))
_SHORT_TAGS = tuple(bytes([0x20 + length]) for length in range(16))


# ---- encoding ----


def encode(record: Mapping[str, Any], layout: int = 1) -> bytes:
    """A record's canonical bytes."""
    if layout not in (1, 2):
        raise InputError("the layouts of records are 1 and 2")
    out: List[bytes] = [b""]
    keys = _ordered(record)
    for key, prefix in keys:
        out.append(prefix)
        value = record[key]
        writer = _WRITERS.get(type(value))
        if writer is None:
            _write_other(value, out, 0)
        else:
            writer(value, out, 0)
    out[0] = _HEADER.pack(MAGIC, layout, len(keys))
    data = b"".join(out)
    if layout == 2:
        data += _U32.pack(zlib.crc32(data))
    if len(data) > MAX_RECORD:
        raise InputError(f"a record has at most {MAX_RECORD} bytes, this one has {len(data)}")
    return data


def encode_value(value: Any) -> bytes:
    """The canonical bytes of one value, its tag included."""
    out: List[bytes] = []
    _write(value, out, 0)
    return b"".join(out)


# The order of the keys of records with the same fields, which come again and again. Bounded, and emptied when full.
_SHAPES: Dict[Tuple[str, ...], Tuple[Tuple[str, bytes], ...]] = {}
_MAX_SHAPES = 256
_MAX_SHAPE_KEYS = 64
_MAX_SHAPE_KEY_LENGTH = 64


def _ordered(record: Mapping[str, Any]) -> Tuple[Tuple[str, bytes], ...]:
    """The record's keys as given, in canonical order, each with the bytes that stand for it."""
    names = tuple(record)
    shape = _SHAPES.get(names)
    if shape is None:
        shape = tuple((key, _FIELD_BYTES.get(key) or b"\xff" + raw) for key, raw in sorted_keys(names))
        if len(names) <= _MAX_SHAPE_KEYS and all(len(name) <= _MAX_SHAPE_KEY_LENGTH for name in names):
            if len(_SHAPES) >= _MAX_SHAPES:
                _SHAPES.clear()
            _SHAPES[names] = shape
    return shape


def sorted_keys(names: Tuple[str, ...]) -> List[Tuple[str, bytes]]:
    """Keys in the order of their NFC forms (spec B-4.1), each with its length and UTF-8. Scalars sort as their UTF-8."""
    if len(names) > MAX_ENTRIES:
        raise InputError(f"a record or dict has at most {MAX_ENTRIES} entries, this one has {len(names)}")
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"keys are strings, not {type(name).__name__}")
    forms = sorted((nfc(name), name) for name in names)
    for (form, name), (following, _) in zip(forms, forms[1:]):
        if form == following:
            raise InputError(f"two spellings of the key {name!r} are one key")
    return [(name, _key(name)) for _, name in forms]


def _key(name: str) -> bytes:
    raw = _utf8(name)
    if len(raw) > MAX_KEY:
        raise InputError(f"a key has at most {MAX_KEY} bytes of UTF-8, this one has {len(raw)}")
    return _U16.pack(len(raw)) + raw


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError("half of a surrogate pair is no text") from error


def _write(value: Any, out: List[bytes], depth: int) -> None:
    writer = _WRITERS.get(type(value))
    if writer is None:
        _write_other(value, out, depth)
    else:
        writer(value, out, depth)


def _write_str(value: str, out: List[bytes], depth: int) -> None:
    raw = _utf8(value)
    length = len(raw)
    if length > 15:
        out.append(_TAGGED_U32.pack(0x01, length))
    elif length:
        out.append(_SHORT_TAGS[length])
    else:
        out.append(b"\x11")
        return
    out.append(raw)


def _write_int(value: int, out: List[bytes], depth: int) -> None:
    if 0 <= value <= 255:
        out.append(_SMALL_INTS[value])
        return
    try:
        out.append(_TAGGED_I64.pack(0x02, value))
    except struct.error as error:
        raise InputError("an int has 64 bits: it lies in -2**63 to 2**63 - 1") from error


def _write_float(value: float, out: List[bytes], depth: int) -> None:
    out.append(_TAGGED_F64.pack(0x03, value))


def _write_bool(value: bool, out: List[bytes], depth: int) -> None:
    out.append(b"\x04\x01" if value else b"\x04\x00")


def _write_uuid(value: uuid.UUID, out: List[bytes], depth: int) -> None:
    out.append(b"\x05" + value.bytes)


def _write_date(value: Date, out: List[bytes], depth: int) -> None:
    out.append(_TAGGED_F64.pack(0x06, value.seconds))


def _write_data(value: bytes, out: List[bytes], depth: int) -> None:
    raw = bytes(value)
    out.append(_TAGGED_U32.pack(0x07, _bounded(len(raw))))
    out.append(raw)


def _write_list(value: Any, out: List[bytes], depth: int) -> None:
    depth = _deeper(depth)
    if not value:
        out.append(b"\x18")
        return
    if len(value) > MAX_ENTRIES:
        raise InputError(f"an array has at most {MAX_ENTRIES} items, this one has {len(value)}")
    out.append(_TAGGED_U16.pack(0x08, len(value)))
    for item in value:
        _write(item, out, depth)


def _write_dict(value: Mapping[str, Any], out: List[bytes], depth: int) -> None:
    depth = _deeper(depth)
    if not value:
        out.append(b"\x19")
        return
    keys = sorted_keys(tuple(value))
    out.append(_TAGGED_U16.pack(0x09, len(keys)))
    for key, raw in keys:
        out.append(raw)
        _write(value[key], out, depth)


def _write_vector(value: Vector, out: List[bytes], depth: int) -> None:
    out.append(_TAGGED_U32.pack(0x0A, _bounded(len(value))))
    out.append(value.raw)


def _write_null(value: None, out: List[bytes], depth: int) -> None:
    out.append(b"\x0b")


_WRITERS: Dict[type, Callable[[Any, List[bytes], int], None]] = {
    str: _write_str,
    int: _write_int,
    float: _write_float,
    bool: _write_bool,
    uuid.UUID: _write_uuid,
    Date: _write_date,
    bytes: _write_data,
    bytearray: _write_data,
    memoryview: _write_data,
    list: _write_list,
    tuple: _write_list,
    dict: _write_dict,
    Record: _write_dict,
    Vector: _write_vector,
    type(None): _write_null,
}


def _write_other(value: Any, out: List[bytes], depth: int) -> None:
    """Subclasses of the types above; anything else is refused rather than guessed."""
    for kind, writer in _WRITERS.items():
        if isinstance(value, kind):
            writer(value, out, depth)
            return
    if isinstance(value, Mapping):
        _write_dict(value, out, depth)
        return
    if isinstance(value, (datetime.datetime, datetime.date)):
        raise InputError("a datetime is not kept exactly: say Date.of(moment)")
    raise InputError(f"BlazeBinary has no type for {type(value).__name__}")


def _deeper(depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise InputError(f"containers lie at most {MAX_DEPTH} inside one another")
    return depth + 1


def _bounded(length: int) -> int:
    # No record can hold more, and a u32 must.
    if length > MAX_RECORD:
        raise InputError(f"a record has at most {MAX_RECORD} bytes, this value alone is larger")
    return length


# ---- decoding ----


def decode(data: bytes) -> Record:
    """A record from its canonical bytes, of either layout; Malformed says what is wrong with others (spec B-6)."""
    size = len(data)
    if size > MAX_RECORD:
        raise Malformed("record_too_large", 0)
    end = _check_header(data, size)
    count = _U16.unpack_from(data, 6)[0]
    fields = Record()
    at = 8
    last = ""
    for index in range(count):
        start = at
        if at >= end:
            raise Malformed("truncated", start)
        byte = data[at]
        if byte == 0xFF:
            key, at = _read_key(data, at + 1, end, start)
            if key in _FIELD_BYTES:
                raise Malformed("non_canonical_key", start)
            form = key if key.isascii() else nfc(key)
        elif 0 < byte <= len(COMMON_FIELDS):
            key = form = COMMON_FIELDS[byte - 1]
            at += 1
        else:
            raise Malformed("unknown_field", start)
        if index and form <= last:
            raise Malformed("duplicate_key" if form == last else "keys_out_of_order", start)
        last = form
        fields[key], at = _read_value(data, at, end, 0)
    if at != end:
        raise Malformed("trailing_bytes", at)
    return fields


def decode_value(data: bytes, at: int = 0, end: int = -1) -> Tuple[Any, int]:
    """One canonical value from an offset on, and the offset behind it."""
    return _read_value(data, at, len(data) if end < 0 else end, 0)


def _check_header(data: bytes, size: int) -> int:
    """The end of the fields."""
    if size < 5:
        raise Malformed("truncated", 0)
    if data[:5] != MAGIC:
        raise Malformed("bad_magic", 0)
    if size < 6:
        raise Malformed("truncated", 5)
    if data[5] not in (1, 2):
        raise Malformed("unsupported_layout", 5)
    if size < 8:
        raise Malformed("truncated", 6)
    if data[5] == 1:
        return size
    if size < 12:
        raise Malformed("truncated", 8)
    if zlib.crc32(memoryview(data)[:-4]) != _U32.unpack_from(data, size - 4)[0]:
        raise Malformed("checksum_mismatch", size - 4)
    return size - 4


def _read_key(data: bytes, at: int, end: int, start: int) -> Tuple[str, int]:
    if end - at < 2:
        raise Malformed("truncated", start)
    at += 2
    stop = at + _U16.unpack_from(data, at - 2)[0]
    if stop > end:
        raise Malformed("truncated", start)
    return _read_text(data, at, stop, start), stop


def _read_text(data: bytes, at: int, stop: int, start: int) -> str:
    try:
        return data[at:stop].decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("invalid_utf8", start) from None


def _read_value(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    if at >= end:
        raise Malformed("truncated", at)
    tag = data[at]
    if 0x21 <= tag <= 0x2F:
        stop = at + 1 + (tag & 15)
        if stop > end:
            raise Malformed("truncated", at)
        return _read_text(data, at + 1, stop, at), stop
    reader = _READERS.get(tag)
    if reader is None:
        raise Malformed("unknown_tag", at)
    return reader(data, at, end, depth)


def _need(at: int, size: int, end: int) -> int:
    """The offset behind an item of a tag and some bytes."""
    stop = at + 1 + size
    if stop > end:
        raise Malformed("truncated", at)
    return stop


def _read_string(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    start = _need(at, 4, end)
    length = _U32.unpack_from(data, at + 1)[0]
    stop = _need(at, 4 + length, end)
    text = _read_text(data, start, stop, at)
    if length < 16:
        raise Malformed("non_canonical_string", at)
    return text, stop


def _read_int(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    stop = _need(at, 8, end)
    value = _I64.unpack_from(data, at + 1)[0]
    if 0 <= value <= 255:
        raise Malformed("non_canonical_int", at)
    return value, stop


def _read_double(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    stop = _need(at, 8, end)
    return _F64.unpack_from(data, at + 1)[0], stop


def _read_bool(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    stop = _need(at, 1, end)
    if data[at + 1] > 1:
        raise Malformed("non_canonical_bool", at)
    return data[at + 1] == 1, stop


def _read_uuid(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    stop = _need(at, 16, end)
    return uuid.UUID(bytes=bytes(data[at + 1 : stop])), stop


def _read_date(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    stop = _need(at, 8, end)
    return Date(_F64.unpack_from(data, at + 1)[0]), stop


def _read_data(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    start = _need(at, 4, end)
    stop = _need(at, 4 + _U32.unpack_from(data, at + 1)[0], end)
    return bytes(data[start:stop]), stop


def _read_array(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    start = at
    at = _need(at, 2, end)
    count = _U16.unpack_from(data, at - 2)[0]
    if not count:
        raise Malformed("non_canonical_empty", start)
    if depth >= MAX_DEPTH:
        raise Malformed("too_deep", start)
    items = []
    for _ in range(count):
        item, at = _read_value(data, at, end, depth + 1)
        items.append(item)
    return items, at


def _read_dict(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    start = at
    at = _need(at, 2, end)
    count = _U16.unpack_from(data, at - 2)[0]
    if not count:
        raise Malformed("non_canonical_empty", start)
    if depth >= MAX_DEPTH:
        raise Malformed("too_deep", start)
    entries: Dict[str, Any] = {}
    last = ""
    for index in range(count):
        start = at
        key, at = _read_key(data, at, end, start)
        form = key if key.isascii() else nfc(key)
        if index and form <= last:
            raise Malformed("duplicate_key" if form == last else "keys_out_of_order", start)
        last = form
        entries[key], at = _read_value(data, at, end, depth + 1)
    return entries, at


def _read_vector(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    start = _need(at, 4, end)
    stop = _need(at, 4 + 4 * _U32.unpack_from(data, at + 1)[0], end)
    return Vector.from_raw(data[start:stop]), stop


def _read_small_int(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    stop = _need(at, 1, end)
    return data[at + 1], stop


def _read_empty_array(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    if depth >= MAX_DEPTH:
        raise Malformed("too_deep", at)
    return [], at + 1


def _read_empty_dict(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    if depth >= MAX_DEPTH:
        raise Malformed("too_deep", at)
    return {}, at + 1


def _read_tag_20(data: bytes, at: int, end: int, depth: int) -> Tuple[Any, int]:
    raise Malformed("non_canonical_string", at)


_READERS: Dict[int, Callable[[bytes, int, int, int], Tuple[Any, int]]] = {
    0x01: _read_string,
    0x02: _read_int,
    0x03: _read_double,
    0x04: _read_bool,
    0x05: _read_uuid,
    0x06: _read_date,
    0x07: _read_data,
    0x08: _read_array,
    0x09: _read_dict,
    0x0A: _read_vector,
    0x0B: lambda data, at, end, depth: (None, at + 1),
    0x11: lambda data, at, end, depth: ("", at + 1),
    0x12: _read_small_int,
    0x18: _read_empty_array,
    0x19: _read_empty_dict,
    0x20: _read_tag_20,
}

"""Typed JSON (spec/json.md): the exact text form of BlazeBinary values, in both directions."""

from __future__ import annotations

import base64
import binascii
import datetime
import json
import math
import re
import struct
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any, Dict, List, Mapping, Optional, Tuple

from . import encoding
from ._nfc import nfc
from .errors import InputError
from .values import Date, Vector

# Ints of a greater magnitude are written with a name: other JSON readers round them (spec J-2).
MAX_PLAIN_INT = 2**53 - 1

_INT = re.compile(r"-?(0|[1-9][0-9]*)\Z")
_BITS = re.compile(r"0x[0-9a-fA-F]{16}\Z")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))\Z"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_EPOCH_DAYS = datetime.date(2001, 1, 1).toordinal()
# What the year 0 lacks in datetime, which begins with the year 1: the year 0 of the proleptic calendar is a leap year.
_DAYS_OF_YEAR_0 = 366
_TIE_BITS = 25
_NAN_BITS = struct.unpack(">Q", struct.pack(">d", math.nan))[0]


# ---- writing ----


def dumps(value: Any) -> str:
    """One value, or one record, as a text on one line."""
    out: List[str] = []
    _write(value, out, _outermost(value))
    return "".join(out)


def _write(value: Any, out: List[str], depth: int) -> None:
    if value is None:
        out.append("null")
    elif isinstance(value, bool):
        out.append("true" if value else "false")
    elif isinstance(value, int):
        out.append(_int_text(value))
    elif isinstance(value, float):
        out.append(_double_text(value))
    elif isinstance(value, str):
        out.append(_string_text(value))
    elif isinstance(value, Date):
        out.append('{"$date":"%s"}' % _date_text(value))
    elif isinstance(value, uuid.UUID):
        out.append('{"$uuid":"%s"}' % value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        out.append('{"$data":"%s"}' % base64.b64encode(bytes(value)).decode("ascii"))
    elif isinstance(value, Vector):
        out.append('{"$vector":[%s]}' % ",".join(_double_text(item) for item in value))
    elif isinstance(value, (list, tuple)):
        _write_list(value, out, depth)
    elif isinstance(value, Mapping):
        _write_dict(value, out, depth)
    else:
        raise InputError(f"typed JSON has no form for {type(value).__name__}")


def _write_list(items: Any, out: List[str], depth: int) -> None:
    _bounded(len(items), depth)
    out.append("[")
    for index, item in enumerate(items):
        if index:
            out.append(",")
        _write(item, out, depth + 1)
    out.append("]")


def _write_dict(entries: Mapping[str, Any], out: List[str], depth: int) -> None:
    _bounded(len(entries), depth)
    out.append("{")
    for index, (key, _) in enumerate(encoding.sorted_keys(tuple(entries))):
        out.append("," if index else "")
        out.append(_string_text("$" + key if key.startswith("$") else key) + ":")
        _write(entries[key], out, depth + 1)
    out.append("}")


def _int_text(value: int) -> str:
    if not -(2**63) <= value < 2**63:
        raise InputError("an int has 64 bits: it lies in -2**63 to 2**63 - 1")
    return str(int(value)) if abs(value) <= MAX_PLAIN_INT else '{"$int":"%d"}' % value


def _double_text(value: float) -> str:
    if math.isfinite(value):
        # repr has the fewest digits that read back, with a point or an exponent: that from 1e16 on and below 1e-4, which is when
        # exponents are written. What it adds to the exponent, a plus or a zero, are digits too many (spec J-2.4).
        digits, exponential, exponent = float.__repr__(value).partition("e")
        digits = _tie_up(value, digits)
        return f"{digits}e{int(exponent)}" if exponential else digits
    if math.isinf(value):
        return '{"$double":"%sInfinity"}' % ("-" if value < 0 else "")
    bits = struct.unpack(">Q", struct.pack(">d", value))[0]
    return '{"$double":"%s"}' % ("NaN" if bits == _NAN_BITS else f"0x{bits:016x}")


def _tie_up(value: float, digits: str) -> str:
    """Of two texts equally near, repr takes the one with the even digit, the server the greater: its last digit is one more."""
    # A tie has one digit more than its text, so 18 at most, and the last is a 5: of a fraction of 2**-25 or coarser, as 5**26 > 10**18.
    scaled = abs(value) * 2.0**_TIE_BITS
    if value.is_integer() or not scaled.is_integer():
        return digits
    exact = str(int(scaled) * 5**_TIE_BITS).rstrip("0")
    if exact != digits.replace(".", "").lstrip("-0") + "5":
        return digits
    return digits[:-1] + str(int(digits[-1]) + 1)


def _string_text(text: str) -> str:
    if _SURROGATE.search(text):
        raise InputError("half of a surrogate pair is no text")
    return '"%s"' % _ESCAPED.sub(lambda found: _ESCAPES.get(found[0]) or f"\\u{ord(found[0]):04x}", text)


def _date_text(date: Date) -> str:
    bits = "0x" + struct.pack(">d", date.seconds).hex()
    if not math.isfinite(date.seconds) or (date.seconds == 0 and math.copysign(1, date.seconds) < 0):
        return bits
    exact = Fraction(date.seconds)
    for digits in range(10):
        # The multiple of the digits' unit that is nearest; where none reads back, more digits are needed.
        scaled = round(exact * 10**digits)
        if float(Fraction(scaled, 10**digits)) == date.seconds:
            return _calendar(scaled, digits) or bits
    return bits


def _calendar(scaled: int, digits: int) -> Optional[str]:
    """The RFC 3339 text of a number of units of 10**-digits seconds since 2001; None outside the years 0 to 9999."""
    seconds, fraction = divmod(scaled, 10**digits)
    days, second = divmod(seconds, 86_400)
    ordinal = _EPOCH_DAYS + days
    if ordinal > datetime.date.max.toordinal() or ordinal <= -_DAYS_OF_YEAR_0:
        return None
    if ordinal < 1:
        # The year 2000 has the same days as the year 0.
        day = datetime.date.fromordinal(datetime.date(2001, 1, 1).toordinal() - 1 + ordinal)
        date = f"0000-{day.month:02}-{day.day:02}"
    else:
        date = datetime.date.fromordinal(ordinal).isoformat()
    behind = f".{fraction:0{digits}}" if digits else ""
    return f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}{behind}Z"


def _outermost(value: Any) -> int:
    """Where the containers are counted from: the outermost dict is taken for a record, which does not count."""
    return 1 if isinstance(value, (list, tuple)) and not isinstance(value, _Object) else 0


def _bounded(size: int, depth: int) -> None:
    if depth > encoding.MAX_DEPTH:
        raise InputError(f"containers lie at most {encoding.MAX_DEPTH} inside one another")
    if size > encoding.MAX_ENTRIES:
        raise InputError(f"a container has at most {encoding.MAX_ENTRIES} entries")


# ---- reading ----


class _Number:
    """A number literal, kept as it stands until its place says what it is."""

    __slots__ = ("literal", "is_int")

    def __init__(self, literal: str, is_int: bool) -> None:
        self.literal = literal
        self.is_int = is_int


class _Object(List[Tuple[str, Any]]):
    """The members of an object in the order of the text, repeated ones included."""


def _refuse_constant(name: str) -> Any:
    raise InputError(f"{name} is no JSON: write it with $double")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object,
    parse_int=lambda literal: _Number(literal, True),
    parse_float=lambda literal: _Number(literal, False),
    parse_constant=_refuse_constant,
)


def loads(text: str) -> Any:
    """The value of a text; InputError says what is wrong with it."""
    if text.startswith("\ufeff"):
        raise InputError("a text does not begin with a byte order mark (line 1, column 1)")
    stripped = text.strip(" \t\r\n")
    try:
        # raw_decode skips nothing, so that blanks are those of the grammar alone.
        parsed, end = _DECODER.raw_decode(stripped)
    except json.JSONDecodeError as error:
        raise InputError(f"{error.msg} (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise InputError("nested too deeply") from None
    if end != len(stripped):
        raise InputError("there is more text behind the value")
    return _value(parsed, _outermost(parsed))


def loads_record(text: str) -> Dict[str, Any]:
    """The record of a text."""
    record = loads(text)
    if not isinstance(record, dict):
        raise InputError("a record is an object")
    return record


def _value(parsed: Any, depth: int) -> Any:
    if isinstance(parsed, _Number):
        return _int(parsed.literal) if parsed.is_int else _double(parsed.literal)
    if isinstance(parsed, _Object):
        return _object(parsed, depth)
    if isinstance(parsed, list):
        _bounded(len(parsed), depth)
        return [_value(item, depth + 1) for item in parsed]
    if isinstance(parsed, str):
        return _text(parsed)
    return parsed


def _object(members: _Object, depth: int) -> Any:
    named = [key for key, _ in members if key.startswith("$") and not key.startswith("$$")]
    if named:
        if len(members) != 1 or named[0] not in _SCALARS:
            raise InputError(f"{named[0]!r} is no name of a scalar, or does not stand alone: write the key as {'$' + named[0]!r}")
        return _SCALARS[named[0]](members[0][1])
    _bounded(len(members), depth)
    entries: Dict[str, Any] = {}
    forms = set()
    for key, value in members:
        key = _text(key[1:] if key.startswith("$") else key)
        form = nfc(key)
        if form in forms:
            raise InputError(f"the key {key!r} appears twice")
        if len(key.encode("utf-8")) > encoding.MAX_KEY:
            raise InputError(f"a key has at most {encoding.MAX_KEY} bytes")
        forms.add(form)
        entries[key] = _value(value, depth + 1)
    return entries


def _text(text: str) -> str:
    if _SURROGATE.search(text):
        raise InputError("half of a surrogate pair is no text")
    return text


def _int(literal: str) -> int:
    # Twenty characters hold every int of 64 bits; longer ones are not worth a conversion.
    if len(literal) > 20 or not -(2**63) <= int(literal) < 2**63:
        raise InputError(f"{literal[:24]} is no int of 64 bits")
    return int(literal)


def _double(literal: str) -> float:
    value = float(literal)
    if math.isinf(value):
        raise InputError(f"{literal[:24]} is beyond every double")
    return value


def _scalar_int(value: Any) -> int:
    if isinstance(value, _Number) and value.is_int:
        return _int(value.literal)
    if isinstance(value, str) and _INT.match(value):
        return _int(value)
    raise InputError("$int holds the decimal digits as a string")


def _scalar_double(value: Any) -> float:
    if isinstance(value, _Number):
        return _double(value.literal)
    if isinstance(value, str):
        if value in ("NaN", "Infinity", "-Infinity"):
            return float(value)
        if _BITS.match(value):
            return _from_bits(value)
    raise InputError('$double holds "NaN", "Infinity", "-Infinity", the bits in hexadecimal, or a number')


def _from_bits(text: str) -> float:
    value: float = struct.unpack(">d", bytes.fromhex(text[2:]))[0]
    return value


def _scalar_date(value: Any) -> Date:
    if not isinstance(value, str):
        raise InputError("$date holds a string")
    if _BITS.match(value):
        return Date(_from_bits(value))
    found = _DATE.match(value)
    if not found:
        raise InputError("$date holds an RFC 3339 date, or the bits in hexadecimal")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    if hour > 23 or minute > 59 or second > 59:
        raise InputError("a time of day lies in 00:00:00 to 23:59:59")
    seconds = _days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    if found[8]:
        if int(found[9]) > 23 or int(found[10]) > 59:
            raise InputError("an offset lies within 23:59")
        offset = int(found[9]) * 3600 + int(found[10]) * 60
        seconds -= offset if found[8] == "+" else -offset
    exact = Decimal(seconds) + Decimal("0." + (found[7] or "0"))
    return Date(float(exact))


def _days(year: int, month: int, day: int) -> int:
    """Days from 2001-01-01 to a date of the proleptic calendar, the year 0 included."""
    try:
        if year == 0:
            # The year 2000 has the same days as the year 0, whose last day comes before the ordinal 1.
            return datetime.date(2000, month, day).toordinal() - datetime.date(2000, 12, 31).toordinal() - _EPOCH_DAYS
        return datetime.date(year, month, day).toordinal() - _EPOCH_DAYS
    except ValueError:
        raise InputError("there is no such day") from None


def _scalar_uuid(value: Any) -> uuid.UUID:
    if isinstance(value, str) and _UUID.match(value):
        return uuid.UUID(value)
    raise InputError("$uuid holds a UUID with hyphens")


def _scalar_data(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            data = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise InputError("$data holds padded base64 of the standard alphabet") from None
        if base64.b64encode(data).decode("ascii") == value:
            return data
    raise InputError("$data holds padded base64 of the standard alphabet")


def _scalar_vector(value: Any) -> Vector:
    if isinstance(value, _Object) or not isinstance(value, list):
        raise InputError("$vector holds an array")
    items = []
    for item in value:
        if isinstance(item, _Number):
            items.append(_double(item.literal))
        elif isinstance(item, _Object) and len(item) == 1 and item[0][0] == "$double":
            items.append(_scalar_double(item[0][1]))
        else:
            raise InputError("an item of a vector is a number, or an object with $double")
    return Vector(items)


_SCALARS = {
    "$int": _scalar_int,
    "$double": _scalar_double,
    "$date": _scalar_date,
    "$uuid": _scalar_uuid,
    "$data": _scalar_data,
    "$vector": _scalar_vector,
}

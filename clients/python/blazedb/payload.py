"""Reads the fields of a payload in order (spec/protocol.md, P-1 and P-3)."""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from typing import Any, List

from ._nfc import nfc
from .encoding import MAX_RECORD, decode_value
from .errors import Malformed

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class Fault(Malformed):
    """A fault of a payload: the code, the offset of its field, and what its answer is about (P-3.5)."""

    def __init__(self, rule: str, offset: int) -> None:
        super().__init__(rule, offset)
        self.scope = 0
        self.id = 0


class Reader:
    """Reads fields in order. Every fault is told at the beginning of its field (P-3.7)."""

    __slots__ = ("data", "at", "end")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)

    def _take(self, size: int) -> int:
        at = self.at
        if at + size > self.end:
            raise Fault("truncated", at)
        self.at = at + size
        return at

    def u8(self) -> int:
        return self.data[self._take(1)]

    def u16(self, least: int = 0) -> int:
        at = self._take(2)
        value: int = _U16.unpack_from(self.data, at)[0]
        if value < least:
            raise Fault("invalid_field", at)
        return value

    def u32(self) -> int:
        value: int = _U32.unpack_from(self.data, self._take(4))[0]
        return value

    def u64(self, least: int = 0) -> int:
        at = self._take(8)
        value: int = _U64.unpack_from(self.data, at)[0]
        if value < least:
            raise Fault("invalid_field", at)
        return value

    def choice(self, most: int, least: int = 0) -> int:
        """A u8 that names something."""
        at = self._take(1)
        value = self.data[at]
        if not least <= value <= most:
            raise Fault("invalid_field", at)
        return value

    def raw(self, size: int) -> bytes:
        at = self._take(size)
        return self.data[at : self.at]

    def id(self) -> uuid.UUID:
        return uuid.UUID(bytes=self.raw(16))

    def value(self) -> Any:
        try:
            value, self.at = decode_value(self.data, self.at, self.end)
        except Malformed as fault:
            raise Fault("truncated" if fault.rule == "truncated" else "invalid_value", self.at) from None
        return value

    def typed(self, kind: type, or_null: bool = False) -> Any:
        at = self.at
        value = self.value()
        if type(value) is not kind and not (or_null and value is None):
            raise Fault("invalid_value", at)
        return value

    def text(self, most: int) -> str:
        at = self.at
        text: str = self.typed(str)
        if len(text.encode("utf-8")) > most:
            raise Fault("invalid_field", at)
        return text

    def name(self, pattern: "re.Pattern[str]") -> str:
        at = self.at
        name: str = self.typed(str)
        if not pattern.match(name):
            raise Fault("invalid_name", at)
        return name

    def names(self, most: int, longest: int) -> List[str]:
        """A sorted array of str, each once (P-1.9)."""
        at = self.at
        names: List[str] = self.typed(list)
        if any(type(name) is not str for name in names):
            raise Fault("invalid_value", at)
        if len(names) > most or any(len(name.encode("utf-8")) > longest for name in names):
            raise Fault("invalid_field", at)
        forms = [nfc(name) for name in names]
        if any(one >= other for one, other in zip(forms, forms[1:])):
            raise Fault("invalid_field", at)
        return names

    def record(self) -> bytes:
        at = self._take(4)
        length = _U32.unpack_from(self.data, at)[0]
        if length > MAX_RECORD:
            raise Fault("record_too_large", at)
        if self.end - self.at < 4 + length:
            raise Fault("truncated", at)
        expected = _U32.unpack_from(self.data, self._take(4))[0]
        record = self.raw(length)
        if zlib.crc32(record) != expected:
            raise Fault("record_checksum_mismatch", at)
        return record

    def finish(self) -> None:
        """The end, or one extension of which nothing must be understood (P-3.2, P-3.3)."""
        if self.at == self.end:
            return
        at = self.at
        try:
            extension, end = decode_value(self.data, at, self.end)
        except Malformed:
            raise Fault("trailing_bytes", at) from None
        if type(extension) is not dict or not extension:
            raise Fault("trailing_bytes", at)
        if end != self.end:
            raise Fault("trailing_bytes", end)
        if any(key.startswith("!") for key in extension):
            raise Fault("unsupported_extension", at)

"""Frames (spec/protocol.md, P-2): to bytes, and out of a stream of bytes that comes in any pieces."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple, Optional

from .errors import Malformed

MAGIC = b"BLAZE"
VERSION = 1
HEADER_BYTES = 15
# What a frame costs over its payload: header and CRC.
OVERHEAD = 19
# Spec P-2.3: a receiver's memory, for strangers before the handshake and for the known after it.
MAX_PAYLOAD = 2_097_152
MAX_HANDSHAKE_PAYLOAD = 4_096

COMPRESSED = 1
ENCRYPTED = 2
REQUIRES_ACK = 4
RESERVED_FLAGS = 0xF8
SEQUENCES = 1 << 24

# Magic, version, type, length, and the flags above the sequence's 24 bits.
_HEADER = struct.Struct(">5sBBII")
_U32 = struct.Struct(">I")
# Bytes that were read are dropped from the front when so many have gathered, not with each frame.
_COMPACT = 65_536


class Frame(NamedTuple):
    """A frame that arrived whole."""

    type: int
    flags: int
    sequence: int
    payload: bytes


def encode(type: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """The bytes of a frame."""
    header = _HEADER.pack(MAGIC, VERSION, type, len(payload), flags << 24 | sequence)
    return b"".join((header, payload, _U32.pack(zlib.crc32(payload, zlib.crc32(header)))))


class Deframer:
    """Cuts a stream into frames. A fault is raised as soon as its bytes are there; after it, nothing more is read."""

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self._buffer = bytearray()
        self._at = 0

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame have arrived."""
        return len(self._buffer) - self._at

    def feed(self, data: bytes) -> None:
        """Takes bytes from the stream."""
        if self._at >= _COMPACT or self._at == len(self._buffer):
            del self._buffer[: self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> Optional[Frame]:
        """The next whole frame, None while there is none."""
        buffer, at = self._buffer, self._at
        have = len(buffer) - at
        if have < HEADER_BYTES:
            self._judge_beginning(bytes(buffer[at:]))
            return None
        magic, version, kind, length, flags_and_sequence = _HEADER.unpack_from(buffer, at)
        flags = flags_and_sequence >> 24
        if magic != MAGIC or version != VERSION or length > self.max_payload or flags & RESERVED_FLAGS:
            self._judge_beginning(bytes(buffer[at : at + HEADER_BYTES]))
        end = at + HEADER_BYTES + length
        if len(buffer) < end + 4:
            return None
        payload = bytes(buffer[at + HEADER_BYTES : end])
        if zlib.crc32(payload, zlib.crc32(buffer[at : at + HEADER_BYTES])) != _U32.unpack_from(buffer, end)[0]:
            raise Malformed("frame_checksum_mismatch", 0)
        self._at = end + 4
        return Frame(kind, flags, flags_and_sequence & (SEQUENCES - 1), payload)

    def _judge_beginning(self, beginning: bytes) -> None:
        """Spec P-2.2: magic, version, length and flags, in this order, as soon as their bytes are there."""
        if not MAGIC.startswith(beginning[:5]):
            raise Malformed("bad_magic", 0)
        if len(beginning) > 5 and beginning[5] != VERSION:
            raise Malformed("unsupported_version", 5)
        if len(beginning) > 10 and _U32.unpack_from(beginning, 7)[0] > self.max_payload:
            raise Malformed("payload_too_large", 7)
        if len(beginning) > 11 and beginning[11] & RESERVED_FLAGS:
            raise Malformed("reserved_flags", 11)

"""Frames and the fields of payloads, written from spec/protocol.md alone (P-1 to P-3)."""

import json
import os
import struct
import uuid
import zlib

from blazebinary import MAX_RECORD_BYTES, Input, Refused, encode_value, read_value, sort_key
import typed

MAX_PAYLOAD = 2097152
MAX_HANDSHAKE_PAYLOAD = 4096
HEADER = 15
COMPRESSED, ENCRYPTED, REQUIRES_ACK = 1, 2, 4
TYPES = {
    "handshake": 0x01, "operation": 0x02, "query": 0x03, "query_response": 0x04, "subscribe": 0x05,
    "telemetry": 0x06, "ack": 0x07, "error": 0x08, "event": 0x10, "unsubscribe": 0x11, "ping": 0x12, "pong": 0x13,
    "auth": 0x14, "goodbye": 0x15, "credit": 0x16, "cancel": 0x17,
}
NAMES = {number: name for name, number in TYPES.items()}
ERRORS_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "spec", "errors.json")
with open(ERRORS_FILE, encoding="utf-8") as file:
    ERRORS = {row["name"]: row["number"] for row in json.load(file)}


class Fault(Exception):
    """A fault of a frame or a payload: the code, the offset of the field in the plain payload, and what the answer is
    about (P-3.5)."""

    def __init__(self, code, offset=None):
        super().__init__("%s at %s" % (code, offset))
        if code not in ERRORS:
            raise ValueError(code)
        self.code = code
        self.offset = offset
        self.scope, self.id = "connection", 0


def frame(message_type, payload, sequence, flags=None, version=1, magic=b"BLAZE", length=None):
    """One frame. `flags` are those that P-2.6 asks for unless others are given."""
    if flags is None:
        flags = REQUIRES_ACK if message_type == TYPES["operation"] else 0
    length = len(payload) if length is None else length
    head = magic + bytes([version, message_type]) + struct.pack(">IB", length, flags) + sequence.to_bytes(3, "big")
    return head + payload + struct.pack(">I", zlib.crc32(head + payload))


def read_frame(raw, limit=MAX_PAYLOAD):
    """The first frame of `raw` as (type, flags, sequence, payload, bytes of the frame), None where bytes are
    missing, or Fault. Checked in the order of P-2.2, each as soon as its bytes are there."""
    given = raw[:5]
    if given != b"BLAZE"[:len(given)]:
        raise Fault("bad_magic")
    if len(raw) > 5 and raw[5] != 1:
        raise Fault("unsupported_version")
    if len(raw) < 11:
        return None
    length = int.from_bytes(raw[7:11], "big")
    if length > limit:
        raise Fault("payload_too_large")
    if len(raw) > 11 and raw[11] & 0xf8:
        raise Fault("reserved_flags")
    end = HEADER + length
    if len(raw) < end + 4:
        return None
    if zlib.crc32(raw[:end]) != int.from_bytes(raw[end:end + 4], "big"):
        raise Fault("frame_checksum_mismatch")
    return raw[6], raw[11], int.from_bytes(raw[12:15], "big"), raw[HEADER:end], end + 4


def flags_are_allowed(message_type, flags, lz4):
    """P-2.6."""
    if flags & ENCRYPTED:
        return False
    if flags & COMPRESSED and (message_type == TYPES["handshake"] or not lz4):
        return False
    if message_type == TYPES["operation"]:
        return bool(flags & REQUIRES_ACK)
    return message_type == TYPES["telemetry"] or not flags & REQUIRES_ACK


# Fields, as they are written.


def u8(number):
    return struct.pack(">B", number)


def u16(number):
    return struct.pack(">H", number)


def u32(number):
    return struct.pack(">I", number)


def u64(number):
    return struct.pack(">Q", int(number))


def ident(text):
    return uuid.UUID(text).bytes


def framed_record(raw):
    return u32(len(raw)) + u32(zlib.crc32(raw)) + raw


class Fields:
    """The fields of a payload, in order. Each method takes one and remembers where it began."""

    def __init__(self, payload):
        self.raw = payload
        self.at = 0
        self.began = 0

    def take(self, count):
        if len(self.raw) - self.at < count:
            raise Fault("truncated", self.began)
        self.at += count
        return self.raw[self.at - count:self.at]

    def begin(self):
        self.began = self.at

    def refuse(self, code="invalid_field"):
        raise Fault(code, self.began)

    def number(self, count, least=0, most=None):
        self.begin()
        found = int.from_bytes(self.take(count), "big")
        if found < least or (most is not None and found > most):
            self.refuse()
        return found

    def long(self, least=0):
        """A u64 as the vectors write it: in decimal digits."""
        return str(self.number(8, least))

    def choice(self, names):
        """A u8 that stands for one of `names`, a dict of numbers."""
        found = self.number(1)
        for name, number in names.items():
            if number == found:
                return name
        self.refuse()

    def ident(self):
        self.begin()
        return str(uuid.UUID(bytes=bytes(self.take(16))))

    def position(self):
        self.begin()
        return self.take(16).hex()

    def value(self, *types):
        self.begin()
        source = Input(self.raw, self.at)
        try:
            found = read_value(source)
        except Refused as refused:
            self.refuse("truncated" if refused.code == "truncated" else "invalid_value")
        if not isinstance(found, types):
            self.refuse("invalid_value")
        self.at = source.at
        return found

    def text(self, most):
        found = self.value(str)
        if len(found.encode("utf-8")) > most:
            self.refuse()
        return found

    def texts(self):
        """An array of str, sorted, each once (P-1.9)."""
        found = self.value(list)
        if not all(isinstance(item, str) for item in found):
            self.refuse("invalid_value")
        order = [sort_key(item) for item in found]
        if any(after <= before for before, after in zip(order, order[1:])):
            self.refuse()
        return found

    def name(self, allowed):
        found = self.value(str)
        if not allowed.match(found):
            self.refuse("invalid_name")
        return found

    def record(self):
        """A record as it travels (P-1.6), as the hexadecimal digits of its bytes."""
        self.begin()
        length = int.from_bytes(self.take(4), "big")
        if length > MAX_RECORD_BYTES:
            self.refuse("record_too_large")
        checksum = int.from_bytes(self.take(4), "big")
        raw = self.take(length)
        if zlib.crc32(raw) != checksum:
            self.refuse("record_checksum_mismatch")
        return raw.hex()

    def end(self):
        """What may stand behind the last field (P-3.2, P-3.3): the extension in typed JSON, or None."""
        self.begin()
        if self.at == len(self.raw):
            return None
        source = Input(self.raw, self.at)
        try:
            found = read_value(source)
        except Refused:
            found = None
        if not isinstance(found, dict) or not found:
            self.refuse("trailing_bytes")
        if source.at != len(self.raw):
            raise Fault("trailing_bytes", source.at)
        if any(key.startswith("!") for key in found):
            self.refuse("unsupported_extension")
        return typed.value(found)


def extension(entries):
    return encode_value(typed.parse(entries)) if entries else b""

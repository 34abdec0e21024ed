"""frames.json: single frames as bytes, and streams that a receiver refuses."""

import zlib

from cases import Cases, digits
from wire import (COMPRESSED, ENCRYPTED, Fault, MAX_HANDSHAKE_PAYLOAD, MAX_PAYLOAD, NAMES, REQUIRES_ACK, TYPES,
                  flags_are_allowed, frame, read_frame)

PING = bytes(7) + b"\x05"


def changed(raw, at, byte, mend=True):
    """A frame with one byte changed; its CRC made to fit again unless `mend` is false."""
    out = raw[:at] + bytes([byte]) + raw[at + 1:]
    return out[:-4] + zlib.crc32(out[:-4]).to_bytes(4, "big") if mend else out


def frames():
    out = Cases("frames.json", "Frames: y_ are whole frames with what they hold, i_ are beginnings of frames that want "
                "more bytes, n_ end the connection with the code.")
    for number, name in sorted(NAMES.items()):
        valid(out, "type_%s" % name, "P-2.1 P-2.6", number, PING)
    for number in (0x00, 0x09, 0x0f, 0x18, 0x1f, 0x20, 0x2f, 0x30, 0xff):
        valid(out, "type_%02x" % number, "P-2.7", number, b"")
    for name, sequence in (("0", 0), ("1", 1), ("256", 256), ("65536", 65536), ("last", 2 ** 24 - 1)):
        valid(out, "sequence_%s" % name, "P-6.1", TYPES["ping"], PING, sequence=sequence)
    valid(out, "empty_payload", "P-2.1", TYPES["ping"], b"")
    valid(out, "largest_payload", "P-2.3", TYPES["query_response"], bytes(MAX_PAYLOAD))
    valid(out, "largest_payload_of_the_handshake", "P-2.3", TYPES["handshake"], bytes(MAX_HANDSHAKE_PAYLOAD),
          limit=MAX_HANDSHAKE_PAYLOAD)
    valid(out, "compressed", "P-2.6 P-5.1", TYPES["event"], b"\0\0\x04\0\x10x", flags=COMPRESSED)
    valid(out, "operation_compressed", "P-2.6", TYPES["operation"], b"x", flags=COMPRESSED | REQUIRES_ACK)
    valid(out, "telemetry_requires_ack", "P-2.6", TYPES["telemetry"], b"x", flags=REQUIRES_ACK)
    two = frame(TYPES["ping"], PING, 7) + frame(TYPES["ping"], PING, 8)
    out.add("y_two_in_a_row", "P-2.1", hex=two, frames=[described(two), described(two[27:])])
    beginnings(out)
    broken(out)
    flags(out)
    return out


def described(raw, limit=MAX_PAYLOAD):
    message_type, flags, sequence, payload, _ = read_frame(raw, limit)
    return {"type": message_type, "flags": flags, "sequence": sequence, "payload": digits(payload)}


def valid(out, name, clauses, message_type, payload, sequence=3, flags=None, limit=MAX_PAYLOAD):
    raw = frame(message_type, payload, sequence, flags)
    members = {} if limit == MAX_PAYLOAD else {"limit": limit}
    out.add("y_" + name, clauses, hex=raw, frames=[described(raw, limit)], **members)


def beginnings(out):
    whole = frame(TYPES["ping"], PING, 0)
    for length in (0, 1, 4, 5, 6, 7, 10, 11, 12, 14, 15, 22, 23, 26):
        if read_frame(whole[:length]) is not None:
            raise ValueError(length)
        out.add("i_first_%d_bytes" % length, "P-2.1", hex=whole[:length])
    out.add("i_claims_the_largest_payload", "P-2.2", hex=frame(TYPES["event"], b"", 0, length=MAX_PAYLOAD)[:15])


def broken(out):
    whole = frame(TYPES["ping"], PING, 0)

    def add(name, clauses, raw, code, judged_at, limit=MAX_PAYLOAD):
        """`judged_at`: how many bytes suffice for the verdict."""
        for length in range(len(raw) + 1):
            try:
                read_frame(raw[:length], limit)
            except Fault as fault:
                if (fault.code, length) != (code, judged_at):
                    raise ValueError("%s: %s after %d bytes" % (name, fault, length)) from None
                break
        else:
            raise ValueError("%s is accepted" % name)
        members = {} if limit == MAX_PAYLOAD else {"limit": limit}
        out.add("n_" + name, clauses, hex=raw, code=code, judged_at=judged_at, **members)

    add("magic_first_byte", "P-2.2", changed(whole, 0, 0x43), "bad_magic", 1)
    add("magic_last_byte", "P-2.2", changed(whole, 4, 0x46), "bad_magic", 5)
    add("lower_case_magic", "P-2.2", b"blaze" + whole[5:], "bad_magic", 1)
    add("http", "P-2.2", b"GET / HTTP/1.1\r\n\r\n", "bad_magic", 1)
    add("tls", "P-2.2", bytes.fromhex("160301"), "bad_magic", 1)
    add("zeros", "P-2.2", bytes(64), "bad_magic", 1)
    for version in (0, 2, 255):
        add("version_%d" % version, "P-2.2", changed(whole, 5, version), "unsupported_version", 6)
    over = frame(TYPES["event"], b"", 0, length=MAX_PAYLOAD + 1)
    add("payload_too_large", "P-2.3", over, "payload_too_large", 11)
    add("payload_of_4_gib", "P-2.3", frame(TYPES["event"], b"", 0, length=2 ** 32 - 1), "payload_too_large", 11)
    over = frame(TYPES["handshake"], b"", 0, length=MAX_HANDSHAKE_PAYLOAD + 1)
    add("payload_too_large_before_the_handshake", "P-2.3", over, "payload_too_large", 11, MAX_HANDSHAKE_PAYLOAD)
    for bit in range(3, 8):
        add("flag_%d" % bit, "P-2.4", changed(whole, 11, 1 << bit), "reserved_flags", 12)
    add("all_flags", "P-2.4", changed(whole, 11, 0xff), "reserved_flags", 12)
    for at in (6, 12, 14, 15, 22):
        add("byte_%d_damaged" % at, "P-2.5", changed(whole, at, whole[at] ^ 0x10, mend=False), "frame_checksum_mismatch", 27)
    for at in (23, 26):
        add("crc_byte_%d_damaged" % at, "P-2.5", changed(whole, at, whole[at] ^ 1, mend=False),
            "frame_checksum_mismatch", 27)
    little = whole[:-4] + whole[:-5:-1]
    add("crc_little_endian", "P-2.5", little, "frame_checksum_mismatch", 27)
    shorter = changed(whole, 10, 7, mend=False)
    add("length_one_less", "P-2.5", shorter, "frame_checksum_mismatch", 26)
    add("magic_before_version", "P-2.2", changed(changed(whole, 5, 9), 0, 0), "bad_magic", 1)
    add("version_before_length", "P-2.2", changed(over, 5, 2), "unsupported_version", 6)
    add("length_before_flags", "P-2.2", changed(frame(TYPES["event"], b"", 0, length=2 ** 31), 11, 0x80),
        "payload_too_large", 11)
    add("flags_before_crc", "P-2.2", changed(whole, 11, 0x08, mend=False), "reserved_flags", 12)


def flags(out):
    """Whole frames whose flags P-2.6 forbids. `lz4`: whether both sides named the capability."""
    for name, message_type, byte, lz4 in (
            ("operation_without_ack", "operation", 0, True),
            ("operation_without_ack_compressed", "operation", COMPRESSED, True),
            ("query_requires_ack", "query", REQUIRES_ACK, True),
            ("subscribe_requires_ack", "subscribe", REQUIRES_ACK, True),
            ("ping_requires_ack", "ping", REQUIRES_ACK, True),
            ("ack_requires_ack", "ack", REQUIRES_ACK, True),
            ("handshake_requires_ack", "handshake", REQUIRES_ACK, True),
            ("handshake_compressed", "handshake", COMPRESSED, True),
            ("event_compressed_without_lz4", "event", COMPRESSED, False),
            ("operation_compressed_without_lz4", "operation", COMPRESSED | REQUIRES_ACK, False),
            ("event_encrypted", "event", ENCRYPTED, True),
            ("operation_encrypted", "operation", ENCRYPTED | REQUIRES_ACK, True),
            ("telemetry_encrypted", "telemetry", ENCRYPTED, True)):
        if flags_are_allowed(TYPES[message_type], byte, lz4):
            raise ValueError(name)
        raw = frame(TYPES[message_type], PING, 3, byte)
        out.add("n_" + name, "P-2.6", hex=raw, code="unexpected_flag", judged_at=len(raw), lz4=lz4)

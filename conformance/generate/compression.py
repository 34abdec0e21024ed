"""compression.json: compressed payloads (P-5), the blocks put together by hand from the LZ4 block format."""

import struct

from cases import Cases
from messages import encode
from samples import NOTE_A, POSITION_42, but, event
from wire import MAX_PAYLOAD, Fault


def extended(length):
    """What stands behind a nibble of 15."""
    return b"\xff" * (length // 255) + bytes([length % 255])


def sequence(literals, offset, match):
    """Literals, then `match` bytes (4 or more) copied from `offset` back."""
    token = min(len(literals), 15) << 4 | min(match - 4, 15)
    out = bytes([token]) + (extended(len(literals) - 15) if len(literals) >= 15 else b"") + literals
    return out + struct.pack("<H", offset) + (extended(match - 19) if match >= 19 else b"")


def last(literals):
    return bytes([min(len(literals), 15) << 4]) + (extended(len(literals) - 15) if len(literals) >= 15 else b"") + literals


def payload(plain_length, *parts):
    return struct.pack(">I", plain_length) + b"".join(parts)


def block_length(raw, at, nibble):
    length = nibble
    while nibble == 15:
        if at >= len(raw):
            raise Fault("bad_compression")
        length += raw[at]
        at += 1
        if raw[at - 1] != 255:
            break
    return length, at


def decompress(travelled):
    """P-5.1 and P-5.2."""
    if len(travelled) < 5:
        raise Fault("bad_compression")
    plain_length, block = int.from_bytes(travelled[:4], "big"), travelled[4:]
    if plain_length > MAX_PAYLOAD or plain_length <= len(travelled) or plain_length > 255 * len(block):
        raise Fault("bad_compression")
    out, at = bytearray(), 0
    while True:
        token, at = block[at], at + 1
        literals, at = block_length(block, at, token >> 4)
        if at + literals > len(block):
            raise Fault("bad_compression")
        out += block[at:at + literals]
        at += literals
        if at == len(block):
            break
        if at + 2 > len(block):
            raise Fault("bad_compression")
        offset, at = int.from_bytes(block[at:at + 2], "little"), at + 2
        match, at = block_length(block, at, token & 15)
        if offset == 0 or offset > len(out) or len(out) + match + 4 > plain_length or at >= len(block):
            raise Fault("bad_compression")
        for _ in range(match + 4):
            out.append(out[-offset])
    if len(out) != plain_length:
        raise Fault("bad_compression")
    return bytes(out)


def zeros(count):
    """`count` zeros: one literal, one match, five literals."""
    return sequence(b"\0", 1, count - 6) + last(bytes(5))


def compression():
    out = Cases("compression.json", "Compressed payloads: y_ become plain, n_ end the connection, i_ are blocks that a "
                "compressor may not write and that a decompressor may take or refuse.")

    def good(name, clauses, travelled, plain):
        if decompress(travelled) != plain:
            raise ValueError(name)
        out.add("y_" + name, clauses, hex=travelled, plain=plain)

    def bad(name, clauses, travelled):
        try:
            decompress(travelled)
        except Fault:
            out.add("n_" + name, clauses, hex=travelled, code="bad_compression")
            return
        raise ValueError("n_%s is accepted" % name)

    good("zeros", "P-5.1", payload(64, zeros(64)), bytes(64))
    good("shortest_win", "P-5.2", payload(17, sequence(b"a", 1, 11), last(b"aaaaa")), b"a" * 17)
    good("match_of_4", "P-5.1", payload(40, sequence(b"abcdefgh", 8, 4), sequence(b"", 4, 23), last(b"01234")),
         b"abcdefghabcd" + b"abcd" * 5 + b"abc" + b"01234")
    good("match_of_18", "P-5.1", payload(30, sequence(b"ab", 2, 18), last(b"ab0123456z")), b"ab" * 11 + b"0123456z")
    good("match_of_19", "P-5.1", payload(31, sequence(b"ab", 2, 19), last(b"b0123456zz")), b"ab" * 10 + b"ab0123456zz")
    good("match_of_274", "P-5.1", payload(286, sequence(b"ab", 2, 274), last(b"0123456789")), b"ab" * 138 + b"0123456789")
    good("period_of_3", "P-5.1", payload(60, sequence(b"xyz", 3, 51), last(b"xyzxyz")), b"xyz" * 20)
    good("literals_of_14", "P-5.1", payload(60, sequence(b"ABCDEFGHIJKLMN", 14, 36), last(b"GHIJKLMN..")),
         (b"ABCDEFGHIJKLMN" * 4)[:50] + b"GHIJKLMN..")
    good("literals_of_15", "P-5.1", payload(60, sequence(b"ABCDEFGHIJKLMNO", 15, 35), last(b"FGHIJKLM..")),
         (b"ABCDEFGHIJKLMNO" * 4)[:50] + b"FGHIJKLM..")
    text = bytes(range(256)) + bytes(range(14))
    good("literals_of_270", "P-5.1", payload(600, sequence(text, 270, 300), last(b"q" * 30)), (text * 3)[:570] + b"q" * 30)
    far = b"X" + bytes(65533) + b"Y"
    good("offset_of_65535", "P-5.1", payload(65535 + 400, sequence(far, 65535, 395), last(b"12345")),
         far + far[:395] + b"12345")
    many = encode(event("changes", changes=[{"kind": "put", "last": True, "seq": "42", "record": NOTE_A}] * 20))[1]
    one = len(NOTE_A) // 2 + 17
    good("an_event", "P-5.1", payload(len(many), sequence(many[:27 + one], one, len(many) - 27 - one - 5), last(many[-5:])),
         many)
    good("largest", "P-5.2", payload(MAX_PAYLOAD, zeros(MAX_PAYLOAD)), bytes(MAX_PAYLOAD))
    incompressible = bytes(n * 151 & 0xff for n in range(256))
    good("one_byte_won", "P-5.2 P-5.4", payload(281, sequence(incompressible, 256, 20), last(incompressible[20:25])),
         incompressible + incompressible[:25])

    bad("no_bytes", "P-5.1", b"")
    bad("half_a_length", "P-5.1", b"\0\0")
    bad("no_block", "P-5.2", payload(5))
    bad("plain_0", "P-5.2", payload(0, b"\0"))
    bad("plain_over_the_limit", "P-5.2", payload(MAX_PAYLOAD + 1, zeros(MAX_PAYLOAD + 1)))
    bad("plain_of_4_gib", "P-5.2 P-5.3", payload(2 ** 32 - 1, zeros(64)))
    literal = b"0123456789"
    bad("plain_shorter_than_the_payload", "P-5.2", payload(10, last(literal)))
    equal = payload(14, sequence(b"a", 1, 8), last(b"aaaaa"))
    if len(equal) != 14:
        raise ValueError(len(equal))
    bad("nothing_won", "P-5.2", equal)
    bad("more_than_255_times", "P-5.2", payload(255 * 10 + 1, sequence(b"\0", 1, 64), last(bytes(5)))[:14])
    bad("declared_one_more", "P-5.2", payload(65, zeros(64)))
    bad("declared_one_less", "P-5.2", payload(63, zeros(64)))
    bad("declared_much_more", "P-5.2 P-5.3", payload(2000, zeros(64)))
    bad("block_cut_in_literals", "P-5.2", payload(64, zeros(64)[:-1]))
    bad("block_cut_before_the_last_literals", "P-5.2", payload(64, sequence(b"\0", 1, 58), b"\x50"))
    bad("block_cut_in_an_offset", "P-5.2", payload(64, b"\x1f\0\x01"))
    bad("block_cut_in_a_length", "P-5.2", payload(64, b"\x1f\0\x01\0"))
    bad("endless_length", "P-5.2 P-5.3", payload(600, b"\x1f\0\x01\0" + b"\xff" * 100))
    bad("endless_literal_length", "P-5.2 P-5.3", payload(600, b"\xf0" + b"\xff" * 100))
    bad("offset_0", "P-5.2", payload(64, sequence(b"\0", 0, 58), last(bytes(5))))
    bad("offset_before_the_beginning", "P-5.2", payload(64, sequence(b"\0", 2, 58), last(bytes(5))))
    bad("offset_at_once", "P-5.2", payload(64, sequence(b"", 1, 59), last(bytes(5))))
    bad("bytes_behind_the_block", "P-5.2", payload(64, zeros(64), b"\0\0"))
    bad("a_second_block", "P-5.1", payload(128, zeros(64), zeros(64)))
    frame_format = b"\x04\x22\x4d\x18\x64\x40\xa7" + struct.pack("<I", len(zeros(64))) + zeros(64) + bytes(4)
    bad("the_frame_format", "P-5.1", payload(64, frame_format))
    bad("length_little_endian", "P-5.1", struct.pack("<I", 64) + zeros(64))
    bad("length_of_the_block_first", "P-5.1", struct.pack(">I", len(zeros(64))) + zeros(64))

    out.add("i_ends_in_a_match", "P-5.1", hex=payload(64, sequence(b"\0", 1, 63)), plain=bytes(64))
    out.add("i_last_literals_too_few", "P-5.1", hex=payload(64, sequence(b"\0", 1, 60), last(bytes(3))), plain=bytes(64))
    out.add("i_last_match_too_late", "P-5.1", hex=payload(44, sequence(b"ab", 2, 30), sequence(b"", 2, 4), last(b"abcdefgh")),
            plain=b"ab" * 18 + b"abcdefgh")
    return out

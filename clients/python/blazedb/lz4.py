"""The LZ4 block format, decompression alone, with the bounds of spec/protocol.md, P-5."""

from __future__ import annotations

import struct
from typing import Tuple

from .errors import Malformed
from .frames import MAX_PAYLOAD

# Spec P-5.2: no LZ4 block becomes more than 255 times as long, so that more is a lie about the length.
MAX_RATIO = 255
MIN_MATCH = 4


def decompress_payload(payload: bytes) -> bytes:
    """A payload that travelled with the flag compressed: the plain length and one block."""
    if len(payload) < 5:
        raise Malformed("bad_compression", 0)
    plain = struct.unpack_from(">I", payload)[0]
    block = payload[4:]
    if plain > MAX_PAYLOAD or plain <= len(payload) or plain > MAX_RATIO * len(block):
        raise Malformed("bad_compression", 0)
    return decompress(block, plain)


def decompress(block: bytes, plain: int) -> bytes:
    """The block's content, which has exactly this many bytes. What is held never passes it."""
    out = bytearray()
    at, end = 0, len(block)
    while at < end:
        token = block[at]
        at += 1
        literals = token >> 4
        if literals == 15:
            literals, at = _longer(block, at, end, 15)
        stop = at + literals
        if stop > end or len(out) + literals > plain:
            raise Malformed("bad_compression", at)
        out += block[at:stop]
        at = stop
        if at == end:
            # The last sequence has no match; a token that announces one all the same is no block's end.
            if token & 15:
                raise Malformed("bad_compression", at)
            break
        if at + 2 > end:
            raise Malformed("bad_compression", at)
        distance = block[at] | block[at + 1] << 8
        at += 2
        length = token & 15
        if length == 15:
            length, at = _longer(block, at, end, 15)
        length += MIN_MATCH
        begin = len(out) - distance
        if distance == 0 or begin < 0 or len(out) + length > plain:
            raise Malformed("bad_compression", at)
        if length <= distance:
            out += out[begin : begin + length]
        else:
            # The match reaches into what it makes: its first bytes, over and over.
            out += (out[begin:] * (length // distance + 1))[:length]
    if len(out) != plain:
        raise Malformed("bad_compression", end)
    return bytes(out)


def _longer(block: bytes, at: int, end: int, length: int) -> Tuple[int, int]:
    """A length that goes on in further bytes, and the offset behind them."""
    while True:
        if at >= end:
            raise Malformed("bad_compression", at)
        byte = block[at]
        at += 1
        length += byte
        if byte != 255:
            return length, at

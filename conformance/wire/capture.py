"""Reads captures as spec/capture.md describes them, from its words alone.

    capture.py FILE OUT.pcap [CONNECTION]     writes a trace for Wireshark, of the first connection or the one named
"""

import pathlib
import struct
import sys
import zlib

import pcap

HEADER, ENTRY = 0x2A, 0x2B
OPENED, FROM_CLIENT, FROM_SERVER = 1, 2, 3


def frames(data):
    """The whole frames of a capture: (type, payload) each. Ends at the first that is torn or does not follow."""
    at, sequence, chain = 0, 0, 0
    while at + 19 <= len(data):
        magic, version, message_type, length, flags = struct.unpack_from(">5sBBIB", data, at)
        number = int.from_bytes(data[at + 12:at + 15], "big")
        end = at + 15 + length
        if (magic, version, flags) != (b"BLAZE", 1, 0) or end + 4 > len(data) or number != sequence % (1 << 24):
            return
        payload, (crc,) = data[at + 15:end], struct.unpack_from(">I", data, end)
        if zlib.crc32(data[at:end]) != crc or message_type != (ENTRY if sequence else HEADER):
            return
        if sequence and struct.unpack_from(">Q", payload)[0] != chain:
            return
        yield message_type, payload
        chain = zlib.crc32(struct.pack(">QI", chain, crc)) << 32 | crc
        at, sequence = end + 4, sequence + 1


def connections(data):
    """By connection what the two sides sent, in the order of time: (from_client, bytes) each."""
    found = {}
    for message_type, payload in frames(data):
        if message_type == ENTRY:
            _chain, _elapsed, connection, kind = struct.unpack_from(">QQIB", payload)
            if kind == OPENED:
                found[connection] = []
            elif kind in (FROM_CLIENT, FROM_SERVER):
                found[connection].append((kind == FROM_CLIENT, payload[21:]))
    return found


def main():
    found = connections(pathlib.Path(sys.argv[1]).read_bytes())
    number = int(sys.argv[3]) if len(sys.argv) > 3 else min(found)
    pcap.over_tcp(sys.argv[2], found[number], (1460,))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main()

"""Writes traces that Wireshark reads: one TCP connection, or one WebSocket in it, cut into segments as asked."""

import base64
import hashlib
import struct

CLIENT, SERVER = (bytes([127, 0, 0, 1]), 40000), (bytes([127, 0, 0, 1]), 25293)
# The file format's number for packets that begin with an IP header.
LINKTYPE_RAW = 101
SYN, PUSH, ACK, FIN = 0x02, 0x08, 0x10, 0x01


def checksum(data):
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Connection:
    """A TCP connection as packets, each with its time in microseconds."""

    def __init__(self, server_port=SERVER[1]):
        self.packets = []
        self.time = 1_700_000_000_000_000
        self.ends = {True: CLIENT, False: (SERVER[0], server_port)}
        self.sent = {True: 1000, False: 5000}
        self.packet(True, SYN)
        self.packet(False, SYN | ACK)
        self.packet(True, ACK)

    def packet(self, from_client, flags, data=b""):
        (source, source_port), (target, target_port) = self.ends[from_client], self.ends[not from_client]
        acknowledged = self.sent[not from_client] if flags & ACK else 0
        tcp = struct.pack(">HHIIBBHHH", source_port, target_port, self.sent[from_client] & 0xFFFFFFFF,
                          acknowledged & 0xFFFFFFFF, 5 << 4, flags, 65535, 0, 0)
        pseudo = source + target + struct.pack(">BBH", 0, 6, len(tcp) + len(data))
        tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp + data)) + tcp[18:] + data
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), len(self.packets) & 0xFFFF, 0, 64, 6, 0) + source + target
        head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
        self.sent[from_client] += len(data) + bool(flags & (SYN | FIN))
        self.packets.append((self.time, head + tcp))
        self.time += 1000

    def send(self, from_client, data, sizes=(1460,)):
        """Sends bytes in segments of these sizes, over and over."""
        at, turn = 0, 0
        while at < len(data):
            size = sizes[turn % len(sizes)]
            self.packet(from_client, PUSH | ACK, data[at:at + size])
            at, turn = at + size, turn + 1

    def close(self):
        self.packet(True, FIN | ACK)
        self.packet(False, FIN | ACK)
        self.packet(True, ACK)

    def write(self, path):
        with open(path, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_RAW))
            for time, packet in self.packets:
                out.write(struct.pack("<IIII", time // 1_000_000, time % 1_000_000, len(packet), len(packet)) + packet)


def turns(pieces):
    """Neighbours of one direction as one."""
    merged = []
    for from_client, data in pieces:
        if merged and merged[-1][0] == from_client:
            merged[-1] = (from_client, merged[-1][1] + data)
        else:
            merged.append((from_client, data))
    return merged


def over_tcp(path, pieces, sizes, server_port=SERVER[1]):
    """A trace of these (from_client, bytes), cut into segments of these sizes: frames over several segments, several
    frames in one."""
    connection = Connection(server_port)
    for from_client, data in turns(pieces):
        connection.send(from_client, data, sizes)
    connection.close()
    connection.write(path)


def websocket_message(from_client, data):
    """RFC 6455: one binary message in one frame, masked by a client."""
    length = len(data)
    head = bytes([0x82])
    masked = 0x80 if from_client else 0
    if length < 126:
        head += bytes([masked | length])
    elif length < 1 << 16:
        head += bytes([masked | 126]) + struct.pack(">H", length)
    else:
        head += bytes([masked | 127]) + struct.pack(">Q", length)
    if not from_client:
        return head + data
    mask = b"\x37\xfa\x21\x3d"
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


def over_websocket(path, pieces, sizes):
    """The same in a WebSocket, all frames of a turn in one message."""
    key = base64.b64encode(b"sixteen bytes!!!").decode()
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    connection = Connection()
    common = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: blaze.v1\r\n"
    connection.send(True, (f"GET /blaze HTTP/1.1\r\nHost: localhost:25293\r\n{common}Sec-WebSocket-Key: {key}\r\n"
                           "Sec-WebSocket-Version: 13\r\n\r\n").encode())
    connection.send(False, f"HTTP/1.1 101 Switching Protocols\r\n{common}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    for from_client, data in turns(pieces):
        connection.send(from_client, websocket_message(from_client, data), sizes)
    connection.close()
    connection.write(path)

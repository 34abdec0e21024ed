"""Scripts of connections: bytes put together by hand and, beside them, what a reader of the wire must find.

A script is lines; what stands behind ";" is a note. A frame begins with its direction (">" from the client, "<" from the
server), its type and its flags, both in hexadecimal:

    > 02 04

Its payload follows, in hexadecimal; "78*600" is 600 times the byte 78. A line may end with the fields that a reader must
show for its bytes, in order, parted by "|": the part of the message and the field, and the value. Numbers are decimal, or
hexadecimal behind 0x; bytes, ids and floating-point numbers are the digits of their bytes; "x*600" is a text.

    0000000000000001      | operation.number = 1

"= HEX" is the payload as it travels, where that is compressed; the lines then give it plain. "! crc" changes a bit of the
checksum, "! gap" passes over one sequence, "! junk HEX" puts bytes before the frame, "! first N" is the sequence of the
side's first frame, and "! expert NAME" says that a reader must warn by that name. A payload whose frame has "! crc" is not
shown.
"""

import struct
import zlib
from dataclasses import dataclass, field

HEADER = struct.Struct(">5sBBIB")


@dataclass
class Frame:
    """A frame of a script and what must be found in it."""

    from_client: bool
    type: int
    flags: int
    plain: bytes = b""
    travelling: bytes = None
    fields: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    experts: list = field(default_factory=list)
    junk: bytes = b""
    first: int = None
    sequence: int = 0

    def payload(self):
        return self.plain if self.travelling is None else self.travelling

    def encode(self):
        """The bytes: protocol.md, P-2."""
        head = HEADER.pack(b"BLAZE", 1, self.type, len(self.payload()), self.flags)
        frame = head + self.sequence.to_bytes(3, "big") + self.payload()
        crc = zlib.crc32(frame) ^ (1 if "crc" in self.faults else 0)
        return self.junk + frame + struct.pack(">I", crc)


def unhex(text):
    """The bytes of hexadecimal digits, repeated where "*" says so."""
    out = b""
    for token in text.split():
        digits, _, times = token.partition("*")
        out += bytes.fromhex(digits) * int(times or 1)
    return out


def expected(text):
    """A field and its value."""
    name, _, value = text.partition("=")
    value = value.strip()
    repeated, star, times = value.rpartition("*")
    if star and times.isdigit():
        value = repeated * int(times)
    return name.strip(), value


def fault(frame, text):
    word, _, rest = text.strip().partition(" ")
    if word == "junk":
        frame.junk = unhex(rest)
    elif word == "first":
        frame.first = int(rest)
    elif word == "expert":
        frame.experts.append(rest.strip())
    elif word in ("crc", "gap"):
        frame.faults.append(word)
    else:
        raise ValueError(f"'{text}' is no fault of a script")


def read(text):
    """The frames of a script, numbered."""
    frames = []
    for line in text.splitlines():
        line = line.partition(";")[0].strip()
        if not line:
            continue
        if line[0] in "<>":
            message_type, flags = line[1:].split()
            frames.append(Frame(line[0] == ">", int(message_type, 16), int(flags, 16)))
        elif line[0] == "!":
            fault(frames[-1], line[1:])
        elif line[0] == "=":
            frames[-1].travelling = (frames[-1].travelling or b"") + unhex(line[1:])
        else:
            digits, *fields = line.split("|")
            frames[-1].plain += unhex(digits)
            frames[-1].fields += [expected(one) for one in fields]
    number(frames)
    return frames


def number(frames):
    """Gives each frame its sequence: protocol.md, P-6.1."""
    following = {True: 0, False: 0}
    for frame in frames:
        sequence = following[frame.from_client] if frame.first is None else frame.first
        sequence += "gap" in frame.faults
        frame.sequence = sequence % (1 << 24)
        following[frame.from_client] = (frame.sequence + 1) % (1 << 24)


def session_of(document):
    """The frames of the session in protocol.md, P-11, as (from_client, bytes)."""
    body = document.split("```session\n")[1].split("```")[0]
    frames = []
    for part in body.split("#")[1:]:
        title, _, lines = part.partition("\n")
        digits = "".join(line.partition(";")[0] for line in lines.splitlines())
        frames.append((title.strip().startswith("client"), bytes.fromhex("".join(digits.split()))))
    return frames


def lz4_block(block):
    """What a block of LZ4 becomes: a decoder of its own, for blocks that are known to be right."""
    out, at = bytearray(), 0

    def length(nibble):
        nonlocal at
        total = nibble
        while nibble == 15:
            byte = block[at]
            at += 1
            total += byte
            if byte < 255:
                break
        return total

    while True:
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at:at + literals]
        at += literals
        if at == len(block):
            return bytes(out)
        distance = block[at] | block[at + 1] << 8
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-distance])

#!/usr/bin/env python3
"""Makes seeds of the vectors: fuzz/seeds.py FOLDER writes FOLDER/TARGET/NAME for the targets that read what the vectors
hold. How an input of a target is laid out stands with its body, in the `fuzzing` modules of the crate."""

import json
import re
import sys
from pathlib import Path

VECTORS = Path(__file__).resolve().parent.parent / "conformance" / "vectors"
# Longer inputs make a run slow and reach nothing that short ones do not; scripts/fuzz has the same limit.
MAX_BYTES = 4096
# Of a connection's input: the handshake is done before, the rest is a program (src/proto/fuzzing.rs).
RAW, PROGRAM_AFTER_HANDSHAKE = 0, 3
# What is done between two frames: everything is decided, durable, admitted.
BETWEEN = 0x0E
HEADER_BYTES, TRAILER_BYTES = 15, 4


def expand(text):
    """The bytes of hex digits in which a group in parentheses is repeated."""
    return bytes.fromhex(re.sub(r"\(([0-9a-f]+)\*([0-9]+)\)", lambda group: group[1] * int(group[2]), text))


def cases(name):
    return json.loads((VECTORS / f"{name}.json").read_text())["cases"]


def records():
    for case in cases("records"):
        bytes_ = expand(case["hex"])
        yield "record_canonical", case["name"], bytes_
        yield "record_lenient", case["name"], bytes_


def values():
    """Values alone, each behind the one before it: what is compared is two of them."""
    previous = b"\x0b"
    for case in cases("values"):
        value = expand(case["hex"])
        yield "order", f"{case['name']}_value", previous + value
        if case["name"].startswith("y_"):
            previous = value
    for case in cases("order"):
        groups = [expand(equal["hex"]) for group in case.get("ascending", []) for equal in group["equal"]]
        for place, (one, other) in enumerate(zip(groups, groups[1:])):
            yield "order", f"{case['name']}_{place}", one + other


def texts():
    for case in cases("json"):
        if "text" in case:
            yield "json", case["name"], case["text"].encode("utf-8", "surrogatepass")


def messages():
    for case in cases("messages"):
        payload = expand(case["hex"])
        yield "message", case["name"], bytes([case["type"]]) + payload
        if len(payload) < 256:
            framed = bytes([case["type"], BETWEEN, len(payload)]) + payload
            for role in "client", "server":
                yield f"connection_{role}", case["name"], bytes([PROGRAM_AFTER_HANDSHAKE]) + framed


def frames():
    for case in cases("frames"):
        stream = expand(case["hex"])
        yield "frames", case["name"], b"\x00" + stream
        yield "canary", case["name"], stream
    for case in cases("compression"):
        yield "compression", case["name"], expand(case["hex"])


def sessions():
    """What each side of a session hears, raw, in pieces of at most 239 bytes: a greater length means a pause."""
    for case in cases("sessions"):
        for role, peer in ("client", "server"), ("server", "client"):
            heard = b"".join(expand(step["hex"]) for step in case["steps"] if step.get("from") == peer and "hex" in step)
            pieces = [heard[at : at + 0xEF] for at in range(0, len(heard), 0xEF)]
            raw = b"".join(bytes([len(piece)]) + piece for piece in pieces)
            yield f"connection_{role}", f"{case['name']}_raw", bytes([RAW]) + raw
            yield "websocket", f"{case['name']}_{role}", b"\x12" + b"".join(
                b"\x02" + bytes([len(piece)]) + piece for piece in pieces
            )
            yield from program(role, case["name"], heard)


def program(role, name, heard):
    """The same session as frames whose envelopes are made anew, if all of its frames fit."""
    made, at = bytes([PROGRAM_AFTER_HANDSHAKE]), 0
    while len(heard) - at >= HEADER_BYTES + TRAILER_BYTES:
        length = int.from_bytes(heard[at + 7 : at + 11], "big")
        payload = heard[at + HEADER_BYTES : at + HEADER_BYTES + length]
        # A welcome or a hello came before.
        if at > 0 and len(payload) == length < 256:
            made += bytes([heard[at + 6], BETWEEN, length]) + payload
        at += HEADER_BYTES + length + TRAILER_BYTES
    yield f"connection_{role}", f"{name}_program", made


def main():
    folder = Path(sys.argv[1])
    written = 0
    for source in records, values, texts, messages, frames, sessions:
        for target, name, seed in source():
            if len(seed) > MAX_BYTES:
                continue
            (folder / target).mkdir(parents=True, exist_ok=True)
            (folder / target / re.sub(r"\W", "_", name)).write_bytes(seed)
            written += 1
    print(f"{written} seeds from the vectors")


if __name__ == "__main__":
    main()

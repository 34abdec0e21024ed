"""Checks what reads the wire against scripts (script.py): Wireshark's dissector and the Kaitai description.

    check.py tshark                spec/wireshark/blaze.lua through tshark: over TCP, another port, WebSocket
    check.py kaitai TOOLS          spec/blaze.ksy through its compiler, which was installed into the folder TOOLS
    check.py vectors TOOLS         both over the messages of conformance/vectors, against each other
    check.py capture FILE TOOLS    both over the connections of a capture, against each other

Prints what differs and ends with 1, else a count.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

import capture
import pcap
import script

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
DISSECTOR = ROOT / "spec" / "wireshark" / "blaze.lua"
# Frames over several segments, one byte alone, and several frames in one segment.
SIZES = (1, 7, 40, 300, 1460, 3, 90)
# Of what is not shown as a number, or not exactly, the bytes are compared.
BY_BYTES = {"value.double", "value.date", "value.item", "value.uuid", "value.data", "payload", "query.rest"}


def plain(name, text):
    """One writing for what readers write differently: numbers decimal, ids and bytes as digits."""
    if name in BY_BYTES or name.endswith((".id", ".node", ".connection")):
        text = text.replace(":", "").replace("-", "").lower()
        if len(text) == 32 or name in BY_BYTES:
            return text
    try:
        number = int(text, 0)
        # JavaScript's numbers are exact up to there.
        return str(number) if abs(number) < 1 << 53 else repr(float(number))
    except ValueError:
        return {"True": "1", "False": "0", "true": "1", "false": "0"}.get(text, text)


def dissected(trace, *options):
    """The frames that tshark finds: (type, fields, warnings) each, in the order of the trace."""
    command = ["tshark", "-r", trace, "-X", f"lua_script:{DISSECTOR}", "-T", "pdml", *options]
    done = subprocess.run(command, capture_output=True, check=True)
    if b"Lua Error" in done.stdout:
        sys.exit("the dissector fails: " + done.stdout[done.stdout.index(b"Lua Error"):][:300].decode())
    frames = []
    for protocol in ElementTree.fromstring(done.stdout).iter("proto"):
        if protocol.get("name") == "blaze":
            frames.append(one_dissected(protocol))
    return frames


def one_dissected(protocol):
    message_type, fields, warnings = None, [], set()
    for item in protocol.iter("field"):
        name = item.get("name")
        if name == "blaze.header.type":
            message_type = int(item.get("show"), 0)
        if name.startswith("blaze.expert."):
            warnings.add(name.removeprefix("blaze.expert."))
        elif name.startswith("blaze."):
            name = name.removeprefix("blaze.")
            is_part = name.startswith(("header", "payload.")) or name in ("crc", "passed_over", "message")
            is_leaf = not any(child.get("name").startswith("blaze.") for child in item if child.get("name"))
            if is_leaf and not is_part and name not in ("extension",):
                text = item.get("value") if name in BY_BYTES else item.get("show")
                fields.append((name, plain(name, text or "")))
    return message_type, fields, warnings


def compare(title, found, frames, with_warnings):
    """Counts the differences, and tells them."""
    faults = 0
    if len(found) != len(frames):
        print(f"{title}: {len(found)} frames were found, {len(frames)} are there")
        faults += 1
    for at, (one, frame) in enumerate(zip(found, frames)):
        wanted = [(name, plain(name, value)) for name, value in frame.fields]
        message_type, fields, warnings = one
        if message_type != frame.type or fields != wanted:
            print(f"{title}: frame {at} of type {frame.type:02x}, found {message_type}:")
            for name, value in [("missing", item) for item in wanted if item not in fields]:
                print(f"  {name} {value}")
            for name, value in [("found", item) for item in fields if item not in wanted]:
                print(f"  {name} {value}")
            faults += 1
        if with_warnings and warnings != set(frame.experts):
            print(f"{title}: frame {at} of type {frame.type:02x} warns of {warnings}, not of {set(frame.experts)}")
            faults += 1
    return faults


def read(name):
    frames = script.read((HERE / name).read_text())
    for frame in frames:
        if frame.travelling is not None and "bad_compression" not in frame.experts:
            assert script.lz4_block(frame.travelling[4:]) == frame.plain, "a block of the script is wrong"
    return frames


def trace_of(pieces, write):
    """What tshark finds in a trace of these bytes; bytes that are no frame count as a warning of the frame behind."""
    with tempfile.TemporaryDirectory() as folder:
        trace = str(pathlib.Path(folder, "trace.pcap"))
        write(trace, pieces)
        found, warned = [], set()
        for message_type, fields, warnings in dissected(trace):
            if message_type is None:
                warned |= warnings
            else:
                found.append((message_type, fields, warnings | warned))
                warned = set()
        return found


def over_tcp(trace, pieces):
    pcap.over_tcp(trace, pieces, SIZES)


def over_another_port(trace, pieces):
    pcap.over_tcp(trace, pieces, (1460,), server_port=4444)


def over_websocket(trace, pieces):
    pcap.over_websocket(trace, pieces, SIZES)


def check_tshark(ways):
    faults, count = 0, 0
    for name in ["messages.txt", "faults.txt"]:
        frames = read(name)
        pieces = [(frame.from_client, frame.encode()) for frame in frames]
        for write in ways:
            found = trace_of(pieces, write)
            faults += compare(f"{name} {write.__name__}", found, frames, True)
            count += len(found)
    session = script.session_of((ROOT / "spec" / "protocol.md").read_text())
    found = trace_of(session, over_tcp)
    if [(kind, warnings) for kind, _, warnings in found] != [(1, set()), (1, set()), (2, set()), (7, set())]:
        print(f"the session of protocol.md: {found}")
        faults += 1
    return faults, count + len(found)


def dumped(tools, data, *options):
    """What the Kaitai description reads, or None where it refuses."""
    command = ["node", HERE / "kaitai" / "dump.js", tools, *options]
    done = subprocess.run(command, input=data, capture_output=True, check=False)
    if done.returncode not in (0, 1) or (done.returncode and b"Error" not in done.stderr):
        sys.exit(f"node failed: {done.stderr.decode()}")
    return None if done.returncode else [json.loads(line) for line in done.stdout.splitlines()]


def dumped_payloads(tools, payloads):
    """The same of plain payloads, (type, bytes) each; of those that it refuses an object with "refused"."""
    lines = "".join(f"{kind} {payload.hex()}\n" for kind, payload in payloads)
    return dumped(tools, lines.encode(), "payloads")


def as_found(line):
    return line["type"], [(name, plain(name, value)) for name, value in line["fields"]], set()


def from_stream(tools, data):
    """The frames of one direction."""
    found = []
    lines = dumped(tools, data)
    if lines is None:
        return found
    for line in lines:
        if "block" in line:
            payload = script.lz4_block(bytes.fromhex(line["block"]))
            assert len(payload) == line["plain_length"]
            [line] = dumped_payloads(tools, [(line["type"], payload)])
        found.append(as_found(line))
    return found


def check_kaitai(tools):
    faults, count = 0, 0
    for name in ["messages.txt", "session"]:
        frames = read(name) if name != "session" else None
        for from_client in (True, False):
            if frames:
                wanted = [frame for frame in frames if frame.from_client == from_client]
                found = from_stream(tools, b"".join(frame.encode() for frame in wanted))
                faults += compare(name, found, wanted, False)
            else:
                session = script.session_of((ROOT / "spec" / "protocol.md").read_text())
                data = b"".join(frame for side, frame in session if side == from_client)
                found = from_stream(tools, data)
                faults += [kind for kind, _, _ in found] != ([1, 2] if from_client else [1, 7])
            count += len(found)
    # What is not BLAZE is refused.
    ping = script.Frame(True, 0x12, 0, bytes(8))
    short = script.Frame(True, 0x12, 0, bytes(7))
    flagged = script.Frame(True, 0x12, 8, bytes(8))
    for wrong in (ping.encode()[:-1], b"?" + ping.encode(), short.encode(), flagged.encode()):
        if dumped(tools, wrong) is not None:
            print(f"the description takes {wrong.hex()}")
            faults += 1
    return faults, count


# Codes of payloads that are not laid out as their message: any reader finds that.
LAYOUT_CODES = {"truncated", "trailing_bytes"}
# The order of keys is by NFC, which a dissector does not judge.
NOT_JUDGED = {"n_ping_with_a_dict_unsorted"}
SENT_BY_SERVERS = (0x04, 0x07, 0x08, 0x10)


def check_vectors(tools):
    """Both readers take every message that is right, with the same fields; the dissector warns of what is laid out
    wrongly, and survives the rest."""
    cases = json.loads((ROOT / "conformance" / "vectors" / "messages.json").read_text())["cases"]
    payloads = [(case["type"], from_vector(case["hex"])) for case in cases]
    frames = [script.Frame(kind not in SENT_BY_SERVERS, kind, 4 if kind == 2 else 0, payload) for kind, payload in payloads]
    # Each by itself: a turn holds one direction, and what is found is in the order of the trace.
    script.number(frames)
    found = trace_of([(frame.from_client, frame.encode()) for frame in frames], over_tcp)
    faults = len(found) != len(frames)
    for case, (kind, fields, warnings), line in zip(cases, found, dumped_payloads(tools, payloads)):
        if case["name"].startswith("y_"):
            fault = "refused" in line or as_found(line)[:2] != (kind, fields) or warnings - {"bad_record"}
        else:
            is_judged = case["code"] in LAYOUT_CODES and case["name"] not in NOT_JUDGED
            fault = is_judged and "malformed" not in warnings
        if fault:
            print(f"{case['name']}: tshark warns of {warnings} and finds {fields}, Kaitai {line}")
            faults += 1
    blocks, block_faults = check_blocks()
    return faults + block_faults, len(found) + blocks


def check_blocks():
    """The dissector's LZ4 takes what is right and nothing else."""
    cases = json.loads((ROOT / "conformance" / "vectors" / "compression.json").read_text())["cases"]
    frames = [script.Frame(True, 0x12, 1, travelling=from_vector(case["hex"])) for case in cases]
    script.number(frames)
    found = trace_of([(True, frame.encode()) for frame in frames], lambda trace, pieces: pcap.over_tcp(trace, pieces, (1460,)))
    faults = len(found) != len(cases)
    for case, (_, _, warnings) in zip(cases, found):
        refused = "bad_compression" in warnings
        if refused != case["name"].startswith("n_") and not case["name"].startswith("i_"):
            print(f"{case['name']}: tshark warns of {warnings}")
            faults += 1
    return len(found), faults


def from_vector(digits):
    """conformance/README.md: "(0b*65535)" is a repetition."""
    whole = re.sub(r"\(([0-9a-f]*)\*(\d+)\)", lambda match: match[1] * int(match[2]), digits)
    return bytes.fromhex(whole)


def check_capture(file, tools):
    """Both readers over each connection of a capture: they find the same. Prints the types found, for a test."""
    data = pathlib.Path(file).read_bytes()
    entries = dumped(tools, data)
    assert [entry["type"] for entry in entries] == [0x2A] + [0x2B] * (len(entries) - 1), "a capture is 2A, 2B, 2B …"
    faults, count = 0, 0
    for number, pieces in sorted(capture.connections(data).items()):
        found, wanted = trace_of(pieces, over_tcp), 0
        for from_client in (True, False):
            frames = from_stream(tools, b"".join(piece for side, piece in pieces if side == from_client))
            wanted += len(frames)
            types = "".join(f" {kind:02x}" for kind, _, _ in frames)
            print(f"connection {number} {'client' if from_client else 'server'}{types}")
            # A trace holds both directions in the order of time: each side's frames are a part of it, in order.
            rest = iter([(kind, fields) for kind, fields, _ in found])
            if not all((kind, fields) in rest for kind, fields, _ in frames):
                print(f"connection {number}: tshark and Kaitai differ")
                faults += 1
        warnings = [warned for _, _, warned in found if warned]
        if len(found) != wanted or warnings:
            print(f"connection {number}: tshark finds {len(found)} frames and warns of {warnings}")
            faults += 1
        count += wanted
    return faults, count


def main():
    if sys.argv[1] == "tshark":
        faults, count = check_tshark([over_tcp, over_another_port, over_websocket])
    elif sys.argv[1] == "kaitai":
        faults, count = check_kaitai(sys.argv[2])
    elif sys.argv[1] == "vectors":
        faults, count = check_vectors(sys.argv[2])
    elif sys.argv[1] == "capture":
        faults, count = check_capture(sys.argv[2], sys.argv[3])
    else:
        sys.exit(__doc__)
    if faults:
        sys.exit(f"{faults} differences")
    print(f"{count} frames as they should be")


if __name__ == "__main__":
    main()

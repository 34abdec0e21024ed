"""The messages of spec/protocol.md (P-4), written from it alone: the typed form of the vectors to payload and back."""

import re
import uuid

from blazebinary import encode_value
import typed
from wire import Fault, Fields, TYPES, extension, framed_record, ident, u16, u32, u64, u8

DATABASE = re.compile(r"[a-z0-9_-]{1,64}\Z")
COLLECTION = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
MAX_AGENT, MAX_TEXT, MAX_CAPABILITY, MAX_CAPABILITIES = 128, 1024, 32, 64
LEVELS = {"accepted": 0, "durable": 1, "replicated": 2}
ACTIONS = {"insert": 1, "upsert": 2, "patch": 3, "delete": 4, "check": 5, "drop": 6}
BASE, SKIP_UNCHANGED, LAST = 0x80, 0x40, 0x80
BOUNDS = {"none": 0, "inclusive": 1, "exclusive": 2}
MODES = {"all": 1, "latest": 2}
STARTS = {"now": 0, "snapshot": 1, "after": 2}
LANES = {"work": 0, "telemetry": 1}
SCOPES = {"connection": 0, "operation": 1, "request": 2}
CREDIT_SCOPES = {"work": 0, "telemetry": 1, "request": 2}
QUERIES = {"get": 1, "scan": 2, "stats": 3}
EVENTS = {"changes": 1, "caught_up": 2, "reset": 3, "waiting": 4, "heartbeat": 5, "ended": 6}
CHANGES = {"put": 1, "delete": 2, "dropped": 3}


def uuid_value(text):
    return encode_value(None if text is None else uuid.UUID(text))


# Writing: the typed form to the payload.


def write_hello(m):
    return (u8(1) + u8(m["min_version"]) + u8(m["max_version"]) + u64(m["next_operation"]) + u64(m["oldest_unacked"])
            + u32(m["heartbeat_ms"]) + encode_value(m["database"]) + encode_value(m["agent"]) + uuid_value(m["node"])
            + encode_value(m["capabilities"]))


def write_welcome(m):
    return (u8(2) + u8(m["version"]) + u64(m["node_decided"]) + u16(m["operation_window"]) + u32(m["heartbeat_ms"])
            + u64(m["work_frames"]) + u64(m["work_bytes"]) + u64(m["telemetry_frames"]) + u64(m["telemetry_bytes"])
            + u16(m["request_limit"]) + u64(m["clock"]) + bytes.fromhex(m["position"]) + uuid_value(m["connection"])
            + uuid_value(m["node"]) + encode_value(m["agent"]) + encode_value(m["capabilities"]))


def write_action(o):
    base, kind = o.get("base"), o["kind"]
    out = u8(ACTIONS[kind] | (BASE if base is not None else 0) | (SKIP_UNCHANGED if o.get("skip_unchanged") else 0))
    out += u64(base) if base is not None else b""
    if kind in ("insert", "upsert"):
        return out + framed_record(bytes.fromhex(o["record"]))
    if kind == "patch":
        return out + ident(o["id"]) + encode_value(o["remove"]) + framed_record(bytes.fromhex(o["set"]))
    return out + (b"" if kind == "drop" else ident(o["id"]))


def write_operation(m):
    out = u64(m["number"]) + u8(LEVELS[m["ack_level"]]) + u16(len(m["groups"]))
    for group in m["groups"]:
        out += encode_value(group["collection"]) + u16(len(group["operations"]))
        out += b"".join(write_action(o) for o in group["operations"])
    return out


def write_bound(bound):
    return u8(BOUNDS[bound["kind"]]) + (ident(bound["id"]) if "id" in bound else b"")


def write_query(m):
    at_least = m["at_least"]
    out = u64(m["id"]) + u64(m["frames"]) + u64(m["bytes"]) + u8(QUERIES[m["kind"]])
    out += u8(0) if at_least is None else u8(1) + bytes.fromhex(at_least)
    out += encode_value(m["collection"])
    if m["kind"] == "get":
        return out + u16(len(m["ids"])) + b"".join(ident(i) for i in m["ids"])
    if m["kind"] == "scan":
        return out + u8(1 if m["reverse"] else 0) + u64(m["limit"]) + write_bound(m["lower"]) + write_bound(m["upper"])
    return out


def write_query_response(m):
    rows = b"".join(u64(row["seq"]) + framed_record(bytes.fromhex(row["record"])) for row in m["rows"])
    return u64(m["id"]) + u8(1 if m["last"] else 0) + bytes.fromhex(m["position"]) + u16(len(m["rows"])) + rows


def write_subscribe(m):
    return (u64(m["id"]) + u64(m["frames"]) + u64(m["bytes"]) + u8(MODES[m["mode"]]) + u8(STARTS[m["start"]])
            + bytes.fromhex(m.get("after", "")) + encode_value(m["collection"]))


def write_ack(m):
    return (u8(LANES[m["lane"]]) + u8(LEVELS[m["level"]]) + u64(m["number"]) + u64(m["unchanged"])
            + bytes.fromhex(m["position"]))


def write_error(m):
    return (u8(SCOPES[m["scope"]]) + u64(m["id"]) + u16(m["code"]) + encode_value(m["message"])
            + encode_value(None if m["detail"] is None else typed.parse(m["detail"])))


def write_change(c):
    out = u8(CHANGES[c["kind"]] | (LAST if c["last"] else 0)) + u64(c["seq"])
    return out + (framed_record(bytes.fromhex(c["record"])) if "record" in c else ident(c["id"]) if "id" in c else b"")


def write_event(m):
    out = u64(m["id"]) + u8(EVENTS[m["kind"]]) + bytes.fromhex(m["position"])
    if m["kind"] == "changes":
        out += u16(len(m["changes"])) + b"".join(write_change(c) for c in m["changes"])
    if m["kind"] == "reset":
        out += u16(m["code"]) + bytes.fromhex(m["oldest"])
    return out


WRITERS = {
    "hello": ("handshake", write_hello),
    "welcome": ("handshake", write_welcome),
    "operation": ("operation", write_operation),
    "query": ("query", write_query),
    "query_response": ("query_response", write_query_response),
    "subscribe": ("subscribe", write_subscribe),
    "ack": ("ack", write_ack),
    "error": ("error", write_error),
    "event": ("event", write_event),
    "unsubscribe": ("unsubscribe", lambda m: u64(m["id"])),
    "ping": ("ping", lambda m: u64(m["nonce"])),
    "pong": ("pong", lambda m: u64(m["nonce"]) + u64(m["clock"])),
    "goodbye": ("goodbye", lambda m: u16(m["code"]) + u32(m["retry_after_ms"]) + encode_value(m["message"])),
    "credit": ("credit", lambda m: u8(CREDIT_SCOPES[m["scope"]]) + u64(m["id"]) + u64(m["frames"]) + u64(m["bytes"])),
    "cancel": ("cancel", lambda m: u64(m["id"])),
}


def encode(message):
    """The number of the message's type, and its payload."""
    name, write = WRITERS[message["is"]]
    return TYPES[name], write(message) + extension(message.get("extension"))


# Reading: the payload to the typed form.


def read_handshake(f):
    return read_hello(f) if f.number(1, 1, 2) == 1 else read_welcome(f)


def read_capabilities(f):
    found = f.texts()
    if len(found) > MAX_CAPABILITIES or any(len(name.encode("utf-8")) > MAX_CAPABILITY for name in found):
        f.refuse()
    return found


def read_uuid(f, *others):
    found = f.value(uuid.UUID, *others)
    return None if found is None else str(found)


def read_hello(f):
    m = {"is": "hello", "min_version": f.number(1, 1)}
    m["max_version"] = f.number(1, m["min_version"])
    m["next_operation"] = f.long(1)
    m["oldest_unacked"] = f.long(1)
    if int(m["oldest_unacked"]) > int(m["next_operation"]):
        f.refuse()
    m["heartbeat_ms"] = f.number(4)
    m["database"] = f.name(DATABASE)
    m["agent"] = f.text(MAX_AGENT)
    m["node"] = read_uuid(f, type(None))
    m["capabilities"] = read_capabilities(f)
    return m


def read_welcome(f):
    m = {"is": "welcome", "version": f.number(1), "node_decided": f.long()}
    m["operation_window"] = f.number(2, 1, 1024)
    m["heartbeat_ms"] = f.number(4, 5000, 60000)
    for member in ("work_frames", "work_bytes", "telemetry_frames", "telemetry_bytes"):
        m[member] = f.long()
    m["request_limit"] = f.number(2)
    m["clock"] = f.long()
    m["position"] = f.position()
    m["connection"] = read_uuid(f)
    m["node"] = read_uuid(f)
    m["agent"] = f.text(MAX_AGENT)
    m["capabilities"] = read_capabilities(f)
    return m


def read_action(f, first):
    byte = f.number(1)
    names = [name for name, number in ACTIONS.items() if number == byte & 0x0f]
    if not names or byte & 0x30:
        f.refuse()
    kind = names[0]
    forbidden = (byte & SKIP_UNCHANGED and kind != "upsert" or kind == "check" and not byte & BASE
                 or kind == "drop" and (byte & BASE or not first))
    if forbidden:
        f.refuse()
    o = {"kind": kind}
    if byte & BASE:
        o["base"] = f.long()
    if byte & SKIP_UNCHANGED:
        o["skip_unchanged"] = True
    if kind in ("insert", "upsert"):
        o["record"] = f.record()
    elif kind == "patch":
        o["id"], o["remove"], o["set"] = f.ident(), f.texts(), f.record()
    elif kind != "drop":
        o["id"] = f.ident()
    return o


def read_operation(f):
    m = {"is": "operation", "number": about(f, "operation"), "ack_level": f.choice(LEVELS), "groups": []}
    for _ in range(f.number(2, 1)):
        group = {"collection": f.name(COLLECTION), "operations": []}
        for index in range(f.number(2, 1)):
            group["operations"].append(read_action(f, index == 0))
        m["groups"].append(group)
    return m


def read_bound(f):
    bound = {"kind": f.choice(BOUNDS)}
    if bound["kind"] != "none":
        bound["id"] = f.ident()
    return bound


def read_query(f):
    m = {"is": "query", "id": about(f, "request"), "frames": f.long(), "bytes": f.long()}
    kind = f.number(1, 1, 5)
    if kind in (4, 5):
        f.refuse("not_supported")
    m["kind"] = [name for name, number in QUERIES.items() if number == kind][0]
    m["at_least"] = f.position() if f.number(1, 0, 1) else None
    if m["kind"] == "stats":
        m["collection"] = None if f.raw[f.at:f.at + 1] == b"\x0b" else f.name(COLLECTION)
        f.at += 1 if m["collection"] is None else 0
        return m
    m["collection"] = f.name(COLLECTION)
    if m["kind"] == "get":
        count = f.number(2, 1)
        f.begin()
        ids = f.take(16 * count)
        m["ids"] = [str(uuid.UUID(bytes=bytes(ids[at:at + 16]))) for at in range(0, len(ids), 16)]
    else:
        m["reverse"] = f.number(1, 0, 1) == 1
        m["limit"] = f.long()
        m["lower"], m["upper"] = read_bound(f), read_bound(f)
    return m


def read_query_response(f):
    m = {"is": "query_response", "id": f.long(1), "last": f.number(1, 0, 1) == 1, "position": f.position()}
    m["rows"] = [{"seq": f.long(), "record": f.record()} for _ in range(f.number(2))]
    return m


def read_subscribe(f):
    m = {"is": "subscribe", "id": about(f, "request"), "frames": f.long(), "bytes": f.long()}
    m["mode"], m["start"] = f.choice(MODES), f.choice(STARTS)
    if m["start"] == "after":
        m["after"] = f.position()
    m["collection"] = f.name(COLLECTION)
    return m


def read_ack(f):
    return {"is": "ack", "lane": f.choice(LANES), "level": f.choice(LEVELS), "number": f.long(1),
            "unchanged": f.long(), "position": f.position()}


def read_error(f):
    m = {"is": "error", "scope": f.choice(SCOPES), "id": f.long()}
    if (m["scope"] == "connection") != (m["id"] == "0"):
        f.refuse()
    m["code"], m["message"] = f.number(2, 1), f.text(MAX_TEXT)
    detail = f.value(dict, type(None))
    if detail == {}:
        f.refuse()
    m["detail"] = typed.value(detail)
    return m


def read_change(f):
    byte = f.number(1)
    names = [name for name, number in CHANGES.items() if number == byte & 0x7f]
    if not names:
        f.refuse()
    c = {"kind": names[0], "last": bool(byte & LAST), "seq": f.long()}
    if c["kind"] == "put":
        c["record"] = f.record()
    elif c["kind"] == "delete":
        c["id"] = f.ident()
    return c


def read_event(f):
    m = {"is": "event", "id": f.long(1), "kind": f.choice(EVENTS), "position": f.position()}
    if m["kind"] == "changes":
        m["changes"] = [read_change(f) for _ in range(f.number(2, 1))]
    if m["kind"] == "reset":
        m["code"], m["oldest"] = f.number(2, 1), f.position()
    return m


def read_credit(f):
    m = {"is": "credit", "scope": f.choice(CREDIT_SCOPES), "id": f.long()}
    if (m["scope"] == "request") != (m["id"] != "0"):
        f.refuse()
    m["frames"], m["bytes"] = f.long(), f.long()
    return m


READERS = {
    "handshake": read_handshake,
    "operation": read_operation,
    "query": read_query,
    "query_response": read_query_response,
    "subscribe": read_subscribe,
    "ack": read_ack,
    "error": read_error,
    "event": read_event,
    "unsubscribe": lambda f: {"is": "unsubscribe", "id": f.long(1)},
    "ping": lambda f: {"is": "ping", "nonce": f.long()},
    "pong": lambda f: {"is": "pong", "nonce": f.long(), "clock": f.long()},
    "goodbye": lambda f: {"is": "goodbye", "code": f.number(2), "retry_after_ms": f.number(4),
                          "message": f.text(MAX_TEXT)},
    "credit": read_credit,
    "cancel": lambda f: {"is": "cancel", "id": f.long(1)},
}


def about(f, scope):
    """A number or id that answers name: faults behind it are answered for it alone (P-3.5)."""
    found = f.long(1)
    f.scope, f.id = scope, int(found)
    return found


def decode(message_type, payload):
    """The message, or Fault with the scope and id of its answer."""
    names = [name for name, number in TYPES.items() if number == message_type]
    if not names:
        raise Fault("unknown_message_type")
    if names[0] not in READERS:
        raise Fault("not_supported")
    f = Fields(payload)
    f.scope, f.id = "connection", 0
    try:
        m = READERS[names[0]](f)
        ext = f.end()
    except Fault as fault:
        fault.scope, fault.id = f.scope, f.id
        raise
    if ext is not None:
        m["extension"] = ext
    return m

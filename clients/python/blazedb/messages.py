"""Messages (spec/protocol.md, P-3 and P-4): payloads to values and back. Both roles', so that tests can play a server."""

from __future__ import annotations

import re
import struct
import uuid
import zlib
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ._nfc import nfc
from .encoding import encode_value
from .errors import NUMBERS
from .payload import Fault, Reader

HANDSHAKE, OPERATION, QUERY, QUERY_RESPONSE, SUBSCRIBE, TELEMETRY, ACK, ERROR = range(0x01, 0x09)
EVENT, UNSUBSCRIBE, PING, PONG, AUTH, GOODBYE, CREDIT, CANCEL = range(0x10, 0x18)

# Spec P-3.6, in bytes of UTF-8: what a log line or a person can take.
MAX_AGENT = 128
MAX_MESSAGE = 1_024
MAX_CAPABILITY = 32
MAX_CAPABILITIES = 64
MAX_WINDOW = 1_024
MIN_HEARTBEAT_MS, MAX_HEARTBEAT_MS = 5_000, 60_000

DATABASE_NAME = re.compile(r"[a-z0-9_-]{1,64}\Z")
COLLECTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")

INSERT, UPSERT, PATCH, DELETE, CHECK, DROP = range(1, 7)
HAS_BASE, SKIP_UNCHANGED = 0x80, 0x40
GET, SCAN, STATS = 1, 2, 3
MODE_ALL, MODE_LATEST = 1, 2
START_NOW, START_SNAPSHOT, START_AFTER = 0, 1, 2
ACCEPTED, DURABLE, REPLICATED = 0, 1, 2
SCOPE_CONNECTION, SCOPE_OPERATION, SCOPE_REQUEST = 0, 1, 2
LANE_WORK, LANE_TELEMETRY = 0, 1
CHANGES, CAUGHT_UP, RESET, WAITING, HEARTBEAT, ENDED = range(1, 7)
PUT, DELETED, DROPPED = 1, 2, 3
LAST_OF_TRANSACTION = 0x80

# For messages that have a field called bytes.
Bytes = bytes

_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_RECORD = struct.Struct(">II")
_ACK = struct.Struct(">BBQQ16s")


class Hello(NamedTuple):
    min_version: int
    max_version: int
    next_operation: int
    oldest_unacked: int
    heartbeat_ms: int
    database: str
    agent: str
    node: Optional[uuid.UUID]
    capabilities: Sequence[str]


class Welcome(NamedTuple):
    version: int
    node_decided: int
    operation_window: int
    heartbeat_ms: int
    work_frames: int
    work_bytes: int
    telemetry_frames: int
    telemetry_bytes: int
    request_limit: int
    clock: int
    position: bytes
    connection: uuid.UUID
    node: uuid.UUID
    agent: str
    capabilities: Sequence[str]


class Op(NamedTuple):
    """One single operation. ``id`` of patch, delete and check; ``record`` also holds what a patch sets."""

    kind: int
    base: Optional[int] = None
    skip_unchanged: bool = False
    id: Optional[uuid.UUID] = None
    remove: Sequence[str] = ()
    record: Optional[bytes] = None


class Operation(NamedTuple):
    number: int
    ack_level: int
    groups: Sequence[Tuple[str, Sequence[Op]]]


class Bound(NamedTuple):
    kind: int = 0
    id: Optional[uuid.UUID] = None


class Query(NamedTuple):
    id: int
    frames: int
    bytes: int
    kind: int
    collection: Optional[str]
    at_least: Optional[Bytes] = None
    ids: Sequence[uuid.UUID] = ()
    reverse: bool = False
    limit: int = 0
    lower: Bound = Bound()
    upper: Bound = Bound()


class Row(NamedTuple):
    seq: int
    record: bytes


class QueryResponse(NamedTuple):
    id: int
    last: bool
    position: bytes
    rows: Sequence[Row]


class Subscribe(NamedTuple):
    id: int
    frames: int
    bytes: int
    mode: int
    start: int
    collection: str
    after: Optional[Bytes] = None


class Ack(NamedTuple):
    lane: int
    level: int
    number: int
    unchanged: int
    position: bytes


class Error(NamedTuple):
    scope: int
    id: int
    code: int
    message: str
    detail: Optional[Dict[str, Any]]


class Change(NamedTuple):
    kind: int
    last: bool
    seq: int
    record: Optional[bytes] = None
    id: Optional[uuid.UUID] = None


class Event(NamedTuple):
    id: int
    kind: int
    position: bytes
    changes: Sequence[Change] = ()
    code: int = 0
    oldest: bytes = b""


class Unsubscribe(NamedTuple):
    id: int


class Cancel(NamedTuple):
    id: int


class Ping(NamedTuple):
    nonce: int


class Pong(NamedTuple):
    nonce: int
    clock: int


class Goodbye(NamedTuple):
    code: int
    retry_after_ms: int
    message: str


class Credit(NamedTuple):
    scope: int
    id: int
    frames: int
    bytes: int


# ---- reading ----


def _handshake(reader: Reader) -> Any:
    return _hello(reader) if reader.choice(2, 1) == 1 else _welcome(reader)


def _hello(reader: Reader) -> Hello:
    at = reader.at
    low = reader.u8()
    if not low:
        raise Fault("invalid_field", at)
    high = reader.choice(255, low)
    following = reader.u64(1)
    at = reader.at
    oldest = reader.u64(1)
    if oldest > following:
        raise Fault("invalid_field", at)
    heartbeat = reader.u32()
    database = reader.name(DATABASE_NAME)
    agent = reader.text(MAX_AGENT)
    node = reader.typed(uuid.UUID, or_null=True)
    return Hello(low, high, following, oldest, heartbeat, database, agent, node, reader.names(MAX_CAPABILITIES, MAX_CAPABILITY))


def _welcome(reader: Reader) -> Welcome:
    version = reader.choice(255, 1)
    decided = reader.u64()
    at = reader.at
    window = reader.u16(1)
    if window > MAX_WINDOW:
        raise Fault("invalid_field", at)
    at = reader.at
    heartbeat = reader.u32()
    if not MIN_HEARTBEAT_MS <= heartbeat <= MAX_HEARTBEAT_MS:
        raise Fault("invalid_field", at)
    work, telemetry = (reader.u64(), reader.u64()), (reader.u64(), reader.u64())
    requests = reader.u16()
    clock = reader.u64()
    position = reader.raw(16)
    connection = reader.typed(uuid.UUID)
    node = reader.typed(uuid.UUID)
    agent = reader.text(MAX_AGENT)
    capabilities = reader.names(MAX_CAPABILITIES, MAX_CAPABILITY)
    return Welcome(version, decided, window, heartbeat, *work, *telemetry, requests, clock, position, connection, node, agent, capabilities)


def _operation(reader: Reader) -> Operation:
    number = reader.u64(1)
    level = reader.choice(REPLICATED)
    groups = []
    for _ in range(reader.u16(1)):
        collection = reader.name(COLLECTION_NAME)
        groups.append((collection, [_op(reader, index) for index in range(reader.u16(1))]))
    return Operation(number, level, groups)


def _op(reader: Reader, index: int) -> Op:
    at = reader.at
    byte = reader.u8()
    kind, has_base, skip = byte & 15, bool(byte & HAS_BASE), bool(byte & SKIP_UNCHANGED)
    if (
        not INSERT <= kind <= DROP
        or byte & 0x30
        or (skip and kind != UPSERT)
        or (kind == CHECK and not has_base)
        or (kind == DROP and (has_base or index))
    ):
        raise Fault("invalid_field", at)
    base = reader.u64() if has_base else None
    if kind in (INSERT, UPSERT):
        return Op(kind, base, skip, record=reader.record())
    if kind == PATCH:
        return Op(kind, base, id=reader.id(), remove=reader.names(65_535, 65_535), record=reader.record())
    return Op(kind, base, id=reader.id()) if kind in (DELETE, CHECK) else Op(kind)


def _query(reader: Reader) -> Query:
    number, frames, size = reader.u64(1), reader.u64(), reader.u64()
    at = reader.at
    kind = reader.choice(5, 1)
    if kind > STATS:
        raise Fault("not_supported", at)
    at_least = reader.raw(16) if reader.choice(1) else None
    if kind == GET:
        collection = reader.name(COLLECTION_NAME)
        return Query(number, frames, size, kind, collection, at_least, _ids(reader))
    if kind == STATS:
        at = reader.at
        name: Optional[str] = reader.typed(str, or_null=True)
        if name is not None and not COLLECTION_NAME.match(name):
            raise Fault("invalid_name", at)
        return Query(number, frames, size, kind, name, at_least)
    collection = reader.name(COLLECTION_NAME)
    reverse = reader.choice(1) == 1
    limit = reader.u64()
    return Query(number, frames, size, kind, collection, at_least, (), reverse, limit, _bound(reader), _bound(reader))


def _ids(reader: Reader) -> List[uuid.UUID]:
    count = reader.u16(1)
    at = reader.at
    if reader.end - at < 16 * count:
        # The ids are one field (P-3.7).
        raise Fault("truncated", at)
    return [reader.id() for _ in range(count)]


def _bound(reader: Reader) -> Bound:
    kind = reader.choice(2)
    return Bound(kind, reader.id()) if kind else Bound()


def _query_response(reader: Reader) -> QueryResponse:
    number, last, position = reader.u64(1), reader.choice(1) == 1, reader.raw(16)
    return QueryResponse(number, last, position, [Row(reader.u64(), reader.record()) for _ in range(reader.u16())])


def _subscribe(reader: Reader) -> Subscribe:
    number, frames, size = reader.u64(1), reader.u64(), reader.u64()
    mode, start = reader.choice(MODE_LATEST, MODE_ALL), reader.choice(START_AFTER)
    after = reader.raw(16) if start == START_AFTER else None
    return Subscribe(number, frames, size, mode, start, reader.name(COLLECTION_NAME), after)


def _ack(reader: Reader) -> Ack:
    lane, level = reader.choice(LANE_TELEMETRY), reader.choice(REPLICATED)
    return Ack(lane, level, reader.u64(1), reader.u64(), reader.raw(16))


def _error(reader: Reader) -> Error:
    scope = reader.choice(SCOPE_REQUEST)
    at = reader.at
    number = reader.u64()
    if (number == 0) != (scope == SCOPE_CONNECTION):
        raise Fault("invalid_field", at)
    code = reader.u16(1)
    message = reader.text(MAX_MESSAGE)
    at = reader.at
    detail = reader.typed(dict, or_null=True)
    if detail is not None and not detail:
        raise Fault("invalid_field", at)
    return Error(scope, number, code, message, detail)


def _event(reader: Reader) -> Event:
    number, kind, position = reader.u64(1), reader.choice(ENDED, CHANGES), reader.raw(16)
    if kind == CHANGES:
        return Event(number, kind, position, [_change(reader) for _ in range(reader.u16(1))])
    if kind == RESET:
        return Event(number, kind, position, code=reader.u16(1), oldest=reader.raw(16))
    return Event(number, kind, position)


def _change(reader: Reader) -> Change:
    at = reader.at
    byte = reader.u8()
    kind, last = byte & ~LAST_OF_TRANSACTION, bool(byte & LAST_OF_TRANSACTION)
    if not PUT <= kind <= DROPPED:
        raise Fault("invalid_field", at)
    seq = reader.u64()
    if kind == PUT:
        return Change(kind, last, seq, record=reader.record())
    return Change(kind, last, seq, id=reader.id()) if kind == DELETED else Change(kind, last, seq)


def _credit(reader: Reader) -> Credit:
    scope = reader.choice(2)
    at = reader.at
    number = reader.u64()
    if (number == 0) != (scope != SCOPE_REQUEST):
        raise Fault("invalid_field", at)
    return Credit(scope, number, reader.u64(), reader.u64())


_DECODERS: Dict[int, Callable[[Reader], Any]] = {
    HANDSHAKE: _handshake,
    OPERATION: _operation,
    QUERY: _query,
    QUERY_RESPONSE: _query_response,
    SUBSCRIBE: _subscribe,
    ACK: _ack,
    ERROR: _error,
    EVENT: _event,
    UNSUBSCRIBE: lambda reader: Unsubscribe(reader.u64(1)),
    PING: lambda reader: Ping(reader.u64()),
    PONG: lambda reader: Pong(reader.u64(), reader.u64()),
    GOODBYE: lambda reader: Goodbye(reader.u16(), reader.u32(), reader.text(MAX_MESSAGE)),
    CREDIT: _credit,
    CANCEL: lambda reader: Cancel(reader.u64(1)),
}
_ANSWERED = {OPERATION: SCOPE_OPERATION, QUERY: SCOPE_REQUEST, SUBSCRIBE: SCOPE_REQUEST}


def decode(type: int, payload: bytes) -> Any:
    """The message of a plain payload; Fault says what is wrong with others."""
    decoder = _DECODERS.get(type)
    if decoder is None:
        raise Fault("not_supported" if type in (TELEMETRY, AUTH) else "unknown_message_type", 0)
    reader = Reader(payload)
    try:
        message = decoder(reader)
        reader.finish()
    except Fault as fault:
        if type in _ANSWERED and len(payload) >= 8:
            number = _U64.unpack_from(payload)[0]
            if number:
                fault.scope, fault.id = _ANSWERED[type], number
        raise
    return message


# ---- writing ----


def text(value: str, most: int) -> bytes:
    """A str whose UTF-8 has at most so many bytes, cut where it is longer."""
    raw = value.encode("utf-8", "replace")
    return encode_value(value if len(raw) <= most else raw[:most].decode("utf-8", "ignore"))


def record(data: bytes) -> bytes:
    """A record as it travels (P-1.6)."""
    return _RECORD.pack(len(data), zlib.crc32(data)) + data


def _names(names: Sequence[str]) -> bytes:
    return encode_value([name for _, name in sorted((nfc(name), name) for name in names)])


def op(single: Op) -> bytes:
    """One single operation of an Operation."""
    kind = single.kind | (HAS_BASE if single.base is not None else 0) | (SKIP_UNCHANGED if single.skip_unchanged else 0)
    parts = [bytes((kind,))]
    if single.base is not None:
        parts.append(_U64.pack(single.base))
    if single.id is not None:
        parts.append(single.id.bytes)
    if single.kind == PATCH:
        parts.append(_names(single.remove))
    if single.record is not None:
        parts.append(record(single.record))
    return b"".join(parts)


def _put_hello(hello: Hello) -> bytes:
    head = struct.pack(">BBBQQI", 1, *hello[:5])
    return b"".join(
        (
            head,
            encode_value(hello.database),
            text(hello.agent, MAX_AGENT),
            encode_value(hello.node),
            _names(hello.capabilities),
        )
    )


def _put_welcome(welcome: Welcome) -> bytes:
    head = struct.pack(">BBQHIQQQQHQ16s", 2, *welcome[:11])
    return b"".join(
        (
            head,
            encode_value(welcome.connection),
            encode_value(welcome.node),
            text(welcome.agent, MAX_AGENT),
            _names(welcome.capabilities),
        )
    )


def _put_operation(operation: Operation) -> bytes:
    parts = [struct.pack(">QBH", operation.number, operation.ack_level, len(operation.groups))]
    for collection, ops in operation.groups:
        parts.append(encode_value(collection) + _U16.pack(len(ops)))
        parts += map(op, ops)
    return b"".join(parts)


def _put_bound(bound: Bound) -> bytes:
    return bytes((bound.kind,)) + (bound.id.bytes if bound.id is not None else b"")


def _put_query(query: Query) -> bytes:
    parts = [struct.pack(">QQQB", query.id, query.frames, query.bytes, query.kind)]
    parts.append(b"\x00" if query.at_least is None else b"\x01" + query.at_least)
    parts.append(encode_value(query.collection))
    if query.kind == GET:
        parts.append(_U16.pack(len(query.ids)))
        parts += (item.bytes for item in query.ids)
    elif query.kind == SCAN:
        parts.append(struct.pack(">BQ", query.reverse, query.limit))
        parts += (_put_bound(query.lower), _put_bound(query.upper))
    return b"".join(parts)


def _put_query_response(response: QueryResponse) -> bytes:
    parts = [struct.pack(">QB16sH", response.id, response.last, response.position, len(response.rows))]
    for row in response.rows:
        parts += (_U64.pack(row.seq), record(row.record))
    return b"".join(parts)


def _put_subscribe(subscribe: Subscribe) -> bytes:
    head = struct.pack(">QQQBB", *subscribe[:5])
    return head + (subscribe.after or b"") + encode_value(subscribe.collection)


def _put_error(error: Error) -> bytes:
    head = struct.pack(">BQH", error.scope, error.id, error.code)
    return head + text(error.message, MAX_MESSAGE) + encode_value(error.detail)


def _put_event(event: Event) -> bytes:
    parts = [struct.pack(">QB16s", event.id, event.kind, event.position)]
    if event.kind == CHANGES:
        parts.append(_U16.pack(len(event.changes)))
        for change in event.changes:
            parts.append(struct.pack(">BQ", change.kind | (LAST_OF_TRANSACTION if change.last else 0), change.seq))
            if change.record is not None:
                parts.append(record(change.record))
            elif change.id is not None:
                parts.append(change.id.bytes)
    elif event.kind == RESET:
        parts.append(_U16.pack(event.code) + event.oldest)
    return b"".join(parts)


def _put_goodbye(goodbye: Goodbye) -> bytes:
    return struct.pack(">HI", goodbye.code, goodbye.retry_after_ms) + text(goodbye.message, MAX_MESSAGE)


_ENCODERS: Dict[type, Tuple[int, Callable[[Any], bytes]]] = {
    Hello: (HANDSHAKE, _put_hello),
    Welcome: (HANDSHAKE, _put_welcome),
    Operation: (OPERATION, _put_operation),
    Query: (QUERY, _put_query),
    QueryResponse: (QUERY_RESPONSE, _put_query_response),
    Subscribe: (SUBSCRIBE, _put_subscribe),
    Ack: (ACK, lambda ack: _ACK.pack(*ack)),
    Error: (ERROR, _put_error),
    Event: (EVENT, _put_event),
    Unsubscribe: (UNSUBSCRIBE, lambda message: _U64.pack(message.id)),
    Ping: (PING, lambda ping: _U64.pack(ping.nonce)),
    Pong: (PONG, lambda pong: struct.pack(">QQ", pong.nonce, pong.clock)),
    Goodbye: (GOODBYE, _put_goodbye),
    Credit: (CREDIT, lambda credit: struct.pack(">BQQQ", *credit)),
    Cancel: (CANCEL, lambda message: _U64.pack(message.id)),
}


def encode(message: Any) -> Tuple[int, bytes]:
    """The type and the plain payload of a message."""
    kind, encoder = _ENCODERS[type(message)]
    return kind, encoder(message)


def code(name: str) -> int:
    """The number of a code."""
    return NUMBERS[name]

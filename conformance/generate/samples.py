"""Messages and records that many cases begin with."""

import uuid

from blazebinary import encode_record

ID_A = "018f3c7a-5b2f-7abc-8def-0123456789ab"
ID_B = "018f3c7a-5b30-7abc-8def-0123456789ab"
ID_C = "ffffffff-ffff-ffff-ffff-ffffffffffff"
NODE = "018f3c7a-5b2d-7c4e-9a1b-2c3d4e5f6071"
CONNECTION = "018f3c7a-5b2e-7001-8002-000000000001"


def position(seq, epoch=1):
    return "%08x%08x%016x" % (epoch, 0, seq)


POSITION_ZERO, POSITION_41, POSITION_42 = "0" * 32, position(41), position(42)

RECORD_A = {"id": uuid.UUID(ID_A), "title": "Hi"}
RECORD_B = {"id": uuid.UUID(ID_B), "title": "Second", "count": 5}
NOTE_A, NOTE_B = encode_record(RECORD_A).hex(), encode_record(RECORD_B).hex()
BOARD = encode_record({"name": "Board"}).hex()

HELLO = {
    "is": "hello", "min_version": 1, "max_version": 1, "next_operation": "1", "oldest_unacked": "1",
    "heartbeat_ms": 15000, "database": "main", "agent": "doc/1", "node": None, "capabilities": ["lz4"]}
WELCOME = {
    "is": "welcome", "version": 1, "node_decided": "0", "operation_window": 1024, "heartbeat_ms": 15000,
    "work_frames": "256", "work_bytes": "4194304", "telemetry_frames": "0", "telemetry_bytes": "0",
    "request_limit": 64, "clock": str(1714500000000 << 16 | 3), "position": POSITION_41, "connection": CONNECTION,
    "node": NODE, "agent": "blazedb/0.1.0", "capabilities": ["lz4"]}


def but(original, /, **changes):
    """The message with other members."""
    return {**original, **changes}


def operation(number, *actions, collection="notes", level="durable"):
    return {"is": "operation", "number": str(number), "ack_level": level,
            "groups": [{"collection": collection, "operations": list(actions)}]}


def event(kind, request=3, at=POSITION_42, **members):
    return {"is": "event", "id": str(request), "kind": kind, "position": at, **members}


INSERT = {"kind": "insert", "record": NOTE_A}
OPERATION = operation(1, INSERT)
QUERY = {"is": "query", "id": "1", "frames": "16", "bytes": "1048576", "kind": "get", "at_least": None,
         "collection": "notes", "ids": [ID_A]}
RESPONSE = {"is": "query_response", "id": "1", "last": True, "position": POSITION_42,
            "rows": [{"seq": "41", "record": NOTE_A}, {"seq": "42", "record": NOTE_B}]}
SUBSCRIBE = {"is": "subscribe", "id": "3", "frames": "16", "bytes": "1048576", "mode": "all", "start": "now",
             "collection": "notes"}
ACK = {"is": "ack", "lane": "work", "level": "durable", "number": "1", "unchanged": "0", "position": POSITION_42}
ERROR = {"is": "error", "scope": "operation", "id": "2", "code": 106, "message": "a record of this id exists",
         "detail": {"item": 0}}

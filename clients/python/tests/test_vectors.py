"""The conformance vectors, and the records that the Swift implementation wrote."""

import json
import os
import pathlib
import re
import struct
import unittest
import uuid

from blazedb import Date, Vector, encoding, frames, lz4, messages, typed_json
from blazedb.errors import InputError, Malformed

VECTORS = pathlib.Path(
    os.environ.get("BLAZEDB_VECTORS") or pathlib.Path(__file__).resolve().parents[3] / "conformance" / "vectors"
)


def unhex(text):
    return bytes.fromhex(re.sub(r"\(([0-9a-f]+)\*([0-9]+)\)", lambda group: group[1] * int(group[2]), text))


def value_of(tree):
    """A value of a vector file, which is typed JSON already parsed."""
    return typed_json.loads(json.dumps(tree))


class Cases(unittest.TestCase):
    """What reads a file of vectors."""

    def each(self, file, check):
        cases = json.loads((VECTORS / file).read_text(encoding="utf-8"))["cases"]
        self.assertTrue(cases, file)
        for case in cases:
            with self.subTest(file=file, name=case["name"]):
                check(case)

    def refused(self, case, action, error=Malformed):
        with self.assertRaises(error) as caught:
            action()
        if "code" in case and error is Malformed:
            self.assertEqual(caught.exception.rule, case["code"])
        if "offset" in case and error is Malformed:
            self.assertEqual(caught.exception.offset, case["offset"])
        return caught.exception


class Vectors(Cases):
    def test_records(self):
        self.each("records.json", self.check_record)

    def check_record(self, case):
        data = unhex(case["hex"])
        if case["name"].startswith("n_"):
            self.refused(case, lambda: encoding.decode(data))
            return
        record = encoding.decode(data)
        self.assertEqual(encoding.encode(record, case["layout"]), data)
        if "record" in case:
            self.assertEqual(encoding.encode(value_of(case["record"]), case["layout"]), data)
            self.assertEqual(typed_json.dumps(record), typed_json.dumps(value_of(case["record"])))

    def test_values(self):
        self.each("values.json", self.check_value)

    def check_value(self, case):
        data = unhex(case["hex"])
        if case["name"].startswith("n_"):
            self.refused(case, lambda: self.whole_value(data))
            return
        value = self.whole_value(data)
        self.assertEqual(encoding.encode_value(value), data)
        if "value" in case:
            self.assertEqual(encoding.encode_value(value_of(case["value"])), data)
            self.assertEqual(typed_json.dumps(value), typed_json.dumps(value_of(case["value"])))

    @staticmethod
    def whole_value(data):
        value, end = encoding.decode_value(data)
        if end != len(data):
            raise Malformed("trailing_bytes", end)
        return value

    def test_json(self):
        self.each("json.json", self.check_json)

    def check_json(self, case):
        if case["name"].startswith("n_"):
            self.refused(case, lambda: typed_json.loads(case["text"]), InputError)
            return
        value = typed_json.loads(case["text"])
        self.assertEqual(encoding.encode_value(value), unhex(case["hex"]))
        if case.get("written"):
            self.assertEqual(typed_json.dumps(value), case["text"])

    def test_frames(self):
        self.each("frames.json", self.check_frame)

    def check_frame(self, case):
        data = unhex(case["hex"])
        if "lz4" in case:
            # Which flags go with which type is the connection's to judge: test_connection.
            return
        if case["name"].startswith("n_"):
            self.refused(case, lambda: self.in_pieces(data, case))
            return
        found = self.in_pieces(data, case)
        expected = case.get("frames", [])
        self.assertEqual([frame._asdict() for frame in found], [{**f, "payload": unhex(f["payload"])} for f in expected])
        if case["name"].startswith("y_"):
            self.assertEqual(b"".join(frames.encode(*frame) for frame in found), data)

    def in_pieces(self, data, case):
        """Byte by byte: a fault must be told at the very byte that shows it."""
        deframer = frames.Deframer(case.get("limit", frames.MAX_PAYLOAD))
        found = []
        pieces = range(len(data)) if len(data) < 4096 else range(0, len(data), 4096)
        size = 1 if len(data) < 4096 else 4096
        for at in pieces:
            deframer.feed(data[at : at + size])
            try:
                while True:
                    frame = deframer.next()
                    if frame is None:
                        break
                    found.append(frame)
            except Malformed:
                if "judged_at" in case and size == 1:
                    self.assertLessEqual(at + 1, max(case["judged_at"], frames.HEADER_BYTES))
                raise
        return found

    def test_compression(self):
        self.each("compression.json", self.check_compression)

    def check_compression(self, case):
        data = unhex(case["hex"])
        if case["name"].startswith("n_"):
            with self.assertRaises(Malformed) as caught:
                lz4.decompress_payload(data)
            self.assertEqual(caught.exception.rule, "bad_compression")
        else:
            self.assertEqual(lz4.decompress_payload(data), unhex(case["plain"]))

    def test_messages(self):
        self.each("messages.json", self.check_message)

    def check_message(self, case):
        payload = unhex(case["hex"])
        if case["name"].startswith("n_"):
            fault = self.refused(case, lambda: messages.decode(case["type"], payload))
            scopes = ("connection", "operation", "request")
            self.assertEqual((scopes[fault.scope], str(fault.id)), (case["scope"], case["id"]))
            return
        if case["name"].startswith("i_"):
            return
        expected = message_of(case["message"])
        self.assertEqual(messages.decode(case["type"], payload), expected)
        kind, again = messages.encode(expected)
        self.assertEqual(kind, case["type"])
        if "extension" in case["message"] or "extension" in case:
            self.assertTrue(payload.startswith(again))
        else:
            self.assertEqual(again, payload)


def message_of(tree):
    """A message of the vectors as ours."""
    return _BUILDERS[tree["is"]](tree)


def _number(tree, *members):
    return [int(tree[member]) for member in members]


def _uuid(text):
    return None if text is None else uuid.UUID(text)


def _position(text):
    return None if text is None else bytes.fromhex(text)


def _level(tree, member):
    return ("accepted", "durable", "replicated").index(tree[member])


def _hello(tree):
    numbers = _number(tree, "min_version", "max_version", "next_operation", "oldest_unacked", "heartbeat_ms")
    return messages.Hello(*numbers, tree["database"], tree["agent"], _uuid(tree["node"]), tree["capabilities"])


def _welcome(tree):
    numbers = _number(
        tree,
        "version",
        "node_decided",
        "operation_window",
        "heartbeat_ms",
        "work_frames",
        "work_bytes",
        "telemetry_frames",
        "telemetry_bytes",
        "request_limit",
        "clock",
    )
    names = (_uuid(tree["connection"]), _uuid(tree["node"]), tree["agent"], tree["capabilities"])
    return messages.Welcome(*numbers, _position(tree["position"]), *names)


def _op(tree):
    kind = ("insert", "upsert", "patch", "delete", "check", "drop").index(tree["kind"]) + 1
    record = tree.get("record", tree.get("set"))
    return messages.Op(
        kind,
        None if tree.get("base") is None else int(tree["base"]),
        tree.get("skip_unchanged", False),
        _uuid(tree.get("id")),
        tree.get("remove", ()),
        None if record is None else unhex(record),
    )


def _operation(tree):
    groups = [(group["collection"], [_op(op) for op in group["operations"]]) for group in tree["groups"]]
    return messages.Operation(int(tree["number"]), _level(tree, "ack_level"), groups)


def _bound(tree):
    return messages.Bound(("none", "inclusive", "exclusive").index(tree["kind"]), _uuid(tree.get("id")))


def _query(tree):
    kind = ("get", "scan", "stats").index(tree["kind"]) + 1
    head = [*_number(tree, "id", "frames", "bytes"), kind, tree["collection"], _position(tree["at_least"])]
    if kind == messages.GET:
        return messages.Query(*head, [_uuid(item) for item in tree["ids"]])
    if kind == messages.STATS:
        return messages.Query(*head)
    bounds = (_bound(tree["lower"]), _bound(tree["upper"]))
    return messages.Query(*head, (), tree["reverse"], int(tree["limit"]), *bounds)


def _response(tree):
    rows = [messages.Row(int(row["seq"]), unhex(row["record"])) for row in tree["rows"]]
    return messages.QueryResponse(int(tree["id"]), tree["last"], _position(tree["position"]), rows)


def _subscribe(tree):
    mode = ("all", "latest").index(tree["mode"]) + 1
    start = ("now", "snapshot", "after").index(tree["start"])
    numbers = _number(tree, "id", "frames", "bytes")
    return messages.Subscribe(*numbers, mode, start, tree["collection"], _position(tree.get("after")))


def _ack(tree):
    lane = ("work", "telemetry").index(tree["lane"])
    numbers = _number(tree, "number", "unchanged")
    return messages.Ack(lane, _level(tree, "level"), *numbers, _position(tree["position"]))


def _error(tree):
    scope = ("connection", "operation", "request").index(tree["scope"])
    detail = None if tree["detail"] is None else value_of(tree["detail"])
    return messages.Error(scope, int(tree["id"]), tree["code"], tree["message"], detail)


def _change(tree):
    kind = ("put", "delete", "dropped").index(tree["kind"]) + 1
    record = unhex(tree["record"]) if "record" in tree else None
    return messages.Change(kind, tree["last"], int(tree["seq"]), record, _uuid(tree.get("id")))


def _event(tree):
    kind = ("changes", "caught_up", "reset", "waiting", "heartbeat", "ended").index(tree["kind"]) + 1
    head = (int(tree["id"]), kind, _position(tree["position"]))
    if kind == messages.CHANGES:
        return messages.Event(*head, [_change(change) for change in tree["changes"]])
    if kind == messages.RESET:
        return messages.Event(*head, (), tree["code"], _position(tree["oldest"]))
    return messages.Event(*head)


_BUILDERS = {
    "hello": _hello,
    "welcome": _welcome,
    "operation": _operation,
    "query": _query,
    "query_response": _response,
    "subscribe": _subscribe,
    "ack": _ack,
    "error": _error,
    "event": _event,
    "unsubscribe": lambda tree: messages.Unsubscribe(int(tree["id"])),
    "cancel": lambda tree: messages.Cancel(int(tree["id"])),
    "ping": lambda tree: messages.Ping(int(tree["nonce"])),
    "pong": lambda tree: messages.Pong(int(tree["nonce"]), int(tree["clock"])),
    "goodbye": lambda tree: messages.Goodbye(tree["code"], tree["retry_after_ms"], tree["message"]),
    "credit": lambda tree: messages.Credit(
        ("work", "telemetry", "request").index(tree["scope"]), *_number(tree, "id", "frames", "bytes")
    ),
}


class Swift(unittest.TestCase):
    """Records that Swift's own encoder wrote, and inputs that its decoder judged."""

    def test_records(self):
        for file in ("records.json", "random.json"):
            for row in json.loads((VECTORS / "swift" / file).read_text(encoding="utf-8")):
                with self.subTest(name=row["name"]):
                    data = encoding.encode({key: swift_value(value) for key, value in row["fields"].items()})
                    self.assertEqual(data.hex(), row["v1"])
                    self.assertEqual(encoding.encode(encoding.decode(data), 2)[-4:].hex(), row["v2_crc"])

    def test_what_is_accepted_and_canonical_is_read(self):
        canonical = refused = 0
        for row in json.loads((VECTORS / "swift" / "decode.json").read_text(encoding="utf-8")):
            with self.subTest(name=row["name"]):
                data = bytes.fromhex(row["hex"])
                if data.hex() == row.get("canonical"):
                    fields = {key: swift_value(value) for key, value in row["fields"].items()}
                    self.assertEqual(encoding.encode(encoding.decode(data)), encoding.encode(fields))
                    canonical += 1
                elif row["swift"] == "rejects":
                    with self.assertRaises(Malformed):
                        encoding.decode(data)
                    refused += 1
        self.assertGreater(canonical, 0)
        self.assertGreater(refused, 0)


def swift_value(tree):
    kind, value = tree["t"], tree.get("v")
    return {
        "int": lambda: int(value),
        "double": lambda: _double(value),
        "date": lambda: Date(_double(value)),
        "data": lambda: bytes.fromhex(value),
        "uuid": lambda: uuid.UUID(value),
        "array": lambda: [swift_value(item) for item in value],
        "dict": lambda: {key: swift_value(item) for key, item in value.items()},
        "vector": lambda: Vector(_double(item) for item in value),
        "null": lambda: None,
        "string": lambda: value,
        "bool": lambda: value,
    }[kind]()


def _double(bits):
    return struct.unpack(">d", bytes.fromhex(bits))[0]

"""The connection without IO, driven frame by frame against a server that the test plays, in a time that it sets."""

import unittest
import uuid

from blazedb import connection, encoding, frames, messages
from blazedb.connection import Connection, State
from blazedb.errors import CODES, NUMBERS, Malformed

NODE = uuid.UUID("018f3c7a-5b2d-7c4e-9a1b-2c3d4e5f6071")
POSITION = bytes.fromhex("0000000100000000000000000000002a")
BODY = messages.encode(messages.Operation(1, 1, [("notes", [messages.Op(messages.DELETE, id=NODE)])]))[1][9:]


def hello(**changes):
    plain = messages.Hello(1, 1, 1, 1, 15_000, "main", "test/1", None, ())
    return plain._replace(**changes)


def welcome(**changes):
    plain = messages.Welcome(1, 0, 1024, 15_000, 256, 1 << 22, 0, 0, 64, 1, POSITION, NODE, NODE, "server/1", ())
    return plain._replace(**changes)


class Server:
    """The other end: encodes what the test says, decodes what the client wrote."""

    def __init__(self, test, first=0, **hello_changes):
        self.test = test
        self.sequence = first
        self.deframer = frames.Deframer()
        self.client = Connection(hello(**hello_changes), 0.0)
        self.read()

    def bytes_of(self, message, flags=None):
        kind, payload = messages.encode(message)
        return self.frame(kind, payload, flags or 0)

    def frame(self, kind, payload=b"", flags=0):
        data = frames.encode(kind, flags, self.sequence, payload)
        self.sequence = (self.sequence + 1) % frames.SEQUENCES
        return data

    def says(self, *said, now=0.0):
        return self.client.receive(b"".join(map(self.bytes_of, said)), now)

    def read(self):
        """What the client writes now, decoded."""
        self.client.control()
        self.deframer.feed(self.client.take())
        found = []
        while True:
            frame = self.deframer.next()
            if frame is None:
                return found
            found.append(messages.decode(frame.type, frame.payload))

    def welcomed(self, **changes):
        happened = self.says(welcome(**changes))
        self.test.assertIsInstance(happened[0], connection.Welcomed)
        return self

    def ends_with(self, happened, name):
        """The connection ended by this code, and the client said so in its last frame."""
        self.test.assertIsInstance(happened[-1], connection.End)
        self.test.assertEqual(CODES[happened[-1].code].name, name)
        self.test.assertIs(self.client.state, State.ENDED)
        last = self.read()[-1]
        self.test.assertEqual((last.scope, last.code), (messages.SCOPE_CONNECTION, NUMBERS[name]))
        self.test.assertEqual(self.says(messages.Ping(1)), [], "nothing is acted on after the end")


class Handshake(unittest.TestCase):
    def test_the_session_of_the_specification_is_written_byte_for_byte(self):
        # spec/protocol.md, P-11: the hello and the operation.
        client = Connection(hello(agent="doc/1", capabilities=["lz4"]), 0.0)
        self.assertEqual(
            client.take().hex(),
            "424c415a4501010000002a00000000010101000000000000000100000000000000010"
            "0003a98246d61696e25646f632f310b080001236c7a349209b970",
        )
        record = bytes.fromhex("424c415a450100020105018f3c7a5b2f7abc8def0123456789ab06224869")
        client.receive(frames.encode(messages.HANDSHAKE, 0, 0, messages.encode(welcome())[1]), 0.0)
        body = messages.encode(messages.Operation(1, 1, [("notes", [messages.Op(messages.INSERT, record=record)])]))[1][9:]
        client.send_operation(1, body)
        self.assertEqual(
            client.take().hex(),
            "424c415a4501020000003a040000010000000000000001010001256e6f746573000101"
            "0000001e68c5adc3424c415a450100020105018f3c7a5b2f7abc8def0123456789ab06224869d0732b1e",
        )

    def test_a_welcome_that_was_not_offered(self):
        for changes in ({"version": 2}, {"capabilities": ["lz4"]}):
            server = Server(self)
            server.ends_with(server.says(welcome(**changes)), "invalid_field")
        server = Server(self, node=uuid.UUID(int=5))
        server.ends_with(server.says(welcome()), "invalid_field")

    def test_numbers_that_do_not_fit(self):
        # C-2.6, at its edges.
        for decided, oldest, following, name in ((5, 1, 5, "identity_reused"), (3, 5, 9, "identity_expired")):
            server = Server(self, node=NODE, oldest_unacked=oldest, next_operation=following)
            server.ends_with(server.says(welcome(node_decided=decided)), name)
        Server(self, node=NODE, oldest_unacked=5, next_operation=9).welcomed(node_decided=4)
        Server(self, node=NODE, oldest_unacked=5, next_operation=9).welcomed(node_decided=8)

    def test_the_server_refuses(self):
        server = Server(self)
        error = messages.Error(0, 0, NUMBERS["too_busy"], "full", {"retry_after_ms": 700})
        self.assertEqual(server.says(error), [connection.End(NUMBERS["too_busy"], "full", 700)])
        # Before the Welcome even a code that is passed over later is the end (C-1.4).
        server = Server(self)
        end = server.says(messages.Error(0, 0, NUMBERS["not_supported"], "no", None))
        self.assertEqual(end, [connection.End(NUMBERS["not_supported"], "no")])

    def test_anything_else_first(self):
        server = Server(self)
        server.ends_with(server.says(messages.Ping(1)), "unexpected_message")
        server = Server(self).welcomed()
        server.ends_with(server.says(welcome()), "unexpected_message")

    def test_it_takes_too_long(self):
        server = Server(self)
        self.assertEqual(server.client.deadline(), 5.0)
        self.assertEqual(server.client.tick(4.9), [])
        server.ends_with(server.client.tick(5.0), "handshake_timeout")


class Frames(unittest.TestCase):
    def test_flags_by_type(self):
        ping = messages.encode(messages.Ping(7))
        for flags in (frames.ENCRYPTED, frames.REQUIRES_ACK, frames.COMPRESSED):
            server = Server(self).welcomed()
            server.ends_with(server.client.receive(server.frame(*ping, flags), 0.0), "unexpected_flag")

    def test_sequences_wrap(self):
        server = Server(self, first=frames.SEQUENCES - 1)
        server.welcomed()
        self.assertEqual(server.says(messages.Ping(1)), [])
        self.assertEqual(server.read(), [messages.Pong(1, 0)])
        server.sequence += 1
        server.ends_with(server.says(messages.Ping(2)), "sequence_gap")

    def test_a_compressed_frame_costs_what_it_is_plain(self):
        server = Server(self, capabilities=["lz4"]).welcomed(capabilities=["lz4"])
        client = server.client
        request = client.send_request(lambda n: messages.Query(n, 2, 1 << 20, messages.SCAN, "notes"))
        record = encoding.encode({"text": "a" * 600})
        plain = messages.encode(messages.QueryResponse(request, True, POSITION, [messages.Row(1, record)]))[1]
        # Literals for the head, then one match for the run of a's.
        head, run = plain[: plain.index(b"a" * 600) + 1], 599
        block = bytes([15 << 4 | 15]) + bytes([len(head) - 15]) + head + b"\x01\x00"
        rest = run - 5 - 19
        block += b"\xff" * (rest // 255) + bytes([rest % 255]) + bytes([5 << 4]) + b"aaaaa"
        payload = len(plain).to_bytes(4, "big") + block
        happened = client.receive(server.frame(messages.QUERY_RESPONSE, payload, frames.COMPRESSED), 0.0)
        self.assertEqual(happened[0].cost, len(plain) + 19)
        self.assertEqual(happened[0].records, [{"text": "a" * 600}])

    def test_what_is_passed_over(self):
        server = Server(self).welcomed()
        passed = [(0x30, "unknown_message_type"), (0x21, "unknown_message_type"), (0x06, "not_supported"), (0x14, "not_supported")]
        for kind, name in passed:
            self.assertEqual(server.client.receive(server.frame(kind, b"?"), 0.0), [])
            self.assertEqual([error.code for error in server.read()], [NUMBERS[name]])
        self.assertEqual(server.says(messages.Ping(1)), [])

    def test_what_a_server_does_not_send(self):
        for message in (messages.Cancel(1), messages.Unsubscribe(1), hello()):
            server = Server(self).welcomed()
            server.ends_with(server.says(message), "unexpected_message")


class Operations(unittest.TestCase):
    def sent(self, count, **changes):
        server = Server(self).welcomed(**changes)
        for number in range(1, count + 1):
            server.client.send_operation(number, BODY)
        return server

    def test_the_window_and_the_credit(self):
        server = self.sent(2, operation_window=2)
        self.assertFalse(server.client.may_send_operation())
        server.says(messages.Ack(0, 0, 2, 0, POSITION))
        self.assertFalse(server.client.may_send_operation(), "accepted is not durable")
        server.says(messages.Ack(0, 1, 1, 0, POSITION))
        self.assertTrue(server.client.may_send_operation())
        # One frame and one byte: the byte limit is overdrawn by the frame (P-9.4).
        server = self.sent(1, work_frames=9, work_bytes=1)
        self.assertFalse(server.client.may_send_operation())
        cost = len(BODY) + 9 + 19
        server.says(messages.Credit(0, 0, 9, cost))
        self.assertFalse(server.client.may_send_operation())
        server.says(messages.Credit(0, 0, 9, cost + 1))
        self.assertTrue(server.client.may_send_operation())

    def test_a_refusal_is_told_when_its_ack_covers_it(self):
        server = self.sent(2)
        error = messages.Error(1, 1, NUMBERS["already_exists"], "", None)
        self.assertEqual(server.says(error), [])
        happened = server.says(messages.Ack(0, 1, 2, 0, POSITION))
        self.assertEqual(happened, [connection.Refusal(1, error), connection.Acked(1, 2, POSITION)])

    def test_impossible_outcomes(self):
        error = messages.Error(1, 1, NUMBERS["not_found"], "", None)
        for said in (
            [messages.Ack(0, 1, 3, 0, POSITION)],
            [messages.Ack(1, 1, 1, 0, POSITION)],
            [messages.Ack(0, 1, 2, 0, POSITION), messages.Ack(0, 1, 1, 0, POSITION)],
            [error._replace(id=3)],
            [error, error],
            [messages.Ack(0, 0, 1, 0, POSITION), error],
        ):
            server = self.sent(2)
            server.ends_with(server.says(*said), "impossible_ack")
        # What an earlier connection settled was not sent on this one (C-5.9).
        for said in (messages.Ack(0, 0, 4, 0, POSITION), messages.Ack(0, 1, 4, 0, POSITION), error._replace(id=4)):
            server = Server(self, next_operation=6, oldest_unacked=5).welcomed(node_decided=4)
            server.client.send_operation(5, BODY)
            server.ends_with(server.says(said), "impossible_ack")

    def test_credit_that_falls_or_is_not_ours(self):
        for credit in ((0, 0, 255, 1 << 22), (0, 0, 256, 1), (2, 1, 1, 1)):
            server = self.sent(1)
            server.ends_with(server.says(messages.Credit(*credit)), "invalid_credit")


class Requests(unittest.TestCase):
    def asked(self, window=(4, 1 << 20)):
        server = Server(self).welcomed()
        request = server.client.send_request(lambda n: messages.Query(n, *window, messages.SCAN, "notes"))
        server.read()
        return server, request

    def response(self, request, last=False):
        return messages.QueryResponse(request, last, POSITION, [])

    def test_credit_returns_when_half_a_window_was_consumed(self):
        server, request = self.asked()
        happened = server.says(self.response(request), self.response(request))
        self.assertEqual(len(happened), 2)
        self.assertFalse(server.client.admit(request, happened[0].cost))
        self.assertEqual(server.read(), [])
        self.assertTrue(server.client.admit(request, happened[1].cost))
        cost = 27 + 19
        self.assertEqual(server.read(), [messages.Credit(2, request, 6, (1 << 20) + 2 * cost)])

    def test_beyond_the_credit(self):
        for window in ((1, 1 << 20), (9, 1)):
            server, request = self.asked(window)
            server.ends_with(server.says(self.response(request), self.response(request)), "credit_exceeded")

    def test_what_is_not_running(self):
        server, request = self.asked()
        server.says(self.response(request, last=True))
        server.ends_with(server.says(self.response(request)), "unexpected_message")
        server, request = self.asked()
        server.ends_with(server.says(messages.Event(request, messages.CAUGHT_UP, POSITION)), "unexpected_message")
        server, request = self.asked()
        server.ends_with(server.says(messages.Error(2, 9, 202, "", None)), "unexpected_message")

    def test_a_cancelled_query_runs_until_it_has_ended(self):
        server, request = self.asked()
        server.client.stop(request)
        self.assertEqual(server.read(), [messages.Cancel(request)])
        self.assertEqual(server.says(self.response(request)), [], "dropped")
        self.assertEqual(server.says(messages.Error(2, request, NUMBERS["cancelled"], "", None)), [])
        self.assertTrue(server.client.may_send_request())

    def test_an_answer_has_one_position(self):
        server, request = self.asked()
        other = messages.QueryResponse(request, True, bytes(16), [])
        server.ends_with(server.says(self.response(request), other), "invalid_field")

    def test_the_request_limit(self):
        server = Server(self).welcomed(request_limit=1)
        ask = lambda n: messages.Subscribe(n, 4, 1 << 20, 1, 0, "notes")  # noqa: E731
        request = server.client.send_request(ask)
        self.assertFalse(server.client.may_send_request())
        server.client.stop(request)
        self.assertFalse(server.client.may_send_request(), "it counts until it has ended")
        server.says(messages.Event(request, messages.ENDED, POSITION))
        self.assertTrue(server.client.may_send_request())


class Time(unittest.TestCase):
    def test_pings_then_silence(self):
        server = Server(self).welcomed(heartbeat_ms=10_000)
        client = server.client
        for now, expected in ((9.9, 0), (10.0, 1), (15.0, 0), (20.0, 1), (24.9, 0)):
            self.assertEqual(client.tick(now), [])
            self.assertEqual(sum(isinstance(message, messages.Ping) for message in server.read()), expected, now)
        server.ends_with(client.tick(25.0), "heartbeat_timeout")

    def test_what_counts_as_heard(self):
        server = Server(self).welcomed(heartbeat_ms=10_000)
        big = server.bytes_of(messages.Goodbye(0, 0, "x" * 1000)) + bytes(100)
        server.client.receive(big[:1000], 9.0)
        self.assertEqual(server.client.deadline(), 10.0, "single bytes are silence")
        data = server.bytes_of(messages.QueryResponse(1, True, POSITION, [messages.Row(0, bytes(4000))]))
        server = Server(self).welcomed(heartbeat_ms=10_000)
        server.client.receive(data[:1023], 9.0)
        self.assertEqual(server.client.deadline(), 10.0)
        server.client.receive(data[1023:1024], 9.5)
        self.assertEqual(server.client.deadline(), 19.5)

    def test_a_transport_that_takes_nothing(self):
        server = Server(self).welcomed()
        client = server.client
        given = client._given
        client.send_operation(1, BODY)
        client.take()
        client.taken(given, 1.0)
        self.assertEqual(client.tick(10.9), [])
        client.taken(given + 1, 10.9)
        self.assertEqual(client.tick(11.0), [])
        client.taken(given + 1, 20.0)
        happened = client.tick(20.9)
        self.assertEqual(CODES[happened[0].code].name, "write_stalled")
        self.assertEqual(client.take(), b"", "without an Error")

    def test_a_flood(self):
        server = Server(self).welcomed()
        self.assertEqual(server.says(*[messages.Ping(n) for n in range(8192)]), [])
        server.ends_with(server.says(messages.Ping(0)), "control_flood")
        server = Server(self).welcomed()
        server.says(*[messages.Ping(n) for n in range(8192)])
        self.assertEqual(server.says(*[messages.Ping(n) for n in range(200)], now=1.0), [])


class Parting(unittest.TestCase):
    def test_the_server_first(self):
        server = Server(self).welcomed()
        server.client.send_operation(1, BODY)
        server.read()
        self.assertEqual(server.says(messages.Goodbye(NUMBERS["shutting_down"], 1000, "bye")), [])
        self.assertEqual(server.read(), [messages.Goodbye(0, 0, "")])
        self.assertFalse(server.client.may_send_operation())
        happened = server.says(messages.Ack(0, 1, 1, 0, POSITION))
        self.assertEqual(happened[-1], connection.End(NUMBERS["shutting_down"], "bye", 1000))

    def test_the_server_first_and_then_something_else(self):
        server = Server(self).welcomed()
        server.client.send_operation(1, BODY)
        server.says(messages.Goodbye(0, 0, ""))
        self.assertEqual(len(server.read()), 2)
        happened = server.says(messages.Ping(1))
        self.assertEqual(CODES[happened[-1].code].name, "unexpected_message")
        self.assertEqual(server.read(), [], "after its Goodbye a client sends nothing")

    def test_the_client_first(self):
        server = Server(self).welcomed()
        request = server.client.send_request(lambda n: messages.Query(n, 4, 1 << 20, messages.SCAN, "notes"))
        server.client.part(1.0)
        self.assertIsInstance(server.read()[-1], messages.Goodbye)
        # Rows that crossed the Goodbye are dropped.
        self.assertEqual(server.says(messages.QueryResponse(request, True, POSITION, [])), [])
        self.assertEqual(server.says(messages.Goodbye(0, 0, "")), [connection.End(0, "", 0)])

    def test_what_crosses_its_goodbye_is_passed_over(self):
        # C-11.3: nobody keeps account of requests then, of their credit neither.
        server = Server(self).welcomed()
        query = server.client.send_request(lambda n: messages.Query(n, 1, 1, messages.SCAN, "notes"))
        watch = server.client.send_request(lambda n: messages.Subscribe(n, 1, 1, 1, 0, "notes"))
        server.client.send_operation(1, BODY)
        server.client.part(1.0)
        server.read()
        for request in (query, watch, 9):
            crossed = (
                messages.QueryResponse(request, False, POSITION, []),
                messages.QueryResponse(request, True, POSITION, []),
                messages.Event(request, messages.HEARTBEAT, POSITION),
                messages.Event(request, messages.CAUGHT_UP, POSITION),
                messages.Event(request, messages.ENDED, POSITION),
                messages.Error(2, request, NUMBERS["cancelled"], "", None),
            )
            self.assertEqual(server.says(*crossed, *crossed), [])
        self.assertEqual(server.read(), [])
        happened = server.says(messages.Goodbye(0, 0, ""), messages.Ack(0, 1, 1, 0, POSITION))
        self.assertEqual(happened, [connection.Acked(1, 1, POSITION), connection.End(0, "", 0)])

    def test_it_takes_too_long(self):
        server = Server(self).welcomed()
        server.client.part(1.0)
        server.read()
        self.assertEqual(server.client.tick(10.9), [])
        self.assertIsInstance(server.client.tick(11.0)[0], connection.End)


class AnyBytes(unittest.TestCase):
    def test_damage_is_refused_and_nothing_else_happens(self):
        """Every byte of a good stream damaged in turn: the client ends by a code, or waits for a length that was damaged."""
        server = Server(self)
        good = b"".join(
            server.bytes_of(message) for message in (welcome(), messages.Ping(5), messages.Credit(0, 0, 300, 1 << 23))
        )
        for at in range(len(good)):
            client = Connection(hello(), 0.0)
            happened = client.receive(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :], 0.0)
            ended = bool(happened) and isinstance(happened[-1], connection.End)
            self.assertTrue(ended or client._deframer.pending > 0, at)

    def test_a_payload_that_is_no_message(self):
        server = Server(self).welcomed()
        happened = server.client.receive(server.frame(messages.PING, b"short"), 0.0)
        server.ends_with(happened, "truncated")
        with self.assertRaises(Malformed):
            messages.decode(messages.PING, b"short")

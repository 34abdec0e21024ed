"""Both clients against a scripted server: what happens when connections are lost, outcomes late, and peers strange."""

import asyncio
import datetime
import gc
import hashlib
import os
import ssl
import tempfile
import threading
import time
import unittest
import uuid

import blazedb
from blazedb import aio, encoding, frames, messages, operations, session, target
from blazedb.errors import NUMBERS

from .support import CERTIFICATE, NODE, Stub, position

ID = uuid.UUID("018f3c7a-5b2f-7abc-8def-0123456789ab")
RECORD = encoding.encode({"id": ID, "title": "Hi"})


def ack(number, seq=None):
    return messages.Ack(0, 1, number, 0, position(number if seq is None else seq))


def change(seq, last=True):
    return messages.Change(messages.PUT, last, seq, RECORD)


def changes(request, seq, *listed):
    return messages.Event(request, messages.CHANGES, position(seq), list(listed))


class Operations(unittest.TestCase):
    def test_an_operation_is_sent_again_byte_for_byte(self):
        seen = []

        def cut(peer):
            peer.welcome()
            seen.append(peer.hear(messages.Operation))

        def answer(peer):
            hello = peer.welcome(node_decided=1)
            self.assertEqual((hello.node, hello.oldest_unacked, hello.next_operation), (NODE, 1, 2))
            seen.append(peer.hear(messages.Operation))
            peer.say(ack(1))
            peer.part()

        stub = Stub(cut, answer)
        with blazedb.connect(stub.url) as db:
            self.assertEqual(db.put("notes", {"id": ID, "title": "Hi"}), ID)
        stub.finish(self)
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(seen[0].groups[0][1][0].record, RECORD)

    def test_a_refusal_names_code_advice_and_item(self):
        def refuse(peer):
            peer.welcome()
            peer.hear(messages.Operation)
            peer.say(messages.Error(1, 1, NUMBERS["not_found"], "no such record", {"item": 1}), ack(1))
            peer.part()

        stub = Stub(refuse)
        with blazedb.connect(stub.url) as db:
            with self.assertRaises(blazedb.Refused) as caught:
                db.batch().delete("notes", ID).patch("notes", ID, {"a": 1}).commit()
        stub.finish(self)
        error = caught.exception
        self.assertEqual((error.code, error.name, error.item, error.retryable), (107, "not_found", 1, False))
        self.assertIn("use upsert", error.advice)
        self.assertEqual(error.fault, "client")

    def test_the_window_is_kept_and_all_is_told(self):
        most = []

        def slow(peer):
            peer.welcome(operation_window=4)
            for number in range(1, 13):
                self.assertEqual(peer.hear(messages.Operation).number, number)
                if number % 4 == 0:
                    peer.socket.settimeout(0.2)
                    with self.assertRaises(OSError):
                        most.append(peer.hear())
                    peer.socket.settimeout(20)
                    peer.say(ack(number))
            peer.part()

        stub = Stub(slow)
        with blazedb.connect(stub.url) as db:
            tickets = [db.submit(db.batch().delete("notes", ID)) for _ in range(12)]
            self.assertEqual([ticket.result().number for ticket in tickets], list(range(1, 13)))
        stub.finish(self)
        self.assertEqual(most, [])

    def test_a_new_identity_leaves_unknown_what_was_sent(self):
        def cut(peer):
            peer.welcome()
            peer.hear(messages.Operation)

        def forgotten(peer):
            peer.hear(messages.Hello)
            peer.say(messages.Error(0, 0, NUMBERS["identity_expired"], "forgotten", None))

        def anew(peer):
            hello = peer.welcome()
            self.assertEqual((hello.node, hello.next_operation), (None, 1))
            self.assertEqual(peer.hear(messages.Operation).number, 1)
            peer.say(ack(1))
            peer.part()

        stub = Stub(cut, forgotten, anew)
        with blazedb.connect(stub.url) as db:
            with self.assertRaises(blazedb.OutcomeUnknown):
                db.put("notes", {"id": ID})
            db.put("notes", {"id": ID})
        stub.finish(self)

    def test_time_is_up(self):
        release = threading.Event()

        def silent(peer):
            peer.welcome(operation_window=1)
            peer.hear(messages.Operation)
            release.wait(20)
            peer.say(ack(1))
            peer.part()

        stub = Stub(silent)
        with blazedb.connect(stub.url) as db:
            with self.assertRaises(blazedb.TimedOut) as sent:
                db.put("notes", {"id": ID}, timeout=0.2)
            with self.assertRaises(blazedb.TimedOut) as unsent:
                db.put("notes", {"id": ID}, timeout=0.2)
            # The first may still take effect, and does; the second, which the window held back, never was sent.
            self.assertIsNone(unsent.exception.pending)
            release.set()
            self.assertEqual(sent.exception.pending.result().number, 1)
        stub.finish(self)

    def test_aborting(self):
        def silent(peer):
            peer.welcome()
            peer.hear()
            self.assertIsNone(peer.hear())

        stub = Stub(silent)
        db = blazedb.connect(stub.url)
        ticket = db.submit(db.batch().delete("notes", ID))
        time.sleep(0.2)
        db.abort()
        with self.assertRaises(blazedb.Ended):
            ticket.result()
        with self.assertRaises(blazedb.Ended):
            db.put("notes", {"id": ID})
        stub.finish(self)


class Requests(unittest.TestCase):
    def test_a_query_is_asked_again_until_some_was_handed_on(self):
        def cut(peer):
            peer.welcome()
            peer.hear(messages.Query)

        def half(peer):
            peer.welcome()
            query = peer.hear(messages.Query)
            peer.say(messages.QueryResponse(query.id, False, position(1), [messages.Row(7, RECORD)]))
            self.half.wait(20)

        self.half = threading.Event()
        stub = Stub(cut, half)
        with blazedb.connect(stub.url) as db:
            rows = db.scan("notes")
            first = next(rows)
            self.assertEqual((first, first.version), ({"id": ID, "title": "Hi"}, 7))
            self.half.set()
            with self.assertRaises(blazedb.Interrupted):
                next(rows)
            db.abort()
        stub.finish(self)

    def test_credit_follows_the_reader(self):
        count = 300

        def flow(peer):
            peer.welcome()
            query = peer.hear(messages.Query)
            limit = query.frames
            for number in range(count):
                while number >= limit:
                    limit = peer.hear(messages.Credit).frames
                peer.say(messages.QueryResponse(query.id, number == count - 1, position(1), [messages.Row(number, RECORD)]))
            peer.part()

        stub = Stub(flow)
        with blazedb.connect(stub.url) as db:
            self.assertEqual([row.version for row in db.scan("notes")], list(range(count)))
        stub.finish(self)

    def test_leaving_a_scan_cancels_it(self):
        def endless(peer):
            peer.welcome()
            query = peer.hear(messages.Query)
            peer.say(messages.QueryResponse(query.id, False, position(1), [messages.Row(1, RECORD)]))
            self.assertEqual(peer.hear(messages.Cancel).id, query.id)
            peer.say(messages.Error(2, query.id, NUMBERS["cancelled"], "", None))
            peer.hear(messages.Operation)
            peer.say(ack(1))
            peer.part()

        stub = Stub(endless)
        with blazedb.connect(stub.url) as db:
            for _ in db.scan("notes"):
                break
            gc.collect()
            db.delete("notes", ID)
        stub.finish(self)

    def test_a_record_that_is_not_canonical_ends_the_connection(self):
        def wrong(peer):
            peer.welcome()
            query = peer.hear(messages.Query)
            bad = bytes.fromhex("424c415a4501000109020000000000000005")
            peer.say(messages.QueryResponse(query.id, False, position(1), [messages.Row(1, RECORD), messages.Row(2, bad)]))
            error = peer.hear(messages.Error)
            self.assertEqual((error.scope, error.code), (0, NUMBERS["invalid_value"]))
            self.assertIsNone(peer.hear())

        stub = Stub(wrong)
        with blazedb.connect(stub.url) as db:
            with self.assertRaises(blazedb.Ended) as caught:
                next(db.scan("notes"))
            self.assertEqual(caught.exception.code, NUMBERS["invalid_value"])
        stub.finish(self)


class Watches(unittest.TestCase):
    def test_a_watch_from_now_that_was_told_nothing_goes_on_from_before_it(self):
        """Spec L-6.3: from what the Welcome or an Ack said was published, never from a later now."""

        def cut(peer):
            peer.welcome(position=position(40))
            peer.hear(messages.Operation)
            peer.say(ack(1, 41))
            self.assertEqual(peer.hear(messages.Subscribe).start, messages.START_NOW)

        def again(peer):
            peer.welcome(position=position(50))
            asked = peer.hear(messages.Subscribe)
            self.assertEqual((asked.start, asked.after), (messages.START_AFTER, position(41)))

        def tell(peer):
            peer.welcome(position=position(50))
            asked = peer.hear(messages.Subscribe)
            self.assertEqual((asked.start, asked.after), (messages.START_AFTER, position(41)))
            peer.say(changes(asked.id, 45, change(45)))
            peer.part()

        stub = Stub(cut, again, tell)
        with blazedb.connect(stub.url) as db:
            db.delete("notes", ID)
            with db.watch("notes", start="now") as watch:
                self.assertEqual(next(watch).seq, 45)
        stub.finish(self)

    def test_a_watch_goes_on_from_the_last_position(self):
        def begin(peer):
            peer.welcome()
            asked = peer.hear(messages.Subscribe)
            self.assertEqual((asked.mode, asked.start), (messages.MODE_ALL, messages.START_NOW))
            peer.say(changes(asked.id, 12, change(11, last=False), change(12)))
            peer.say(messages.Event(asked.id, messages.HEARTBEAT, position(20)))

        def go_on(peer):
            peer.welcome()
            asked = peer.hear(messages.Subscribe)
            self.assertEqual((asked.mode, asked.start, asked.after), (messages.MODE_ALL, messages.START_AFTER, position(20)))
            peer.say(changes(asked.id, 21, change(21)))
            peer.part()

        stub = Stub(begin, go_on)
        with blazedb.connect(stub.url) as db:
            with db.watch("notes", timeout=10) as watch:
                first = next(watch)
                self.assertEqual((first.seq, first.position, watch.position), (11, position(11), position(11)))
                self.assertEqual([next(watch).seq, next(watch).seq], [12, 21])
                self.assertEqual(watch.position, position(21))
        stub.finish(self)

    def test_a_snapshot_that_was_cut_goes_on_in_mode_latest_and_then_in_all(self):
        # L-6.1.
        def begin(peer):
            peer.welcome()
            asked = peer.hear(messages.Subscribe)
            self.assertEqual((asked.mode, asked.start), (messages.MODE_ALL, messages.START_SNAPSHOT))
            peer.say(changes(asked.id, 5, change(5, last=False)))

        def go_on(peer):
            peer.welcome()
            asked = peer.hear(messages.Subscribe)
            self.assertEqual((asked.mode, asked.after), (messages.MODE_LATEST, position(5)))
            peer.say(changes(asked.id, 9, change(9, last=False)), messages.Event(asked.id, messages.CAUGHT_UP, position(9)))
            # This crosses the Unsubscribe; it must be told by the next subscription alone.
            peer.say(changes(asked.id, 10, change(10, last=False)))
            self.assertEqual(peer.hear(messages.Unsubscribe).id, asked.id)
            peer.say(messages.Event(asked.id, messages.ENDED, position(10)))
            asked = peer.hear(messages.Subscribe)
            self.assertEqual((asked.mode, asked.after), (messages.MODE_ALL, position(9)))
            peer.say(changes(asked.id, 10, change(10)))
            peer.part()

        stub = Stub(begin, go_on)
        with blazedb.connect(stub.url) as db:
            watch = db.watch("notes", start="snapshot", timeout=10)
            told = [next(watch) for _ in range(4)]
        self.assertEqual([(item.kind, item.seq) for item in told], [("put", 5), ("put", 9), ("caught_up", 0), ("put", 10)])
        stub.finish(self)

    def test_a_watch_that_a_stopping_server_refuses_waits_for_the_next_connection(self):
        def stopping(peer):
            peer.welcome()
            asked = peer.hear(messages.Subscribe)
            peer.say(messages.Error(2, asked.id, NUMBERS["shutting_down"], "", None))
            peer.say(messages.Goodbye(NUMBERS["shutting_down"], 50, "back soon"))
            self.assertIsInstance(peer.hear(), messages.Goodbye)

        def back(peer):
            peer.welcome()
            peer.say(changes(peer.hear(messages.Subscribe).id, 4, change(4)))
            peer.part()

        stub = Stub(stopping, back)
        with blazedb.connect(stub.url) as db:
            self.assertEqual(next(db.watch("notes", timeout=10)).seq, 4)
        stub.finish(self)

    def test_a_reset_is_told_with_the_oldest_position(self):
        def reset(peer):
            peer.welcome()
            asked = peer.hear(messages.Subscribe)
            self.assertEqual(asked.after, position(3))
            event = messages.Event(asked.id, messages.RESET, position(3), (), NUMBERS["position_expired"], position(70))
            peer.say(event)
            peer.part()

        stub = Stub(reset)
        with blazedb.connect(stub.url) as db:
            with self.assertRaises(blazedb.WatchReset) as caught:
                next(db.watch("notes", start=position(3), timeout=10))
        self.assertEqual((caught.exception.name, caught.exception.oldest), ("position_expired", position(70)))
        stub.finish(self)


class Connecting(unittest.TestCase):
    def test_states_are_visible(self):
        def full(peer):
            peer.hear(messages.Hello)
            peer.say(messages.Error(0, 0, NUMBERS["too_busy"], "full", {"retry_after_ms": 100}))

        def welcome(peer):
            peer.welcome()
            peer.part()

        stub = Stub(full, welcome)
        seen = []
        with blazedb.connect(stub.url, on_status=seen.append) as db:
            self.assertEqual(db.status.state, "connected")
        self.assertEqual([status.state for status in seen], ["connecting", "waiting", "connecting", "connected", "ended"])
        self.assertEqual(seen[1].error.name, "too_busy")
        self.assertTrue(0.1 <= seen[1].retry_in <= 0.125, seen[1].retry_in)
        stub.finish(self)

    def test_what_trying_again_does_not_mend(self):
        def unknown(peer):
            peer.hear(messages.Hello)
            peer.say(messages.Error(0, 0, NUMBERS["unknown_database"], "no such database", None))

        stub = Stub(unknown)
        with self.assertRaises(blazedb.Ended) as caught:
            blazedb.connect(stub.url)
        self.assertEqual(caught.exception.name, "unknown_database")
        stub.finish(self)

    def test_nobody_there(self):
        with self.assertRaises(blazedb.Unreachable):
            blazedb.connect("blaze://127.0.0.1:1/main", timeout=0.5)
        with self.assertRaises(blazedb.Unreachable):
            blazedb.connect("blaze://127.0.0.1:1/main", timeout=None, give_up=0.5)
        with self.assertRaises(blazedb.Unreachable):
            blazedb.connect("blaze://no..host/main", timeout=0.5)

    def test_giving_up_in_the_midst_of_an_attempt(self):
        over = session.Session("main", give_up=6.0, jitter=lambda: 1.0)
        over.connected(0.0)
        over.tick(5.0)
        self.assertEqual((over.status.state, over.status.error.name), ("waiting", "handshake_timeout"))
        over.connected(5.5)
        self.assertEqual(over.deadline(), 6.0)
        over.tick(5.9)
        self.assertFalse(over.ended)
        over.tick(6.0)
        self.assertIsInstance(over.status.error, blazedb.Unreachable)

    def test_waits_grow_within_their_bounds(self):
        for chance in (0.0, 0.5, 1.0):
            over = session.Session("main", jitter=lambda: chance)
            waits = []
            for _ in range(12):
                over.unreachable(blazedb.BlazeError("no"), 100.0)
                waits.append(over.status.retry_in)
                self.assertEqual(over.attempt_at, 100.0 + waits[-1])
            bounds = [min(session.LAST_WAIT_SECONDS, 0.25 * 2**attempt) for attempt in range(12)]
            self.assertEqual(waits, [bound * chance for bound in bounds])

    def test_waits_begin_small_again_after_a_connection_that_told_something(self):
        def frame(sequence, message):
            kind, payload = messages.encode(message)
            return frames.encode(kind, 0, sequence, payload)

        welcome = messages.Welcome(1, 0, 9, 15_000, 9, 9_999, 0, 0, 9, 1, position(1), NODE, NODE, "", ())
        for told, expected in ((False, 8.0), (True, 0.25)):
            over = session.Session("main", jitter=lambda: 1.0)
            over.ask(operations.watch_request("notes", "now", "all"))
            for _ in range(5):
                over.unreachable(blazedb.BlazeError("no"), 1.0)
            over.connected(1.0)
            over.receive(frame(0, welcome), 1.0)
            over.output(1.0)
            if told:
                over.receive(frame(1, messages.Event(1, messages.CAUGHT_UP, position(1))), 1.0)
            over.lost("cut", 1.0)
            self.assertEqual(over.status.retry_in, expected)

    def test_patience_goes_on_where_every_welcome_is_followed_by_a_refusal(self):
        """Spec C-10.3: it begins anew after a connection that held, or was lost, not after one that was refused at once."""

        def frame(sequence, message):
            kind, payload = messages.encode(message)
            return frames.encode(kind, 0, sequence, payload)

        welcome = messages.Welcome(1, 0, 9, 15_000, 9, 9_999, 0, 0, 9, 1, position(1), NODE, NODE, "", ())
        full = messages.Error(0, 0, NUMBERS["disk_full"], "full", None)
        over = session.Session("main", jitter=lambda: 1.0, give_up=60.0)
        now = over.attempt_at
        for held, refused, since in ((1.0, True, 0.0), (2.0, True, 0.0), (6.0, True, 9.0), (1.0, True, 9.0), (1.0, False, 11.0)):
            over.connected(now)
            over.receive(frame(0, welcome), now)
            now += held
            if refused:
                over.receive(frame(1, full), now)
            else:
                over.lost("cut", now)
            self.assertEqual(over._apart_since, since)
            self.assertFalse(over.ended)
        over.tick(71.0)
        self.assertTrue(over.ended)

    def test_urls(self):
        for url, expected in (
            ("blaze://", ("blaze", "127.0.0.1", 25293, "", "main", None)),
            ("blaze://db.example:7/notes", ("blaze", "db.example", 7, "", "notes", None)),
            ("blaze://[::1]/", ("blaze", "::1", 25293, "", "main", None)),
            ("blazes://h?pin=sha256:" + "0A" * 32, ("blazes", "h", 25293, "", "main", b"\n" * 32)),
            ("unix:/tmp/a%20b?db=x", ("unix", "", 0, "/tmp/a%20b", "x", None)),
        ):
            self.assertEqual(target.parse(url), expected, url)
        for url in (
            "ws://h", "blaze:h", "blaze://u@h", "blaze://h:0", "blaze://h:65536", "blaze://h?db=x", "blaze://h/a/b", "blaze://h/A",
            "blazes://h?pin=sha256:00", "blazes://h?pin=a&pin=a", "unix:tmp", "unix:/" + "x" * 107, "unix:/x?db=a&db=b",
        ):
            with self.assertRaises(blazedb.InputError, msg=url):
                target.parse(url)

    def test_a_unix_socket(self):
        def answer(peer):
            self.assertEqual(peer.welcome().database, "other")
            peer.hear(messages.Operation)
            peer.say(ack(1))
            peer.part()

        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            stub = Stub(answer, path=path)
            with blazedb.connect(f"unix:{path}?db=other") as db:
                db.delete("notes", ID)
            stub.finish(self)

    def test_tls_by_pin_and_by_authority(self):
        def answer(peer):
            peer.welcome()
            peer.hear(messages.Operation)
            peer.say(ack(1))
            peer.part()

        certificate = ssl.PEM_cert_to_DER_cert(CERTIFICATE.read_text())
        right = "sha256:" + hashlib.sha256(certificate).hexdigest()
        wrong = "sha256:" + "00" * 32
        trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
        trusting.minimum_version = ssl.TLSVersion.TLSv1_3
        stub = Stub(answer, answer, tls=True)
        for url, tls in ((f"blazes://127.0.0.1:{stub.port}?pin={right}", None), (f"blazes://localhost:{stub.port}", trusting)):
            with blazedb.connect(url, tls=tls) as db:
                db.delete("notes", ID)
        stub.finish(self)
        never = Stub(lambda peer: self.assertIsNone(peer.hear()), lambda peer: self.assertIsNone(peer.hear()), tls=True)
        for options in (f"?pin={wrong}", ""):
            with self.assertRaises(blazedb.Ended) as caught:
                blazedb.connect(f"blazes://127.0.0.1:{never.port}{options}")
            self.assertIn("not trusted", str(caught.exception))
        never.finish(self)


class Input(unittest.TestCase):
    def test_what_is_refused_before_anything_is_sent(self):
        batch = blazedb.client.Operations()
        for refused in (
            lambda: batch.put("no such name", {}),
            lambda: batch.put("notes", {"id": "018f3c7a"}),
            lambda: batch.put("notes", {"at": datetime.datetime(2026, 1, 1)}),
            lambda: batch.put("notes", {"n": 2**63}),
            lambda: batch.put("notes", {1: 2}),
            lambda: batch.put("notes", {"a": object()}),
            lambda: batch.put("notes", {"e\u0301": 1, "\u00e9": 2}),
            lambda: batch.put("notes", {"a": "x" * encoding.MAX_RECORD}),
            lambda: batch.patch("notes", ID, {"id": ID}),
            lambda: batch.patch("notes", ID, unset=["id"]),
            lambda: batch.delete("notes", str(ID)),
            lambda: batch.check("notes", ID, -1),
            batch.body,
        ):
            with self.assertRaises(blazedb.InputError):
                refused()
        self.assertEqual(len(batch), 0)

    def test_groups(self):
        batch = blazedb.client.Operations()
        batch.delete("a", ID).delete("a", ID).drop("a").delete("a", ID).delete("b", ID)
        decoded = messages.decode(messages.OPERATION, bytes(7) + b"\x01\x01" + batch.body())
        self.assertEqual([(name, len(ops)) for name, ops in decoded.groups], [("a", 2), ("a", 2), ("b", 1)])

    def test_new_ids(self):
        one = blazedb.new_id()
        self.assertEqual((one.version, one.variant), (7, uuid.RFC_4122))
        self.assertLess(abs((one.int >> 80) / 1000 - time.time()), 60)

    def test_dates(self):
        moment = datetime.datetime(2013, 1, 1, 10, 0, 0, 100_000, tzinfo=datetime.timezone.utc)
        # spec/json.md: 2013-01-01T10:00:00.1Z is 41b692eb2019999a.
        self.assertEqual(encoding.encode_value(blazedb.Date.of(moment)).hex(), "0641b692eb2019999a")
        self.assertEqual(blazedb.Date.of(moment).datetime(), moment)
        with self.assertRaises(blazedb.InputError):
            blazedb.Date.of(datetime.datetime(2013, 1, 1))

    def test_types_are_kept(self):
        given = {"id": ID, "i": 5, "d": 5.0, "b": True, "n": None, "z": -0.0, "v": blazedb.Vector([1.0]), "x": b"", "t": blazedb.Date(1)}
        back = encoding.decode(encoding.encode(given))
        self.assertEqual({key: (type(value), value) for key, value in back.items()}, {key: (type(value), value) for key, value in given.items()})
        self.assertEqual(str(back["z"]), "-0.0")


class Asyncio(unittest.TestCase):
    def test_the_same_with_awaits(self):
        def cut(peer):
            peer.welcome()
            peer.hear(messages.Operation)

        def answer(peer):
            peer.welcome(node_decided=1)
            peer.hear(messages.Operation)
            peer.say(ack(1))
            query = peer.hear(messages.Query)
            peer.say(messages.QueryResponse(query.id, True, position(1), [messages.Row(3, RECORD)]))
            asked = peer.hear(messages.Subscribe)
            peer.say(changes(asked.id, 4, change(4)))
            peer.part()

        async def session_of():
            async with await aio.connect(stub.url) as db:
                await db.put("notes", {"id": ID})
                self.assertEqual((await db.get("notes", ID)).version, 3)
                async for item in db.watch("notes", timeout=10):
                    self.assertEqual(item.seq, 4)
                    break
                with self.assertRaises(blazedb.TimedOut):
                    await db.get("notes", ID, timeout=0.2)

        stub = Stub(cut, answer)
        asyncio.run(session_of())
        stub.finish(self)

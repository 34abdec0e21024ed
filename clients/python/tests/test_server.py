"""Both clients against the real server: killed, started again, and everything that was acknowledged is there exactly once."""

import asyncio
import collections
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

import blazedb
from blazedb import aio

from .support import Cutter, RealServer, binary

CUTS = 10


class Server(unittest.TestCase):
    def setUp(self):
        self.server = RealServer()
        self.addCleanup(self.server.stop)

    def test_all_there_is_to_do(self):
        with blazedb.connect(self.server.url) as db:
            note = db.put("notes", {"title": "Hello", "votes": 5, "share": 5.0, "when": blazedb.Date(0.5), "raw": b"\x00"})
            found = db.get("notes", note)
            self.assertEqual((type(found["votes"]), type(found["share"])), (int, float))
            self.assertEqual((found["when"], found["raw"]), (blazedb.Date(0.5), b"\x00"))
            db.patch("notes", note, {"votes": 6}, ["raw"], base=found.version)
            with self.assertRaises(blazedb.Refused) as caught:
                db.patch("notes", note, {"votes": 7}, base=found.version)
            self.assertEqual((caught.exception.name, caught.exception.retryable), ("precondition_failed", True))
            patched = db.get("notes", note)
            self.assertEqual((patched["votes"], "raw" in patched), (6, False))
            with self.assertRaises(blazedb.Refused) as caught:
                with db.batch() as batch:
                    batch.insert("other", {})
                    batch.insert("notes", {"id": note})
            self.assertEqual((caught.exception.name, caught.exception.item), ("already_exists", 1))
            with self.assertRaises(blazedb.Refused) as caught:
                list(db.scan("other"))
            self.assertEqual(caught.exception.name, "unknown_collection", "all or nothing")
            ids = sorted(db.insert("many", {"n": n}) for n in range(5))
            self.assertEqual([row["id"] for row in db.scan("many", lower=ids[1], after=True, limit=2)], ids[2:4])
            self.assertEqual([row["id"] for row in db.scan("many", upper=ids[3], reverse=True)], ids[3::-1])
            self.assertEqual([row["id"] for row in db.get_many("many", [ids[4], note, ids[0]])], [ids[4], ids[0]])
            db.delete("many", ids[0])
            db.delete("many", ids[0])
            self.assertEqual(db.stats("many")[0]["records"], 4)
            db.drop("many")
            self.assertEqual([row["collection"] for row in db.stats()], ["notes"])

    def test_kill_and_start_again(self):
        """A load and a watch over three kills: each acknowledged record once, each change once and in order."""
        told = []
        acknowledged = {}
        with blazedb.connect(self.server.url, call_timeout=60) as db:
            with db.watch("log", start="snapshot", timeout=60) as watch:
                kills = threading.Thread(target=self.kill_three_times)
                kills.start()
                under_way = collections.deque()
                number = 0
                while kills.is_alive() or under_way:
                    if kills.is_alive() and len(under_way) < 64:
                        batch = db.batch()
                        identity = batch.insert("log", {"number": number})
                        under_way.append((identity, number, batch.submit()))
                        number += 1
                        continue
                    identity, value, ticket = under_way.popleft()
                    ticket.result()
                    acknowledged[identity] = value
                kills.join()
                self.assertGreater(len(acknowledged), 100)
                with self.assertRaises(blazedb.TimedOut):
                    while len(told) < 2 * len(acknowledged) + 100:
                        # What comes beyond what is wanted would come soon.
                        change = watch.next(60 if len(told) < len(acknowledged) else 1)
                        if change.kind == "put":
                            told.append(change)
            stored = {row["id"]: row["number"] for row in db.scan("log")}
        self.assertEqual(stored, acknowledged)
        self.assertEqual({change.id: change.record["number"] for change in told}, acknowledged)
        self.assertEqual(len(told), len(acknowledged), "none is told twice")
        places = [change.seq for change in told]
        self.assertEqual(places, sorted(set(places)))

    def test_cut_at_any_byte(self):
        """A load and a watch over connections that are cut at random: each record once, each change once and in order."""
        relay = Cutter(self.server.port, seed=5, most=100_000)
        self.addCleanup(relay.listener.close)
        acknowledged = {}
        told = []
        with blazedb.connect(relay.url, timeout=30, call_timeout=60) as db:
            watch = db.watch("log", start="snapshot", timeout=60)
            under_way = collections.deque()
            number = 0
            # So many cuts, however long a machine takes for them.
            while relay.connections <= CUTS or under_way:
                if relay.connections <= CUTS and len(under_way) < 32:
                    batch = db.batch()
                    identity = batch.insert("log", {"number": number, "text": "x" * (number * 37 % 2000)})
                    under_way.append((identity, number, batch.submit()))
                    number += 1
                    continue
                identity, value, ticket = under_way.popleft()
                ticket.result()
                acknowledged[identity] = value
            with self.assertRaises(blazedb.TimedOut):
                while True:
                    change = watch.next(60 if len(told) < len(acknowledged) else 1)
                    if change.kind == "put":
                        told.append(change)
        self.assertEqual({change.id: change.record["number"] for change in told}, acknowledged)
        places = [change.seq for change in told]
        self.assertEqual(places, sorted(set(places)))
        with blazedb.connect(self.server.url) as db:
            self.assertEqual({row["id"]: row["number"] for row in db.scan("log")}, acknowledged)

    def kill_three_times(self):
        for _ in range(3):
            time.sleep(0.4)
            self.server.kill()
            self.server.start()
        time.sleep(0.4)

    def test_a_watch_of_another_process_goes_on_from_a_position_kept(self):
        with blazedb.connect(self.server.url) as db:
            db.put("notes", {"n": 1})
            with db.watch("notes", start="snapshot", timeout=20) as watch:
                kinds = [next(watch).kind, next(watch).kind]
                kept = watch.position
        self.assertEqual(kinds, ["put", "caught_up"])
        with blazedb.connect(self.server.url) as db:
            db.put("notes", {"n": 2})
            self.assertEqual(next(db.watch("notes", start=kept, timeout=20)).record["n"], 2)

    def test_compressed_answers_are_the_same(self):
        with blazedb.connect(self.server.url) as db, blazedb.connect(self.server.url, compress=True) as packed:
            with db.batch() as batch:
                for number in range(2000):
                    batch.put("rows", {"number": number, "text": "the same again " * 4})
            rows = list(db.scan("rows"))
            self.assertEqual(len(rows), 2000)
            self.assertEqual(list(packed.scan("rows")), rows)

    def test_the_same_with_awaits(self):
        async def session():
            async with await aio.connect(self.server.url, call_timeout=60) as db:
                watch = db.watch("notes", timeout=60)
                ids = [await (await db.submit(one(db, n))).result() for n in range(3)]
                self.assertEqual(len(ids), 3)
                await asyncio.get_running_loop().run_in_executor(None, self.server.kill)
                waiting = asyncio.ensure_future(db.put("notes", {"n": 3}))
                await asyncio.get_running_loop().run_in_executor(None, self.server.start)
                await waiting
                told = []
                while len(told) < 4:
                    change = await watch.next(60)
                    if change.kind == "put":
                        told.append(change.record["n"])
                self.assertEqual(told, [0, 1, 2, 3])
                self.assertEqual(sorted([row["n"] async for row in db.scan("notes")]), [0, 1, 2, 3])

        def one(db, number):
            batch = db.batch()
            batch.put("notes", {"n": number})
            return batch

        asyncio.run(session())

    def test_the_first_lines_of_the_readme(self):
        readme = pathlib.Path(__file__).resolve().parents[1] / "README.md"
        block = re.search(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.S)[1]
        self.assertLessEqual(len([line for line in block.splitlines() if line.strip()]), 10)
        code = block.replace("blaze://127.0.0.1:25293/main", self.server.url)
        self.assertNotEqual(code, block)
        exec(compile(code, "README.md", "exec"), {"print": lambda *words: None})


class Doors(unittest.TestCase):
    """Every way to the server that this client has."""

    def setUp(self):
        options = subprocess.run([binary(), "serve", "--help"], capture_output=True, text=True, check=True).stdout
        if "unix:PATH" not in options:
            self.skipTest("this server has TCP alone")
        self.folder = tempfile.mkdtemp(prefix="blazedb-python-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.path = os.path.join(self.folder, "socket")
        self.server = RealServer("--listen", f"unix:{self.path}")
        self.addCleanup(self.server.stop)

    def put_and_get(self, url):
        with blazedb.connect(url) as db:
            note = db.put("notes", {"over": url})
            self.assertEqual(db.get("notes", note)["over"], url)

    def test_a_unix_socket(self):
        self.put_and_get(f"unix:{self.path}")

    def test_tls_by_the_fingerprint_that_the_server_prints(self):
        limit = time.monotonic() + 10
        found = None
        while found is None and time.monotonic() < limit:
            time.sleep(0.05)
            found = re.search(r"blazes://\S+sha256:[0-9a-f]{64}", "".join(self.server.said))
        self.put_and_get(found[0])
        wrong = re.sub("[0-9a-f]{64}", "00" * 32, found[0])
        for url in (wrong, found[0].partition("?")[0]):
            with self.assertRaises(blazedb.Ended) as caught:
                blazedb.connect(url)
            self.assertIn("not trusted", str(caught.exception))

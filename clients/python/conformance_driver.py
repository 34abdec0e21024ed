"""The driver of the Python clients for `blazedb conformance client` (conformance/client-contract.md): commands are lines of
JSON on stdin, answers go to stdout. With `--threads` it drives the client for threads, else that for asyncio.
"""

import asyncio
import concurrent.futures
import json
import os
import sys
import threading
import uuid

import blazedb
from blazedb import aio, typed_json
from blazedb.operations import Batch

GIVE_UP_SECONDS = 120.0
CLOSE_SECONDS = 60.0

KINDS = (
    (blazedb.Refused, "refused"),
    (blazedb.Unreachable, "unreachable"),
    (blazedb.Ended, "ended"),
    (blazedb.OutcomeUnknown, "unknown"),
    (blazedb.Interrupted, "interrupted"),
    (blazedb.Malformed, "ended"),
    (blazedb.WatchReset, "reset"),
    (blazedb.Cancelled, "cancelled"),
    (blazedb.InputError, "input"),
)
_out = threading.Lock()


def say(answer):
    with _out:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def plain(record):
    """Typed JSON as a member of an answer. Python's JSON keeps ints and doubles apart, so that nothing is lost between."""
    return json.loads(typed_json.dumps(record))


def record_of(tree):
    return typed_json.loads_record(json.dumps(tree))


def error_of(error):
    kind = next((name for of, name in KINDS if isinstance(error, of)), None)
    if kind is None:
        raise error
    told = {"kind": kind, "code": error.code, "message": str(error), "retryable": error.retryable}
    if error.item is not None:
        told["item"] = error.item
    return told


def event_of(change):
    if change.kind in ("caught_up", "waiting"):
        return {"event": change.kind}
    told = {"kind": change.kind, "seq": change.seq}
    if change.kind == "put":
        told["record"] = plain(change.record)
    elif change.kind == "delete":
        told["uuid"] = str(change.id)
    return {"event": "changes", "changes": [told]}


def add(batch, op, command):
    collection = command["collection"]
    if op == "put":
        batch.put(collection, record_of(command["record"]))
    elif op == "insert":
        batch.insert(collection, record_of(command["record"]))
    elif op == "patch":
        batch.patch(collection, uuid.UUID(command["uuid"]), record_of(command.get("set", {})), command.get("unset", ()))
    else:
        batch.delete(collection, uuid.UUID(command["uuid"]))


def batch_of(command):
    batch = Batch()
    if command["do"] == "batch":
        for single in command["operations"]:
            add(batch, single["op"], single)
    else:
        add(batch, command["do"], command)
    return batch


def scan_options(command):
    return {"limit": command.get("limit"), "reverse": command.get("reverse", False), "timeout": None}


def connect_options(command):
    options = {"timeout": GIVE_UP_SECONDS, "call_timeout": None, "give_up": GIVE_UP_SECONDS, "compress": command.get("lz4", False)}
    if "heartbeat_ms" in command:
        options["heartbeat"] = command["heartbeat_ms"] / 1000
    return options


OPERATIONS = ("put", "insert", "patch", "delete", "batch")


class Asynchronous:
    """Drives the client for asyncio: a task for each command, begun in the order of the lines."""

    def __init__(self):
        self.db = None
        self.tasks = {}

    async def run(self):
        loop = asyncio.get_running_loop()
        lines = asyncio.Queue()

        def read():
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

        threading.Thread(target=read, daemon=True).start()
        while True:
            line = await lines.get()
            if line is None:
                break
            await self.begin(json.loads(line))
        if self.db is not None:
            await self.db.abort()

    async def begin(self, command):
        if command["do"] == "connect":
            await self.answer(command, self.connect(command))
            return
        if command["do"] in OPERATIONS:
            # Handed in before the next line is looked at, so that their order is that of the lines.
            try:
                ticket = await self.db.submit(batch_of(command), timeout=None)
            except blazedb.BlazeError as error:
                say({"id": command["id"], "error": error_of(error)})
                return
            work = self.outcome(ticket)
        else:
            work = getattr(self, command["do"])(command)
        self.tasks[command["id"]] = asyncio.get_running_loop().create_task(self.answer(command, work))
        await asyncio.sleep(0)

    async def answer(self, command, work):
        try:
            say({"id": command["id"], "ok": await work})
        except blazedb.BlazeError as error:
            say({"id": command["id"], "error": error_of(error)})
        except asyncio.CancelledError:
            say({"id": command["id"], "error": error_of(blazedb.Cancelled("cancelled"))})

    async def connect(self, command):
        self.db = await aio.connect(os.environ["BLAZEDB_URL"], **connect_options(command))
        return {"node": str(self.db.node)}

    async def outcome(self, ticket):
        return {"position": (await ticket.result(None)).position.hex()}

    async def get(self, command):
        ids = [uuid.UUID(item) for item in command["uuids"]]
        return {"records": [plain(record) for record in await self.db.get_many(command["collection"], ids)]}

    async def scan(self, command):
        async with self.db.scan(command["collection"], **scan_options(command)) as records:
            return {"records": [plain(record) async for record in records]}

    async def watch(self, command):
        async with self.db.watch(command["collection"], mode=command["mode"], start=command["start"]) as changes:
            async for change in changes:
                await self.tell({"id": command["id"], **event_of(change)})

    async def tell(self, event):
        """Says it on a thread: output that nobody reads holds up the watch, and not the connection."""
        said = asyncio.get_running_loop().run_in_executor(None, say, event)
        try:
            await asyncio.shield(said)
        except asyncio.CancelledError:
            # The answer comes behind it.
            await said
            raise

    async def cancel(self, command):
        self.tasks[command["of"]].cancel()
        return {}

    async def close(self, command):
        await self.db.close(CLOSE_SECONDS)
        return {}


class Threaded:
    """Drives the client for threads: a thread for each command."""

    def __init__(self):
        self.db = None
        self.streams = {}

    def run(self):
        with concurrent.futures.ThreadPoolExecutor(max_workers=256) as pool:
            for line in sys.stdin:
                self.begin(json.loads(line), pool)
            if self.db is not None:
                self.db.abort()

    def begin(self, command, pool):
        do = command["do"]
        try:
            if do == "connect":
                self.db = blazedb.connect(os.environ["BLAZEDB_URL"], **connect_options(command))
                say({"id": command["id"], "ok": {"node": str(self.db.node)}})
            elif do in OPERATIONS:
                pool.submit(self.answer, command, self.outcome, self.db.submit(batch_of(command), timeout=None))
            elif do == "scan":
                stream = self.db.scan(command["collection"], **scan_options(command))
                self.streams[command["id"]] = stream
                pool.submit(self.answer, command, self.records, stream)
            elif do == "watch":
                stream = self.db.watch(command["collection"], mode=command["mode"], start=command["start"])
                self.streams[command["id"]] = stream
                pool.submit(self.answer, command, self.changes, (command["id"], stream))
            elif do == "get":
                pool.submit(self.answer, command, self.get, command)
            elif do == "cancel":
                self.streams[command["of"]].close()
                say({"id": command["id"], "ok": {}})
            elif do == "close":
                pool.submit(self.answer, command, self.close, command)
        except blazedb.BlazeError as error:
            say({"id": command["id"], "error": error_of(error)})

    def answer(self, command, work, argument):
        try:
            say({"id": command["id"], "ok": work(argument)})
        except blazedb.BlazeError as error:
            say({"id": command["id"], "error": error_of(error)})

    def outcome(self, ticket):
        return {"position": ticket.result(None).position.hex()}

    def records(self, stream):
        return {"records": [plain(record) for record in stream]}

    def get(self, command):
        ids = [uuid.UUID(item) for item in command["uuids"]]
        return {"records": [plain(record) for record in self.db.get_many(command["collection"], ids)]}

    def changes(self, watch):
        number, stream = watch
        for change in stream:
            say({"id": number, **event_of(change)})

    def close(self, command):
        self.db.close(CLOSE_SECONDS)
        return {}


def main():
    if "--threads" in sys.argv[1:]:
        Threaded().run()
    else:
        asyncio.run(Asynchronous().run())
    sys.stdout.flush()
    # Threads that still wait must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()

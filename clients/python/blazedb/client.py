"""The client for programs without an event loop: calls that block, over a thread that keeps the connection."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import uuid
from types import TracebackType
from typing import Any, Callable, Iterable, Iterator, List, Mapping, Optional, Sequence, Type, TypeVar

from . import operations
from .errors import TimedOut, again
from .front import (
    CALL_SECONDS,
    CLOSE_SECONDS,
    CONNECT_SECONDS,
    DEFAULT,
    DEFAULT_URL,
    HEARTBEAT_SECONDS,
    Front,
    FrontStream,
    FrontTicket,
    FrontWatch,
    Options,
    left_until,
    limit_of,
)
from .operations import Batch as Operations
from .requests import DONE, Change, Query
from .session import CONNECTED, Outcome, Status
from .values import Record

T = TypeVar("T", bound="Client")


def connect(
    url: str = DEFAULT_URL,
    *,
    timeout: Optional[float] = CONNECT_SECONDS,
    call_timeout: Optional[float] = CALL_SECONDS,
    compress: bool = False,
    heartbeat: float = HEARTBEAT_SECONDS,
    give_up: Optional[float] = None,
    tls: Optional[ssl.SSLContext] = None,
    on_status: Callable[[Status], Any] = lambda status: None,
) -> Client:
    """Connects, and returns when the server said Welcome: Unreachable after ``timeout``, Ended where trying on is no use.

    ``call_timeout``: how long calls wait unless told otherwise (None: for ever). ``compress``: lets the server compress what
    it sends; worth it over links slower than some 20 MB/s. ``give_up``: how long to try without a connection before the
    client ends (None: for ever). ``tls``: a context of your own, with your own authority, say. ``on_status`` is
    called with each Status, in the client's thread: it must return soon and make no calls.
    """
    client = Client(url, Options(call_timeout, compress, heartbeat, give_up, tls, on_status))
    try:
        client.wait_connected(timeout)
    except BaseException:
        client.abort()
        raise
    return client


class Client(Front):
    """See ``connect``. Its methods may be called from any thread."""

    def __init__(self, url: str, options: Options) -> None:
        super().__init__(url, options, threaded=True)
        self._thread = threading.Thread(target=self._run, name="blazedb", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.run(self._drive())

    async def _drive(self) -> None:
        with self._lock:
            self._driver.start(asyncio.get_running_loop())
        await self._driver.stopped()

    # ---- the connection ----

    def wait_connected(self, timeout: Optional[float] = DEFAULT) -> None:
        """Returns when there is a connection."""
        limit = self._until(timeout)
        while True:
            with self._lock:
                status = self._session.status
                if status.state == CONNECTED:
                    return
                if self._session.ended:
                    raise again(status.error)
                gate = _gate()
                self._session.on_change(gate.release)
            if not _passed(gate, limit):
                raise self._unconnected()

    def close(self, timeout: Optional[float] = CLOSE_SECONDS) -> None:
        """Ends orderly: watches and scans end, what was handed in is told, and both sides say Goodbye.

        What is not told after ``timeout`` gets the error Ended.
        """
        with self._lock:
            self._session.close(time.monotonic())
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout)
            if self._thread.is_alive():
                self.abort()

    def abort(self) -> None:
        """Ends at once: calls that wait get the error Ended."""
        with self._lock:
            self._session.abort()
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_SECONDS)

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    # ---- writing ----

    def put(
        self, collection: str, record: Mapping[str, Any], *, base: Optional[int] = None, timeout: Optional[float] = DEFAULT
    ) -> uuid.UUID:
        """Replaces or creates a record, durably, and returns its id: the record's own, or a new one."""
        one = Operations()
        identity = one.put(collection, record, base=base)
        self._commit(one, timeout)
        return identity

    def insert(self, collection: str, record: Mapping[str, Any], *, timeout: Optional[float] = DEFAULT) -> uuid.UUID:
        """Creates a record, durably, and returns its id; Refused (already_exists) where there is one."""
        one = Operations()
        identity = one.insert(collection, record)
        self._commit(one, timeout)
        return identity

    def patch(
        self,
        collection: str,
        id: uuid.UUID,
        set: Optional[Mapping[str, Any]] = None,
        unset: Sequence[str] = (),
        *,
        base: Optional[int] = None,
        timeout: Optional[float] = DEFAULT,
    ) -> None:
        """Sets some fields of a record and takes others away; Refused (not_found) where there is none."""
        self._commit(Operations().patch(collection, id, set, unset, base=base), timeout)

    def delete(
        self, collection: str, id: uuid.UUID, *, base: Optional[int] = None, timeout: Optional[float] = DEFAULT
    ) -> None:
        """Deletes a record; one that is not there is no fault."""
        self._commit(Operations().delete(collection, id, base=base), timeout)

    def drop(self, collection: str, *, timeout: Optional[float] = DEFAULT) -> None:
        """Removes a collection and all its records."""
        self._commit(Operations().drop(collection), timeout)

    def batch(self) -> Batch:
        """A batch: fill it and commit, or use it in a ``with``, which commits at its end unless an exception leaves it."""
        return Batch(self)

    def submit(self, batch: Operations, *, timeout: Optional[float] = DEFAULT) -> Ticket:
        """Hands a batch in without waiting for its outcome; waits while the outbox is full."""
        body = batch.body()
        limit = self._until(timeout)
        while True:
            with self._lock:
                if self._session.has_room() or self._session.ended:
                    return Ticket(self, self._session.submit(body))
                gate = _gate()
                self._session.on_room(gate.release)
            if not _passed(gate, limit):
                raise TimedOut("the outbox stayed full: nothing was handed in")

    def _commit(self, batch: Operations, timeout: Optional[float]) -> Outcome:
        """Hands in and waits, both within the one time."""
        limit = self._until(timeout)
        return self.submit(batch, timeout=timeout).result(left_until(limit))

    # ---- reading ----

    def get(self, collection: str, id: uuid.UUID, *, timeout: Optional[float] = DEFAULT) -> Optional[Record]:
        """A record, None where there is none."""
        found = self.get_many(collection, [id], timeout=timeout)
        return found[0] if found else None

    def get_many(self, collection: str, ids: Iterable[uuid.UUID], *, timeout: Optional[float] = DEFAULT) -> List[Record]:
        """The records of these ids that exist, in the order of the ids, all from one snapshot."""
        with self._stream(operations.get_query(collection, ids), timeout) as records:
            return list(records)

    def stats(self, collection: Optional[str] = None, *, timeout: Optional[float] = DEFAULT) -> List[Record]:
        """How many records there are, of one collection or of all of all databases: a record each."""
        with self._stream(operations.stats_query(collection), timeout) as records:
            return list(records)

    def scan(
        self,
        collection: str,
        *,
        lower: Optional[uuid.UUID] = None,
        upper: Optional[uuid.UUID] = None,
        after: bool = False,
        limit: Optional[int] = None,
        reverse: bool = False,
        timeout: Optional[float] = DEFAULT,
    ) -> Stream[Record]:
        """The records of a collection by rising ids, from one snapshot; ``timeout`` is for each step.

        ``lower`` and ``upper`` are included; with ``after`` the one that the scan begins at is not. Interrupted is raised
        where the connection is lost after some were handed on: scan on from the last with ``after``.
        """
        return self._stream(operations.scan_query(collection, lower, upper, after, limit, reverse), timeout)

    def watch(
        self,
        collection: str,
        *,
        start: operations.Start = "now",
        mode: str = "all",
        timeout: Optional[float] = None,
    ) -> WatchStream:
        """Changes as they happen, each once and in order, over lost connections too; ``timeout`` is for each step.

        ``start``: 'now', 'snapshot' (first all records there are), or the ``position`` of a Change told before. ``mode``: 'all'
        changes, or the 'latest' image of each record, for who may fall behind.
        """
        stream = WatchStream(self, operations.watch_request(collection, start, mode), timeout)
        self._ask(stream._request)
        return stream

    def _stream(self, query: Query, timeout: Optional[float]) -> Stream[Record]:
        stream: Stream[Record] = Stream(self, query, self._timeout(timeout))
        self._ask(query)
        return stream


class Ticket(FrontTicket[Client]):
    """An operation that was handed in."""

    __slots__ = ()

    def result(self, timeout: Optional[float] = DEFAULT) -> Outcome:
        """The outcome once it is durable. TimedOut says whether it may still take effect: its ``pending`` is this ticket."""
        if not self._pending.done:
            limit = self._client._until(timeout)
            gate = _gate()
            with self._client._lock:
                self._pending.on_done(gate.release)
            if not _passed(gate, limit):
                self._late()
        return self._outcome()


class Batch(Operations):
    """Operations of a client that take effect together or not at all."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def commit(self, timeout: Optional[float] = DEFAULT) -> Outcome:
        """Sends the batch and returns when it is durable."""
        return self._client._commit(self, timeout)

    def submit(self, timeout: Optional[float] = DEFAULT) -> Ticket:
        """Sends the batch without waiting for its outcome."""
        return self._client.submit(self, timeout=timeout)

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if kind is None and len(self):
            self.commit()


Item = TypeVar("Item")


class Stream(FrontStream[Client], Iterator[Item]):
    """What a request tells, item by item. ``close`` (or leaving a ``with``, or dropping it) cancels what is left."""

    def __iter__(self) -> Stream[Item]:
        return self

    def __next__(self) -> Item:
        return self.next(self._timeout)

    def next(self, timeout: Optional[float] = None) -> Item:
        """The next item; TimedOut after ``timeout`` seconds, and it can be asked for again."""
        limit = limit_of(timeout)
        while True:
            with self._client._lock:
                item = self._poll()
                if item is None:
                    gate = _gate()
                    self._request.on_progress(gate.release)
            if item is DONE:
                raise StopIteration
            if item is not None:
                return item  # type: ignore[no-any-return]
            if not _passed(gate, limit):
                raise TimedOut("nothing came in time")

    def __enter__(self) -> Stream[Item]:
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


class WatchStream(FrontWatch[Client], Stream[Change]):
    """The changes that a watch tells."""


def _gate() -> threading.Lock:
    """A closed gate: a lock that whoever is waited for releases."""
    gate = threading.Lock()
    gate.acquire()
    return gate


def _passed(gate: threading.Lock, limit: Optional[float]) -> bool:
    left = left_until(limit)
    return gate.acquire() if left is None else gate.acquire(timeout=left)

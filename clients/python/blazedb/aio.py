"""The client for programs with an event loop of asyncio. It is the other client with awaits; what is said there holds here."""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from types import TracebackType
from typing import Any, AsyncIterator, Awaitable, Callable, Iterable, List, Mapping, Optional, Sequence, Type, TypeVar

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


async def connect(
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
    """Connects, and returns when the server said Welcome; the arguments are those of blazedb.connect."""
    client = Client(url, Options(call_timeout, compress, heartbeat, give_up, tls, on_status))
    try:
        await client.wait_connected(timeout)
    except BaseException:
        await client.abort()
        raise
    return client


class Client(Front):
    """See ``connect``. It belongs to the event loop in which it was made."""

    def __init__(self, url: str, options: Options) -> None:
        super().__init__(url, options, threaded=False)
        self._driver.start(asyncio.get_running_loop())

    async def wait_connected(self, timeout: Optional[float] = DEFAULT) -> None:
        """Returns when there is a connection."""
        limit = self._until(timeout)
        while self._session.status.state != CONNECTED:
            if self._session.ended:
                raise again(self._session.status.error)
            if not await _passed(self._session.on_change, limit):
                raise self._unconnected()

    async def close(self, timeout: Optional[float] = CLOSE_SECONDS) -> None:
        """Ends orderly; what is not told after ``timeout`` gets the error Ended."""
        self._session.close(time.monotonic())
        try:
            await asyncio.wait_for(self._driver.stopped(), timeout)
        except asyncio.TimeoutError:
            await self.abort()

    async def abort(self) -> None:
        """Ends at once: calls that wait get the error Ended."""
        self._session.abort()
        await self._driver.stopped()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if kind is None:
            await self.close()
        else:
            await self.abort()

    # ---- writing ----

    async def put(
        self, collection: str, record: Mapping[str, Any], *, base: Optional[int] = None, timeout: Optional[float] = DEFAULT
    ) -> uuid.UUID:
        """Replaces or creates a record, durably, and returns its id: the record's own, or a new one."""
        one = Operations()
        identity = one.put(collection, record, base=base)
        await self._commit(one, timeout)
        return identity

    async def insert(self, collection: str, record: Mapping[str, Any], *, timeout: Optional[float] = DEFAULT) -> uuid.UUID:
        """Creates a record, durably, and returns its id; Refused (already_exists) where there is one."""
        one = Operations()
        identity = one.insert(collection, record)
        await self._commit(one, timeout)
        return identity

    async def patch(
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
        await self._commit(Operations().patch(collection, id, set, unset, base=base), timeout)

    async def delete(
        self, collection: str, id: uuid.UUID, *, base: Optional[int] = None, timeout: Optional[float] = DEFAULT
    ) -> None:
        """Deletes a record; one that is not there is no fault."""
        await self._commit(Operations().delete(collection, id, base=base), timeout)

    async def drop(self, collection: str, *, timeout: Optional[float] = DEFAULT) -> None:
        """Removes a collection and all its records."""
        await self._commit(Operations().drop(collection), timeout)

    def batch(self) -> Batch:
        """A batch: fill it and commit, or use it in an ``async with``, which commits at its end."""
        return Batch(self)

    async def submit(self, batch: Operations, *, timeout: Optional[float] = DEFAULT) -> Ticket:
        """Hands a batch in without waiting for its outcome; waits while the outbox is full."""
        body = batch.body()
        limit = self._until(timeout)
        while not self._session.has_room() and not self._session.ended:
            if not await _passed(self._session.on_room, limit):
                raise TimedOut("the outbox stayed full: nothing was handed in")
        return Ticket(self, self._session.submit(body))

    async def _commit(self, batch: Operations, timeout: Optional[float]) -> Outcome:
        """Hands in and waits, both within the one time."""
        limit = self._until(timeout)
        ticket = await self.submit(batch, timeout=timeout)
        return await ticket.result(left_until(limit))

    # ---- reading ----

    async def get(self, collection: str, id: uuid.UUID, *, timeout: Optional[float] = DEFAULT) -> Optional[Record]:
        """A record, None where there is none."""
        found = await self.get_many(collection, [id], timeout=timeout)
        return found[0] if found else None

    async def get_many(
        self, collection: str, ids: Iterable[uuid.UUID], *, timeout: Optional[float] = DEFAULT
    ) -> List[Record]:
        """The records of these ids that exist, in the order of the ids, all from one snapshot."""
        async with self._stream(operations.get_query(collection, ids), timeout) as records:
            return [record async for record in records]

    async def stats(self, collection: Optional[str] = None, *, timeout: Optional[float] = DEFAULT) -> List[Record]:
        """How many records there are, of one collection or of all of all databases: a record each."""
        async with self._stream(operations.stats_query(collection), timeout) as records:
            return [record async for record in records]

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
        """The records of a collection by rising ids, from one snapshot; ``timeout`` is for each step."""
        return self._stream(operations.scan_query(collection, lower, upper, after, limit, reverse), timeout)

    def watch(
        self, collection: str, *, start: operations.Start = "now", mode: str = "all", timeout: Optional[float] = None
    ) -> WatchStream:
        """Changes as they happen, each once and in order, over lost connections too; ``timeout`` is for each step."""
        stream = WatchStream(self, operations.watch_request(collection, start, mode), timeout)
        self._ask(stream._request)
        return stream

    def _stream(self, query: Query, timeout: Optional[float]) -> Stream[Record]:
        stream: Stream[Record] = Stream(self, query, self._timeout(timeout))
        self._ask(query)
        return stream


class Ticket(FrontTicket[Client]):
    """An operation that was handed in. It can be awaited."""

    __slots__ = ()

    async def result(self, timeout: Optional[float] = DEFAULT) -> Outcome:
        """The outcome once it is durable. TimedOut says whether it may still take effect: its ``pending`` is this ticket."""
        if not self._pending.done and not await _passed(self._pending.on_done, self._client._until(timeout)):
            self._late()
        return self._outcome()

    def __await__(self) -> Any:
        return self.result().__await__()


class Batch(Operations):
    """Operations of a client that take effect together or not at all."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    async def commit(self, timeout: Optional[float] = DEFAULT) -> Outcome:
        """Sends the batch and returns when it is durable."""
        return await self._client._commit(self, timeout)

    async def submit(self, timeout: Optional[float] = DEFAULT) -> Ticket:
        """Sends the batch without waiting for its outcome."""
        return await self._client.submit(self, timeout=timeout)

    async def __aenter__(self) -> Batch:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if kind is None and len(self):
            await self.commit()


Item = TypeVar("Item")


class Stream(FrontStream[Client], AsyncIterator[Item]):
    """What a request tells, item by item. ``close`` (or leaving an ``async with``, or dropping it) cancels what is left."""

    def __aiter__(self) -> Stream[Item]:
        return self

    async def __anext__(self) -> Item:
        return await self.next(self._timeout)

    async def next(self, timeout: Optional[float] = None) -> Item:
        """The next item; TimedOut after ``timeout`` seconds, and it can be asked for again."""
        limit = limit_of(timeout)
        while True:
            item = self._poll()
            if item is DONE:
                raise StopAsyncIteration
            if item is not None:
                return item  # type: ignore[no-any-return]
            if not await _passed(self._request.on_progress, limit):
                raise TimedOut("nothing came in time")

    async def __aenter__(self) -> Stream[Item]:
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        self.close()


class WatchStream(FrontWatch[Client], Stream[Change]):
    """The changes that a watch tells."""


async def _passed(register: Callable[[Callable[[], Any]], Any], limit: Optional[float]) -> bool:
    """Waits until what was registered is called back."""
    future = asyncio.get_running_loop().create_future()
    register(lambda: None if future.done() else future.set_result(None))
    waiting: Awaitable[None] = future
    try:
        await asyncio.wait_for(waiting, left_until(limit))
    except asyncio.TimeoutError:
        return False
    return True

"""Queries and watches as a session carries them over its connections, and hands on what they are told."""

from __future__ import annotations

import uuid
from collections import deque
from typing import Any, Callable, Deque, NamedTuple, Optional, Sequence, Tuple, Union

from . import messages
from .errors import NUMBERS, BlazeError, Cancelled, Interrupted, WatchReset
from .values import Record

# How much of an answer or of events may be under way and unread: some frames of 32 KiB, and many small ones.
WINDOW_FRAMES = 64
WINDOW_BYTES = 1_048_576

_SHUTTING_DOWN = NUMBERS["shutting_down"]


class Change(NamedTuple):
    """What a watch tells. ``kind`` is put, delete, dropped, caught_up or waiting; ``position`` is where to resume after it."""

    kind: str
    position: bytes
    seq: int = 0
    record: Optional[Record] = None
    id: Optional[uuid.UUID] = None
    last_of_transaction: bool = False


class Done:
    """What ``poll`` gives when everything was handed on."""


DONE = Done()


class Request:
    """A request: frames go in, items come out by ``poll``. Only what was polled counts as handed on."""

    # Whether its items are kept together until all are there.
    gathers = False

    def __init__(self) -> None:
        self.session: Any = None
        self.connection: Any = None
        self.wire_id = 0
        self.over = False
        self.error: Optional[BlazeError] = None
        self._callback: Optional[Callable[[], Any]] = None

    def message(self, wire_id: int) -> Union[messages.Query, messages.Subscribe]:
        raise NotImplementedError

    def poll(self) -> Any:
        """The next item, DONE, or None while there is none; raises what ended the request."""
        raise NotImplementedError

    def answered(self, response: messages.QueryResponse, cost: int, records: Sequence[Record]) -> None:
        raise NotImplementedError

    def told(self, event: messages.Event, cost: int, records: Sequence[Optional[Record]]) -> bool:
        raise NotImplementedError

    def lost(self) -> bool:
        """The connection is gone: True if it is to be asked again."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it may be asked now."""
        return True

    def repeats(self, code: int) -> bool:
        """Whether it is asked again after an Error of this code."""
        return False

    def sent(self, connection: Any, wire_id: int) -> None:
        self.connection, self.wire_id = connection, wire_id

    def end(self, error: Optional[BlazeError]) -> None:
        """Nothing comes any more, but for what waits to be polled."""
        self.over = True
        if self.error is None:
            self.error = error
        self.progress()

    def on_progress(self, callback: Callable[[], Any]) -> None:
        """Calls back once, at the next progress."""
        self._callback = callback

    def progress(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class Query(Request):
    """A get, scan or stats. Asked again after a lost connection as long as nothing of it was handed on."""

    def __init__(self, query: messages.Query, gathers: bool) -> None:
        super().__init__()
        self.query = query
        self.gathers = gathers
        self._frames: Deque[Tuple[Sequence[Record], int, Any, int]] = deque()
        self._row = 0
        self._handed_on = False

    def message(self, wire_id: int) -> messages.Query:
        return self.query._replace(id=wire_id, frames=WINDOW_FRAMES, bytes=WINDOW_BYTES)

    def answered(self, response: messages.QueryResponse, cost: int, records: Sequence[Record]) -> None:
        self._frames.append((records, cost, self.connection, self.wire_id))
        if response.last:
            self.end(None)
        elif self.gathers:
            self.session.admit(self.connection, self.wire_id, cost)
        else:
            self.progress()

    def poll(self) -> Any:
        if self.gathers and not self.over:
            return None
        while self._frames:
            records, cost, connection, wire_id = self._frames[0]
            if self._row < len(records):
                self._row += 1
                self._handed_on = True
                return records[self._row - 1]
            self._frames.popleft()
            self._row = 0
            if not self.gathers:
                self.session.admit(connection, wire_id, cost)
        if self.error is not None:
            raise self.error
        return DONE if self.over else None

    def lost(self) -> bool:
        if self._handed_on:
            self.end(Interrupted("the connection was lost in the midst of the answer: ask again from the last record on"))
            return False
        self._frames.clear()
        return True

    def end(self, error: Optional[BlazeError]) -> None:
        if error is not None and (self.gathers or not isinstance(error, Interrupted)):
            self._frames.clear()
            self._row = 0
        super().end(error)


class Watch(Request):
    """A subscription that goes on over connections: each change once, in order."""

    def __init__(self, collection: str, mode: int, start: int, after: Optional[bytes]) -> None:
        super().__init__()
        self.collection = collection
        self.mode = mode
        self.start = start
        # The position up to which events came, and the one up to which they were handed on.
        self._reached = after
        self.position = after
        # Spec L-6.3: what was published before a watch from now was asked for, until it is told where it began.
        self._began_after: Optional[bytes] = None
        # Spec L-6.1: a snapshot that was not finished is gone on from in mode latest.
        self._snapshot_open = mode == messages.MODE_ALL and start == messages.START_SNAPSHOT
        self._wire_mode = mode
        self._events: Deque[Tuple[messages.Event, Sequence[Optional[Record]], int, Any, int]] = deque()
        self._change = 0
        self._unread = 0

    def message(self, wire_id: int) -> messages.Subscribe:
        self._wire_mode = messages.MODE_LATEST if self._snapshot_open and self._reached is not None else self.mode
        after = self._began_after if self._reached is None else self._reached
        start = self.start if after is None else messages.START_AFTER
        return messages.Subscribe(wire_id, WINDOW_FRAMES, WINDOW_BYTES, self._wire_mode, start, self.collection, after)

    def sent(self, connection: Any, wire_id: int) -> None:
        super().sent(connection, wire_id)
        if self.start == messages.START_NOW and self._began_after is None:
            self._began_after = connection.published

    def told(self, event: messages.Event, cost: int, records: Sequence[Optional[Record]]) -> bool:
        """Takes an event; True if the subscription is to be asked anew, after it."""
        if event.kind == messages.RESET:
            code = event.code
            self.end(WatchReset("the watch cannot go on from where it was", code, event.oldest))
            return False
        self._reached = event.position
        self._events.append((event, records, cost, self.connection, self.wire_id))
        self._unread += cost
        again = False
        if event.kind == messages.CAUGHT_UP:
            again = self._wire_mode != self.mode
            self._snapshot_open = False
        self.progress()
        return again

    def poll(self) -> Any:
        while self._events:
            event, records, cost, connection, wire_id = self._events[0]
            if self._change < len(event.changes):
                self._change += 1
                told = self._tell(event, records[self._change - 1])
                if self._change == len(event.changes):
                    self._consumed(cost, connection, wire_id)
                return told
            self._consumed(cost, connection, wire_id)
            self.position = event.position
            if event.kind == messages.CAUGHT_UP:
                return Change("caught_up", event.position)
            if event.kind == messages.WAITING:
                return Change("waiting", event.position)
        if self.error is not None:
            raise self.error
        return None

    def _tell(self, event: messages.Event, record: Optional[Record]) -> Change:
        change = event.changes[self._change - 1]
        if self._change == len(event.changes):
            position = event.position
        else:
            # Spec L-1.3: the position behind a change.
            position = event.position[:8] + change.seq.to_bytes(8, "big")
        self.position = position
        kind = ("", "put", "delete", "dropped")[change.kind]
        identity = change.id if record is None else record.get("id")
        return Change(kind, position, change.seq, record, identity, change.last)

    def _consumed(self, cost: int, connection: Any, wire_id: int) -> None:
        self._events.popleft()
        self._change = 0
        self._unread -= cost
        self.session.admit(connection, wire_id, cost)

    def lost(self) -> bool:
        return True

    def ready(self) -> bool:
        # Else each lost connection would add a window to what waits here.
        return self._unread < WINDOW_BYTES // 2 and len(self._events) < WINDOW_FRAMES // 2

    def repeats(self, code: int) -> bool:
        return code == _SHUTTING_DOWN

    def end(self, error: Optional[BlazeError]) -> None:
        if isinstance(error, Cancelled):
            self._events.clear()
            self._change = 0
        super().end(error)

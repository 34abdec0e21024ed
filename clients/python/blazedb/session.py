"""What a client is over all its connections, without IO: its identity and outbox, its requests and watches, and when it
connects again (spec/connection.md, C-10). The front ends hold one lock around every call.

    CONNECTING ── transport, Welcome ──▶ CONNECTED ── lost ──▶ WAITING ── in time ──▶ CONNECTING
         └── any of them: closed, or a code that repeating does not mend ──▶ ENDED
"""

from __future__ import annotations

import logging
import random
import uuid
from collections import deque
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional

from . import connection as proto
from . import happenings, messages
from .errors import CODES, NUMBERS, BlazeError, Cancelled, Ended, InputError, OutcomeUnknown, Refused, Unreachable
from .requests import Request

AGENT = "blazedb-python/0.1.0"

CONNECTING, CONNECTED, WAITING, ENDED = "connecting", "connected", "waiting", "ended"

# Waits between attempts: random up to a bound that doubles from the first to the last, so that many clients spread.
FIRST_WAIT_SECONDS = 0.25
LAST_WAIT_SECONDS = 15.0
# A server's advice is followed up to here; beyond it would be the same as being told to go.
MAX_ADVISED_SECONDS = 300.0
# A connection that lived so long, or answered something, was a good one: waits begin small again.
GOOD_AFTER_SECONDS = 5.0
# Spec C-12: what a client keeps until it is durable.
MAX_OUTBOX = 1_024
MAX_OUTBOX_BYTES = 16 * 1_048_576
# So much is made ready at a time, so that reading gets its turn.
BURST_BYTES = 262_144

_NEW_NODE = (NUMBERS["identity_reused"], NUMBERS["identity_expired"])


class Status(NamedTuple):
    """The state of a client's connection: one of the four names, why it is so, and for how long it waits."""

    state: str
    error: Optional[BlazeError] = None
    retry_in: float = 0.0


class Outcome(NamedTuple):
    """What became of an operation: durable, at this position."""

    number: int
    position: bytes


class Pending:
    """An operation on its way. ``number`` is 0 until it is first written; from then on it is kept until it is durable."""

    __slots__ = ("body", "number", "outcome", "error", "refusal", "_callbacks")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.number = 0
        self.outcome: Optional[Outcome] = None
        self.error: Optional[BlazeError] = None
        self.refusal: Optional[messages.Error] = None
        self._callbacks: List[Callable[[], Any]] = []

    @property
    def done(self) -> bool:
        """Whether the outcome is known."""
        return self.outcome is not None or self.error is not None

    def on_done(self, callback: Callable[[], Any]) -> None:
        """Calls back once, now if it is done."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def settle(self, outcome: Optional[Outcome], error: Optional[BlazeError]) -> None:
        self.outcome, self.error = outcome, error
        waiting, self._callbacks = self._callbacks, []
        for callback in waiting:
            callback()


class Session:
    """See the module's text. ``wake`` is called when there may be something to write or a deadline changed."""

    def __init__(
        self,
        database: str,
        *,
        agent: str = AGENT,
        heartbeat_ms: int = 15_000,
        compress: bool = False,
        give_up: Optional[float] = None,
        wake: Callable[[], Any] = lambda: None,
        on_status: Callable[[Status], Any] = lambda status: None,
        now: float = 0.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if not messages.DATABASE_NAME.match(database):
            raise InputError(f"{database!r} is no name of a database: 1 to 64 of a-z 0-9 _ -", NUMBERS["invalid_name"])
        self.database = database
        self.agent = agent
        self.heartbeat_ms = heartbeat_ms
        self.capabilities = ("lz4",) if compress else ()
        self.give_up = give_up
        self.wake = wake
        self.on_status = on_status
        self.jitter = jitter
        self.status = Status(CONNECTING)
        self.node: Optional[uuid.UUID] = None
        self.welcomes = 0
        self.connection: Optional[proto.Connection] = None
        self.attempt_at = now
        self._apart_since = now
        self._attempts = 0
        self._connected_at = 0.0
        self._last_words = b""
        self._next = 1
        # Kept until durable, in order; those of them to write on this connection; those not numbered yet.
        self._outbox: Deque[Pending] = deque()
        self._again: Deque[Pending] = deque()
        self._unsent: Deque[Pending] = deque()
        self._outbox_bytes = 0
        self._room: List[Callable[[], Any]] = []
        self._asked: Deque[Request] = deque()
        self._running: Dict[int, Request] = {}
        self._parked: List[Request] = []
        # Requests that nobody holds any more, to be cancelled when there is time.
        self._forgotten: Deque[Request] = deque()
        self._closing = False
        self._changed: List[Callable[[], Any]] = []

    # ---- for front ends ----

    @property
    def ended(self) -> bool:
        return self.status.state == ENDED

    def has_room(self) -> bool:
        """Whether the outbox takes another operation."""
        return len(self._outbox) + len(self._unsent) < MAX_OUTBOX and self._outbox_bytes < MAX_OUTBOX_BYTES

    def on_room(self, callback: Callable[[], Any]) -> None:
        """Calls back once when the outbox may have room, or the session is over."""
        if self.has_room() or self.ended:
            callback()
        else:
            self._room.append(callback)

    def on_change(self, callback: Callable[[], Any]) -> None:
        """Calls back once when the status changes next."""
        self._changed.append(callback)

    def submit(self, body: bytes) -> Pending:
        """Hands in an operation: its payload behind ack_level."""
        self._check_open()
        pending = Pending(body)
        self._unsent.append(pending)
        self._outbox_bytes += len(body)
        self.wake()
        return pending

    def withdraw(self, pending: Pending) -> bool:
        """Takes back an operation that was never written: True, and it had no effect; else False."""
        if pending.number or pending.done:
            return False
        self._unsent.remove(pending)
        self._outbox_bytes -= len(pending.body)
        pending.settle(None, Cancelled("withdrawn before it was sent"))
        self._make_room()
        return True

    def ask(self, request: Request) -> None:
        """Hands in a query or a watch."""
        self._check_open()
        request.session = self
        self._asked.append(request)
        self.wake()

    def cancel(self, request: Request, error: Optional[BlazeError] = None) -> None:
        """Ends a request: what it has not handed on is dropped."""
        if request.over:
            return
        self._detach(request)
        request.end(error or Cancelled("cancelled"))
        self.wake()

    def forget(self, request: Request) -> None:
        """Has a request cancelled later. The one method that may be called without the lock."""
        self._forgotten.append(request)
        self.wake()

    def admit(self, connection: Any, wire_id: int, cost: int) -> None:
        """A frame was consumed."""
        current = self.connection
        if (current is not None and current is connection and current.admit(wire_id, cost)) or self._asked:
            self.wake()

    def close(self, now: float) -> None:
        """The orderly end: watches end, what was handed in is told, Goodbyes are said."""
        if self.ended or self._closing:
            return
        self._closing = True
        for request in [*self._asked, *self._parked, *self._running.values()]:
            if not request.gathers:
                self.cancel(request, Cancelled("the client was closed"))
        self._part_when_done(now)
        self.wake()

    def abort(self) -> None:
        """The end at once: what is not told yet stays untold."""
        if not self.ended:
            self._finish(Ended("the client was closed"))

    # ---- for the driver ----

    def wants_transport(self, now: float) -> bool:
        """Whether the driver should connect now."""
        return self.connection is None and not self.ended and self.status.state != CONNECTED and now >= self.attempt_at

    def dialling(self) -> None:
        """The driver begins to connect."""
        self._set(Status(CONNECTING, self.status.error))

    def connected(self, now: float) -> None:
        """There is a transport: the Hello goes out with the next ``output``."""
        oldest = self._outbox[0].number if self._outbox else self._next
        hello = messages.Hello(
            1, 1, self._next, oldest, self.heartbeat_ms, self.database, self.agent, self.node, self.capabilities
        )
        self._again = deque(self._outbox)
        self.connection = proto.Connection(hello, now)
        self._connected_at = now

    def unreachable(self, error: BlazeError, now: float) -> None:
        """No transport came about."""
        self._retry(error, 0, now)

    def refuse_transport(self, error: BlazeError) -> None:
        """What answers is not whom we wanted, or can never be reached: trying again does not mend it."""
        self._finish(Ended(error.message, error.code))

    def receive(self, data: bytes, now: float) -> None:
        if self.connection is not None:
            self._handle(self.connection.receive(data, now), now)

    def lost(self, message: str, now: float) -> None:
        if self.connection is not None:
            self._handle(self.connection.lost(message), now)

    def tick(self, now: float) -> None:
        if self.connection is not None:
            self._handle(self.connection.tick(now), now)
        if self.give_up is not None and not self.ended and self.status.state != CONNECTED:
            if now >= self._apart_since + self.give_up:
                why = f": {self.status.error}" if self.status.error else ""
                self._finish(Unreachable(f"no connection for {self.give_up:g} s{why}"))

    def deadline(self) -> Optional[float]:
        if self.ended:
            return None
        times = []
        if self.connection is not None:
            due = self.connection.deadline()
            if due is not None:
                times.append(due)
        else:
            times.append(self.attempt_at)
        if self.give_up is not None and self.status.state != CONNECTED:
            times.append(self._apart_since + self.give_up)
        return min(times) if times else None

    def output(self, now: float) -> bytes:
        """The bytes to write next. To be called again until there are none."""
        while self._forgotten:
            self.cancel(self._forgotten.popleft())
        connection = self.connection
        if connection is not None:
            if self._closing:
                self._part_when_done(now)
            connection.control()
            self._handle(connection.settle(), now)
        if connection is not None and self.connection is connection:
            while connection.waiting_bytes < BURST_BYTES and self._send_one(connection):
                pass
            return connection.take()
        data, self._last_words = self._last_words, b""
        return data

    # ---- sending ----

    def _send_one(self, connection: proto.Connection) -> bool:
        """A request and an operation in turn (C-8.1), as credit lets them go."""
        sent = False
        if self._asked and connection.may_send_request():
            request = self._next_request()
            if request is not None:
                wire_id = connection.send_request(request.message)
                request.sent(connection, wire_id)
                self._running[wire_id] = request
                sent = True
        if connection.may_send_operation():
            if self._again:
                pending = self._again.popleft()
                connection.send_operation(pending.number, pending.body)
                sent = True
            elif self._unsent:
                pending = self._unsent.popleft()
                pending.number = self._next
                self._next += 1
                self._outbox.append(pending)
                connection.send_operation(pending.number, pending.body)
                sent = True
        return sent

    def _next_request(self) -> Optional[Request]:
        """The first that is ready: a watch whose reader is far behind is asked again when it has read on."""
        for _ in range(len(self._asked)):
            request = self._asked.popleft()
            if request.ready():
                return request
            self._asked.append(request)
        return None

    # ---- what happened ----

    def _handle(self, happened: List[happenings.Happening], now: float) -> None:
        for event in happened:
            if isinstance(event, happenings.Acked):
                self._acked(event, now)
            elif isinstance(event, happenings.Refusal):
                # The Ack that makes it final follows.
                self._outbox[event.number - self._outbox[0].number].refusal = event.error
            elif isinstance(event, happenings.Told):
                request = self._running.get(event.request)
                if request is not None:
                    self._told(request, event)
            elif isinstance(event, happenings.Answer):
                self._answered(event)
            elif isinstance(event, happenings.Failed):
                self._failed(event)
            elif isinstance(event, happenings.Welcomed):
                self.node = event.welcome.node
                self.welcomes += 1
                self._set(Status(CONNECTED))
            elif isinstance(event, happenings.End):
                self._lost(event, now)
        if happened:
            self._attempts = 0 if now - self._connected_at >= GOOD_AFTER_SECONDS else self._attempts
            if self._closing:
                self._part_when_done(now)

    def _acked(self, acked: happenings.Acked, now: float) -> None:
        self._attempts = 0
        if acked.level != messages.DURABLE:
            return
        outbox = self._outbox
        while outbox and outbox[0].number <= acked.number:
            pending = outbox.popleft()
            self._outbox_bytes -= len(pending.body)
            if pending.refusal is None:
                pending.settle(Outcome(pending.number, acked.position), None)
            else:
                refusal = pending.refusal
                pending.settle(None, Refused(refusal.message, refusal.code, refusal.detail))
        self._make_room()

    def _told(self, request: Request, event: happenings.Told) -> None:
        self._attempts = 0
        if event.event.kind == messages.RESET:
            del self._running[event.request]
        again = request.told(event.event, event.cost, event.records)
        if again:
            # It goes on as another subscription (L-6.1).
            connection = self.connection
            if connection is not None:
                connection.stop(event.request)
            self._running.pop(event.request, None)
            self._asked.append(request)

    def _answered(self, event: happenings.Answer) -> None:
        self._attempts = 0
        request = self._running.get(event.request)
        if request is None:
            return
        if event.response.last:
            del self._running[event.request]
        request.answered(event.response, event.cost, event.records)

    def _failed(self, event: happenings.Failed) -> None:
        request = self._running.pop(event.request, None)
        if request is None:
            return
        if request.repeats(event.error.code):
            # On the next connection: on this one it would be told the same at once.
            self._parked.append(request)
        else:
            request.end(Refused(event.error.message, event.error.code, event.error.detail))

    def _lost(self, end: happenings.End, now: float) -> None:
        """The connection is over: what it carried is asked again, and so are its operations, byte for byte."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._last_words += connection.take()
        self._again.clear()
        running, self._running = self._running, {}
        self._asked.extend(self._parked)
        self._parked.clear()
        for request in running.values():
            if request.lost():
                self._asked.append(request)
        error = BlazeError(end.message or "the connection ended", end.code)
        if end.code in _NEW_NODE:
            self._forget_node(error)
        elif self._closing and not self._outbox and not self._unsent and not self._gathering():
            self._finish(Ended("the client was closed"))
            return
        elif not _may_mend(end.code):
            self._finish(Ended(end.message, end.code))
            return
        self._retry(error, end.retry_after_ms, now)

    def _forget_node(self, why: BlazeError) -> None:
        """Spec C-10.2: a new node, numbered from 1. What was sent under the old one cannot be found out."""
        outbox, self._outbox = self._outbox, deque()
        self.node, self._next = None, 1
        for pending in outbox:
            self._outbox_bytes -= len(pending.body)
            pending.settle(None, OutcomeUnknown(f"sent under an identity that is no longer good ({why.name})"))
        self._make_room()

    def _retry(self, error: BlazeError, advised_ms: int, now: float) -> None:
        bound = min(LAST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(self._attempts, 16))
        self._attempts += 1
        if advised_ms:
            # A quarter more at most, so that not all come back at once.
            wait = min(advised_ms / 1000, MAX_ADVISED_SECONDS) * (1 + self.jitter() / 4)
        else:
            wait = bound * self.jitter()
        # Spec C-10.3: who is welcome and refused at once, since the disk is full for instance, waits no longer than who is
        # not welcome.
        if self.status.state == CONNECTED and (not error.code or now - self._connected_at >= GOOD_AFTER_SECONDS):
            self._apart_since = now
        self.attempt_at = now + wait
        self._set(Status(WAITING, error, wait))
        self.wake()

    def _part_when_done(self, now: float) -> None:
        if self._outbox or self._unsent or self._gathering():
            return
        if self.connection is None:
            self._finish(Ended("the client was closed"))
        elif self.connection.state is not proto.State.PARTING:
            self.connection.part(now)
            self.wake()

    def _gathering(self) -> bool:
        return any(request.gathers for request in [*self._asked, *self._running.values()])

    def _finish(self, error: Ended) -> None:
        """Nothing comes any more: all that waits is told so."""
        if self.ended:
            return
        if self.connection is not None:
            self._last_words += self.connection.take()
            self.connection = None
        self._set(Status(ENDED, error))
        pendings = [*self._outbox, *self._unsent]
        requests = [*self._asked, *self._parked, *self._running.values()]
        for group in (self._outbox, self._again, self._unsent, self._asked, self._parked, self._running):
            group.clear()
        for pending in pendings:
            pending.settle(None, error)
        for request in requests:
            request.end(error)
        self._make_room()
        self.wake()

    def _detach(self, request: Request) -> None:
        for group in (self._asked, self._parked):
            if request in group:
                group.remove(request)
        if self._running.get(request.wire_id) is request:
            del self._running[request.wire_id]
            if self.connection is not None:
                self.connection.stop(request.wire_id)

    def _check_open(self) -> None:
        if self.ended:
            error = self.status.error
            raise Ended(error.message if error else "ended", error.code if error else 0)
        if self._closing:
            raise Ended("the client was closed")

    def _make_room(self) -> None:
        if self._room:
            waiting, self._room = self._room, []
            for callback in waiting:
                callback()

    def _set(self, status: Status) -> None:
        self.status = status
        waiting, self._changed = self._changed, []
        for callback in waiting:
            callback()
        try:
            self.on_status(status)
        except Exception:
            # It is the caller's, and no fault of the connection.
            logging.getLogger("blazedb").exception("on_status failed")


def _may_mend(code: int) -> bool:
    """Whether connecting again may mend it: no code, one that says so, or one that is newer than this client."""
    row = CODES.get(code)
    return row is None or row.retryable

"""One connection, the client's end (spec/connection.md), as a state machine without IO: bytes, times and wishes go in,
bytes and events come out.

    WAITING ── Welcome ──▶ RUNNING ── Goodbye, either way ──▶ PARTING ── both said, nothing in flight ──▶ ENDED
       └────────────────────── a broken rule, a deadline, a lost transport ──────────────────────────────▶ ENDED

Call order: ``receive`` with what the transport read; ``tick`` at ``deadline``; before writing ``control``, then what the
``may_*`` methods allow, and ``take`` for the bytes. Times are seconds of any clock that does not go back.
"""

from __future__ import annotations

import enum
import struct
import zlib
from typing import Any, Callable, Dict, List, Optional, Union

from . import encoding, frames, lz4, messages
from .credit import Account
from .errors import CODES, NUMBERS, BlazeError, Malformed
from .happenings import Acked, Answer, End, Failed, Happening, Notice, Refusal, Told, Welcomed
from .values import Record

HANDSHAKE_SECONDS = 5.0
DRAIN_SECONDS = 10.0
STALL_SECONDS = 10.0
# Spec C-9.6: so many bytes of an unfinished frame are as good as a whole one.
HEARD_BYTES = 1_024
# Spec C-8.4: what a peer may send without credit.
BUDGET_TOKENS = 8_192.0
BUDGET_PER_SECOND = 200.0
BUDGET_PER_FRAME = 4.0
_PASSED_OVER = (NUMBERS["unknown_message_type"], NUMBERS["not_supported"])
_FROM_CLIENTS = frozenset(
    (messages.OPERATION, messages.QUERY, messages.SUBSCRIBE, messages.UNSUBSCRIBE, messages.CANCEL)
)
# The types of the table, those that are free of control budget, and those without a payload.
_DEFINED = frozenset((*range(messages.HANDSHAKE, messages.ERROR + 1), *range(messages.EVENT, messages.CANCEL + 1)))
_PAID = frozenset((messages.HANDSHAKE, messages.QUERY_RESPONSE, messages.EVENT))
_RESERVED = frozenset((messages.TELEMETRY, messages.AUTH))
_HEADER = struct.Struct(">5sBBII")
_U32 = struct.Struct(">I")
_OPERATION_HEAD = struct.Struct(">QB")


class State(enum.Enum):
    WAITING = "waiting"
    RUNNING = "running"
    PARTING = "parting"
    ENDED = "ended"


class Violation(BlazeError):
    """A rule was broken by the peer; the connection ends with this code."""


class Connection:
    """See the module's text."""

    def __init__(self, hello: messages.Hello, now: float) -> None:
        self.hello = hello
        self.state = State.WAITING
        self.end: Optional[End] = None
        self.welcome: Optional[messages.Welcome] = None
        self._deframer = frames.Deframer(frames.MAX_HANDSHAKE_PAYLOAD)
        self._out: List[bytes] = []
        self._out_bytes = 0
        self._sequence = 0
        self._peer_sequence: Optional[int] = None
        self._lz4 = False
        # The work lane: what was sent, and the last limits.
        self._sent = [0, 0]
        self._limit = (0, 0)
        self._telemetry = (0, 0)
        # Operations: the last that was sent, the last of each level that was covered, and refused ones.
        self._last_sent = hello.oldest_unacked - 1
        self._acked = [hello.oldest_unacked - 1] * 3
        self._durable = hello.oldest_unacked - 1
        self._covered = hello.oldest_unacked - 1
        self._refused: Dict[int, messages.Error] = {}
        self._requests: Dict[int, Account] = {}
        self._last_request = 0
        # What was published at the last that this connection told of all of it (spec L-6.3).
        self.published = b""
        # Control output is state (C-8.3).
        self._credits: Dict[int, None] = {}
        self._stops: Dict[int, int] = {}
        self._pong: Optional[int] = None
        self._ping = False
        self._pings = 0
        self._notice: Optional[messages.Error] = None
        self._goodbye: Optional[messages.Goodbye] = None
        self._said_goodbye = False
        self._heard_goodbye: Optional[messages.Goodbye] = None
        # Timers.
        self._begun = now
        self._heard = now
        self._heard_pending = 0
        self._parting_since: Optional[float] = None
        self._stuck: Optional[float] = None
        self._given = 0
        self._taken = 0
        self._tokens = BUDGET_TOKENS
        self._tokens_at = now
        self._write(messages.HANDSHAKE, messages.encode(hello)[1])

    # ---- input ----

    def receive(self, data: bytes, now: float) -> List[Happening]:
        """Bytes from the transport."""
        happened: List[Happening] = []
        if self.state is State.ENDED:
            return happened
        try:
            self._deframer.feed(data)
            while self.end is None:
                frame = self._deframer.next()
                if frame is None:
                    break
                self._hear(now)
                self._frame(frame, now, happened)
            pending = self._deframer.pending
            if pending - self._heard_pending >= HEARD_BYTES:
                self._hear(now)
                self._heard_pending = pending
        except Malformed as fault:
            self._fail(fault.code, fault.message, {"offset": fault.offset})
        except Violation as violation:
            self._fail(violation.code, violation.message)
        self._settle(happened)
        return happened

    def lost(self, message: str) -> List[Happening]:
        """The transport ended."""
        happened: List[Happening] = []
        if self.state is not State.ENDED:
            self._parted(message)
            self._settle(happened)
        return happened

    def tick(self, now: float) -> List[Happening]:
        """Time passed: what is due is done."""
        happened: List[Happening] = []
        if self.state is State.ENDED:
            return happened
        if self.welcome is None and now >= self._begun + HANDSHAKE_SECONDS:
            self._fail(NUMBERS["handshake_timeout"], "no Welcome came")
        elif self._parting_since is not None and now >= self._parting_since + DRAIN_SECONDS:
            self._parted("parting took too long")
        elif self._stuck is not None and now >= self._stuck + STALL_SECONDS:
            self._out.clear()
            self.end = End(NUMBERS["write_stalled"], "the server reads nothing")
        elif self.welcome is not None:
            self._listen(now)
        self._settle(happened)
        return happened

    def taken(self, size: int, now: float) -> None:
        """How many of the bytes that ``take`` gave, all in all, the transport has taken (C-9.5)."""
        if size == self._given:
            self._stuck = None
        elif size > self._taken or self._stuck is None:
            self._stuck = now
        self._taken = size

    def deadline(self) -> Optional[float]:
        """When ``tick`` has something to do at the latest."""
        if self.state is State.ENDED:
            return None
        times = []
        if self.welcome is None:
            times.append(self._begun + HANDSHAKE_SECONDS)
        elif not self._said_goodbye:
            times.append(self._heard + self._heartbeat() * (1.0, 2.0, 2.5)[self._pings])
        else:
            times.append(self._heard + self._heartbeat() * 2.5)
        if self._parting_since is not None:
            times.append(self._parting_since + DRAIN_SECONDS)
        if self._stuck is not None:
            times.append(self._stuck + STALL_SECONDS)
        return min(times)

    # ---- output ----

    def take(self) -> bytes:
        """The bytes to write, in order."""
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        self._given += len(data)
        return data

    @property
    def waiting_bytes(self) -> int:
        """How many bytes ``take`` would give."""
        return self._out_bytes

    def control(self) -> None:
        """Writes what goes before everything else (C-8.1): Credit, Cancel and Unsubscribe, Pong and Ping, its Goodbye."""
        if self.state is State.ENDED or self._said_goodbye:
            return
        if self.welcome is not None:
            self._write_state()
        if self._goodbye is not None:
            self._send(self._goodbye)
            self._said_goodbye = True

    def _write_state(self) -> None:
        for number in self._credits:
            self._write_credit(number)
        self._credits.clear()
        for number, kind in self._stops.items():
            self._write(kind, struct.pack(">Q", number))
        self._stops.clear()
        if self._pong is not None:
            self._send(messages.Pong(self._pong, 0))
            self._pong = None
        if self._ping:
            self._send(messages.Ping(self._pings))
            self._ping = False
        if self._notice is not None:
            self._send(self._notice)
            self._notice = None

    def may_send_operation(self) -> bool:
        """Whether credit (C-3.1) and the window (C-5.2) let an operation go."""
        return (
            self.state is State.RUNNING
            and self._sent[0] < self._limit[0]
            and self._sent[1] < self._limit[1]
            and self._last_sent - self._durable < self.welcome.operation_window  # type: ignore[union-attr]
        )

    def send_operation(self, number: int, body: bytes) -> None:
        """Writes an operation whose body is the payload behind ack_level; its level is durable."""
        if number != self._last_sent + 1 or not self.may_send_operation():
            raise RuntimeError(f"operation {number} may not be sent now")
        head = _OPERATION_HEAD.pack(number, messages.DURABLE)
        size = len(body) + 9
        header = _HEADER.pack(frames.MAGIC, frames.VERSION, messages.OPERATION, size, frames.REQUIRES_ACK << 24 | self._sequence)
        crc = zlib.crc32(body, zlib.crc32(head, zlib.crc32(header)))
        self._out += (header, head, body, _U32.pack(crc))
        self._out_bytes += size + frames.OVERHEAD
        self._sequence = (self._sequence + 1) % frames.SEQUENCES
        self._last_sent = number
        self._spend(size)

    def may_send_request(self) -> bool:
        """Whether credit and the request limit let a query or subscription go."""
        return (
            self.state is State.RUNNING
            and self._sent[0] < self._limit[0]
            and self._sent[1] < self._limit[1]
            and len(self._requests) < self.welcome.request_limit  # type: ignore[union-attr]
        )

    def send_request(self, make: Callable[[int], Union[messages.Query, messages.Subscribe]]) -> int:
        """Writes the Query or Subscribe that ``make`` gives for the next id, and returns that id."""
        if not self.may_send_request():
            raise RuntimeError("a request may not be sent now")
        self._last_request += 1
        message = make(self._last_request)
        self._requests[message.id] = Account(isinstance(message, messages.Query), (message.frames, message.bytes))
        kind, payload = messages.encode(message)
        self._write(kind, payload)
        self._spend(len(payload))
        return message.id

    def admit(self, request: int, cost: int) -> bool:
        """A frame of this request was consumed (C-3.2): True if Credit is due for it now."""
        account = self._requests.get(request)
        if account is None or account.stopping:
            return False
        account.admitted[0] += 1
        account.admitted[1] += cost
        if account.due():
            self._credits[request] = None
            return True
        return False

    def stop(self, request: int) -> None:
        """Cancels a query, or ends a subscription: what still arrives of it is dropped."""
        account = self._requests.get(request)
        if account is None or account.stopping or self.state is not State.RUNNING:
            return
        account.stopping = True
        self._credits.pop(request, None)
        self._stops[request] = messages.CANCEL if account.query else messages.UNSUBSCRIBE

    def part(self, now: float, code: int = 0, message: str = "") -> None:
        """Says Goodbye: nothing is sent after it, outcomes still come."""
        if self.state is State.ENDED or self._goodbye is not None:
            return
        self._goodbye = messages.Goodbye(code, 0, message)
        self.state = State.PARTING
        self._parting_since = now
        self._requests.clear()
        self._stops.clear()
        self._credits.clear()

    @property
    def in_flight(self) -> int:
        """How many operations were sent of which no durable Ack told."""
        return self._last_sent - self._durable

    # ---- frames in ----

    def _frame(self, frame: frames.Frame, now: float, happened: List[Happening]) -> None:
        """Judges a frame in the order of spec P-2.11 to P-2.15."""
        if self._peer_sequence is not None and frame.sequence != (self._peer_sequence + 1) % frames.SEQUENCES:
            raise _violation("sequence_gap", f"sequence {frame.sequence} follows {self._peer_sequence}")
        self._peer_sequence = frame.sequence
        kind = frame.type
        self._check_flags(kind, frame.flags)
        if kind not in _DEFINED:
            if self.welcome is None or self._heard_goodbye is not None:
                raise _violation("unexpected_message", f"type {kind:02x} may not come here")
            self._budget(now)
            self._pass_over("unknown_message_type", kind)
            return
        if kind not in _PAID:
            self._budget(now)
        payload = lz4.decompress_payload(frame.payload) if frame.flags & frames.COMPRESSED else frame.payload
        if kind in _FROM_CLIENTS:
            raise _violation("unexpected_message", f"a server does not send type {kind:02x}")
        if self.welcome is None:
            if kind not in (messages.HANDSHAKE, messages.ERROR, messages.GOODBYE):
                raise _violation("unexpected_message", f"type {kind:02x} came before the Welcome")
        elif kind == messages.HANDSHAKE:
            raise _violation("unexpected_message", "a second Handshake")
        if self._heard_goodbye is not None and kind not in (messages.ACK, messages.ERROR):
            raise _violation("unexpected_message", f"type {kind:02x} came after the Goodbye")
        if kind in _RESERVED:
            self._pass_over("not_supported", kind)
            return
        message = messages.decode(kind, payload)
        _HANDLERS[kind](self, message, frames.OVERHEAD + len(payload), now, happened)

    def _check_flags(self, kind: int, flags: int) -> None:
        """Spec P-2.6, of types that are not known too (P-2.12)."""
        wants_ack = bool(flags & frames.REQUIRES_ACK)
        # On every Operation, as it may be on Telemetry, and nowhere else.
        if flags & frames.ENCRYPTED or (kind != messages.TELEMETRY and wants_ack != (kind == messages.OPERATION)):
            raise _violation("unexpected_flag", f"flags {flags:02x} on type {kind:02x}")
        if flags & frames.COMPRESSED and (kind == messages.HANDSHAKE or not self._lz4):
            raise _violation("unexpected_flag", f"a compressed frame of type {kind:02x}")

    def _pass_over(self, rule: str, kind: int) -> None:
        """Spec P-2.7, P-2.8: told, and nothing more. After its Goodbye a client tells nothing."""
        if not self._said_goodbye:
            self._notice = messages.Error(messages.SCOPE_CONNECTION, 0, NUMBERS[rule], f"type {kind:02x}", None)

    def _on_handshake(self, message: Any, cost: int, now: float, happened: List[Happening]) -> None:
        if not isinstance(message, messages.Welcome):
            raise _violation("unexpected_message", "a server does not send a Hello")
        self._check_welcome(message)
        self.welcome = message
        self._deframer.max_payload = frames.MAX_PAYLOAD
        self._lz4 = "lz4" in message.capabilities
        if self.state is not State.WAITING:
            return
        self.state = State.RUNNING
        self.published = message.position
        self._limit = (message.work_frames, message.work_bytes)
        self._telemetry = (message.telemetry_frames, message.telemetry_bytes)
        happened.append(Welcomed(message))

    def _check_welcome(self, welcome: messages.Welcome) -> None:
        """Spec C-2.5 and C-2.6."""
        hello = self.hello
        if not hello.min_version <= welcome.version <= hello.max_version:
            raise _violation("invalid_field", f"version {welcome.version} was not offered")
        if not set(welcome.capabilities) <= set(hello.capabilities):
            raise _violation("invalid_field", "a capability was not offered")
        if hello.node is not None and welcome.node != hello.node:
            raise _violation("invalid_field", "the Welcome is for another node")
        if welcome.node_decided >= hello.next_operation:
            raise _violation("identity_reused", f"{welcome.node_decided} operations are decided, which this node did not make")
        if hello.oldest_unacked > welcome.node_decided + 1:
            raise _violation("identity_expired", f"the server knows {welcome.node_decided} operations of this node")

    def _on_ack(self, ack: messages.Ack, cost: int, now: float, happened: List[Happening]) -> None:
        least = max(self._acked[ack.level], self._durable)
        least = max(least, self.hello.oldest_unacked)
        if ack.lane != messages.LANE_WORK or not least <= ack.number <= self._last_sent:
            raise _violation("impossible_ack", f"an Ack of {ack.number}, of {self._last_sent} sent")
        self._acked[ack.level] = ack.number
        self._covered = max(self._covered, ack.number)
        if ack.level == messages.DURABLE:
            for number in [number for number in self._refused if number <= ack.number]:
                happened.append(Refusal(number, self._refused.pop(number)))
            self._durable = ack.number
            self.published = ack.position
        happened.append(Acked(ack.level, ack.number, ack.position))

    def _on_error(self, error: messages.Error, cost: int, now: float, happened: List[Happening]) -> None:
        if error.scope == messages.SCOPE_CONNECTION:
            if self.welcome is not None and error.code in _PASSED_OVER:
                if self._heard_goodbye is not None:
                    raise _violation("unexpected_message", "an Error that ends nothing came after the Goodbye")
                happened.append(Notice(error))
                return
            self._out.clear()
            self.end = End(error.code, error.message, _advised(error))
        elif self.welcome is None:
            raise _violation("unexpected_message", "an Error of another scope came before the Welcome")
        elif error.scope == messages.SCOPE_OPERATION:
            if not self._covered < error.id <= self._last_sent or error.id in self._refused:
                raise _violation("impossible_ack", f"an Error for operation {error.id}")
            self._refused[error.id] = error
        else:
            self._request_failed(error, happened)

    def _request_failed(self, error: messages.Error, happened: List[Happening]) -> None:
        if self._goodbye is not None and self._heard_goodbye is None:
            return
        account = self._requests.pop(error.id, None)
        if account is None:
            raise _violation("unexpected_message", f"an Error for the request {error.id}, which is not running")
        self._forget(error.id)
        if not account.stopping:
            happened.append(Failed(error.id, error))

    def _on_response(self, response: messages.QueryResponse, cost: int, now: float, happened: List[Happening]) -> None:
        account = self._account(response.id, True, cost)
        if account is None:
            return
        if account.position not in (None, response.position):
            raise _violation("invalid_field", "the position of an answer changed within it")
        account.position = response.position
        if response.last:
            del self._requests[response.id]
            self._forget(response.id)
        if not account.stopping:
            records = [_record(row.record, row.seq) for row in response.rows]
            happened.append(Answer(response.id, response, cost, records))

    def _on_event(self, event: messages.Event, cost: int, now: float, happened: List[Happening]) -> None:
        if event.kind == messages.ENDED:
            account = self._requests.get(event.id)
            if self._goodbye is not None:
                return
            if account is None or account.query or not account.stopping:
                raise _violation("unexpected_message", f"nobody asked for the end of the subscription {event.id}")
            del self._requests[event.id]
            self._forget(event.id)
            return
        account = self._account(event.id, False, cost)
        if account is None:
            return
        if event.kind == messages.RESET:
            del self._requests[event.id]
            self._forget(event.id)
        if not account.stopping:
            records = [None if change.record is None else _record(change.record, change.seq) for change in event.changes]
            happened.append(Told(event.id, event, cost, records))

    def _account(self, request: int, query: bool, cost: int) -> Optional[Account]:
        """The account of a request whose frame came, charged; None where the frame crossed our Goodbye."""
        if self._goodbye is not None:
            return None
        account = self._requests.get(request)
        if account is None or account.query is not query:
            raise _violation("unexpected_message", f"a frame for the request {request}, which is not running")
        if account.received[0] >= account.advertised[0] or account.received[1] >= account.advertised[1]:
            raise _violation("credit_exceeded", f"the request {request} has no credit left")
        account.received[0] += 1
        account.received[1] += cost
        return account

    def _forget(self, request: int) -> None:
        """Control output for a request that has ended is not needed any more."""
        self._credits.pop(request, None)
        self._stops.pop(request, None)

    def _on_ping(self, ping: messages.Ping, cost: int, now: float, happened: List[Happening]) -> None:
        self._pong = ping.nonce

    def _on_pong(self, pong: messages.Pong, cost: int, now: float, happened: List[Happening]) -> None:
        """That it was heard is all (C-9.7)."""

    def _on_goodbye(self, goodbye: messages.Goodbye, cost: int, now: float, happened: List[Happening]) -> None:
        self._heard_goodbye = goodbye
        if self.welcome is None:
            self.end = End(goodbye.code, goodbye.message, goodbye.retry_after_ms)
            return
        self.part(now)

    def _on_credit(self, credit: messages.Credit, cost: int, now: float, happened: List[Happening]) -> None:
        limit = (credit.frames, credit.bytes)
        if credit.scope == messages.SCOPE_REQUEST:
            raise _violation("invalid_credit", "a server raises no request's credit")
        held = self._telemetry if credit.scope == messages.LANE_TELEMETRY else self._limit
        if limit[0] < held[0] or limit[1] < held[1]:
            raise _violation("invalid_credit", f"the limit {limit} is below {held}")
        if credit.scope == messages.LANE_TELEMETRY:
            self._telemetry = limit
        else:
            self._limit = limit

    # ---- inner workings ----

    def _hear(self, now: float) -> None:
        self._heard = now
        self._heard_pending = 0
        self._pings = 0

    def _heartbeat(self) -> float:
        assert self.welcome is not None
        return self.welcome.heartbeat_ms / 1000

    def _listen(self, now: float) -> None:
        """Spec C-9.2, C-9.3."""
        silent = now - self._heard
        if silent >= self._heartbeat() * 2.5:
            self._fail(NUMBERS["heartbeat_timeout"], f"nothing was heard for {silent:.1f} s")
        elif self._pings < 2 and silent >= self._heartbeat() * (self._pings + 1) and not self._said_goodbye:
            self._pings += 1
            self._ping = True

    def _budget(self, now: float) -> None:
        self._tokens = min(BUDGET_TOKENS, self._tokens + (now - self._tokens_at) * BUDGET_PER_SECOND)
        self._tokens_at = now
        if self._tokens < 1:
            raise _violation("control_flood", "control messages come faster than their budget")
        self._tokens -= 1

    def _spend(self, payload: int) -> None:
        self._sent[0] += 1
        self._sent[1] += payload + frames.OVERHEAD
        self._tokens = min(BUDGET_TOKENS, self._tokens + BUDGET_PER_FRAME)

    def _write(self, kind: int, payload: bytes) -> None:
        data = frames.encode(kind, 0, self._sequence, payload)
        self._sequence = (self._sequence + 1) % frames.SEQUENCES
        self._out.append(data)
        self._out_bytes += len(data)

    def _send(self, message: Any) -> None:
        self._write(*messages.encode(message))

    def _write_credit(self, number: int) -> None:
        account = self._requests.get(number)
        if account is None:
            return
        for which in (0, 1):
            account.advertised[which] = max(account.advertised[which], account.admitted[which] + account.window[which])
        self._send(messages.Credit(messages.SCOPE_REQUEST, number, *account.advertised))

    def _fail(self, code: int, message: str, detail: Optional[Dict[str, Any]] = None) -> None:
        """A rule was broken: an Error that names it is the last that is written (C-1.3)."""
        if self.end is not None:
            return
        if not self._said_goodbye:
            row = CODES.get(code)
            self._send(messages.Error(messages.SCOPE_CONNECTION, 0, code, message or (row.text if row else ""), detail))
        self.end = End(code, message)

    def _parted(self, otherwise: str) -> None:
        """The end is the server's Goodbye, where it said one."""
        goodbye = self._heard_goodbye
        self.end = End(0, otherwise) if goodbye is None else End(goodbye.code, goodbye.message, goodbye.retry_after_ms)

    def _settle(self, happened: List[Happening]) -> None:
        if self.end is None and self._heard_goodbye is not None and self._said_goodbye and not self.in_flight:
            self._parted("")
        if self.end is not None and self.state is not State.ENDED:
            self.state = State.ENDED
            happened.append(self.end)

    def settle(self) -> List[Happening]:
        """To be called when ``control`` may have written a Goodbye that was the last thing missing."""
        happened: List[Happening] = []
        if self.state is not State.ENDED:
            self._settle(happened)
        return happened


def _advised(error: messages.Error) -> int:
    value = (error.detail or {}).get("retry_after_ms", 0)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _record(data: bytes, version: int) -> Record:
    """Spec P-3.8: a server sends canonical records alone."""
    try:
        record = encoding.decode(data)
    except Malformed as fault:
        raise _violation("invalid_value", f"a record is not canonical: {fault.message}") from None
    record.version = version
    return record


def _violation(name: str, message: str) -> Violation:
    return Violation(message, NUMBERS[name])


_HANDLERS: Dict[int, Callable[[Connection, Any, int, float, List[Happening]], None]] = {
    messages.HANDSHAKE: Connection._on_handshake,
    messages.QUERY_RESPONSE: Connection._on_response,
    messages.ACK: Connection._on_ack,
    messages.ERROR: Connection._on_error,
    messages.EVENT: Connection._on_event,
    messages.PING: Connection._on_ping,
    messages.PONG: Connection._on_pong,
    messages.GOODBYE: Connection._on_goodbye,
    messages.CREDIT: Connection._on_credit,
}

"""What both clients have in common, the one that blocks and the one with awaits: all that does not wait. Each adds its calls."""

from __future__ import annotations

import ssl
import threading
import time
import uuid
from typing import Any, Callable, Generic, NamedTuple, Optional, TypeVar

from .driver import Driver
from .errors import BlazeError, TimedOut, Unreachable, again
from .requests import Request, Watch
from .session import Outcome, Pending, Session, Status
from .target import describe, parse

DEFAULT_URL = "blaze://127.0.0.1:25293/main"
CONNECT_SECONDS = 10.0
# How long a call waits by default: longer than a server's restart, shorter than patience.
CALL_SECONDS = 30.0
CLOSE_SECONDS = 10.0
HEARTBEAT_SECONDS = 15.0
# "No timeout given", where None says "for ever".
DEFAULT: Any = object()


class Options(NamedTuple):
    """How a client behaves: ``blazedb.connect`` says what each of them means."""

    call_timeout: Optional[float]
    compress: bool
    heartbeat: float
    give_up: Optional[float]
    tls: Optional[ssl.SSLContext]
    on_status: Callable[[Status], Any]


class Front:
    """A session, its driver and the lock around both."""

    def __init__(self, url: str, options: Options, threaded: bool) -> None:
        self._target = parse(url)
        self._lock = threading.RLock()
        self._call_timeout = options.call_timeout
        self._session = Session(
            self._target.database,
            heartbeat_ms=int(options.heartbeat * 1000),
            compress=options.compress,
            give_up=options.give_up,
            on_status=options.on_status,
            now=time.monotonic(),
        )
        self._driver = Driver(self._session, self._target, self._lock, options.tls, threaded)
        self._session.wake = self._driver.wake

    @property
    def status(self) -> Status:
        """Whether there is a connection, and if not, why and what comes next."""
        return self._session.status

    @property
    def node(self) -> Optional[uuid.UUID]:
        """The identity under which operations are numbered; None before the first Welcome."""
        return self._session.node

    def _ask(self, request: Request) -> None:
        with self._lock:
            self._session.ask(request)

    def _timeout(self, timeout: Optional[float]) -> Optional[float]:
        return self._call_timeout if timeout is DEFAULT else timeout

    def _until(self, timeout: Optional[float]) -> Optional[float]:
        """When this timeout, which begins now, is over."""
        return limit_of(self._timeout(timeout))

    def _unconnected(self) -> Unreachable:
        error = self._session.status.error
        return Unreachable(f"no connection to {describe(self._target)} in time" + (f": {error}" if error else ""))


Owner = TypeVar("Owner", bound=Front)


class FrontTicket(Generic[Owner]):
    """An operation that was handed in."""

    __slots__ = ("_client", "_pending")

    def __init__(self, client: Owner, pending: Pending) -> None:
        self._client = client
        self._pending = pending

    @property
    def done(self) -> bool:
        """Whether the outcome is known."""
        return self._pending.done

    def withdraw(self) -> bool:
        """Takes the operation back if it was never sent: True, and it had no effect. Otherwise its outcome will come."""
        with self._client._lock:
            return self._client._session.withdraw(self._pending)

    def _late(self) -> None:
        """The time is up: TimedOut, unless the outcome came meanwhile."""
        if self._pending.done:
            return
        if self.withdraw():
            raise TimedOut("not sent in time, and taken back: it had no effect")
        if not self._pending.done:
            raise TimedOut("sent, but not known to be durable in time: it may still take effect; wait for .pending", self)

    def _outcome(self) -> Outcome:
        if self._pending.outcome is None:
            raise again(self._pending.error)
        return self._pending.outcome


class FrontStream(Generic[Owner]):
    """What a request tells. Whoever drops it has what is left cancelled."""

    def __init__(self, client: Owner, request: Request, timeout: Optional[float]) -> None:
        self._client = client
        self._request = request
        self._timeout = timeout

    def close(self) -> None:
        """Cancels what is left."""
        with self._client._lock:
            self._client._session.cancel(self._request)

    def _poll(self) -> Any:
        """The next item, DONE, or None while there is none. To be called with the lock."""
        try:
            return self._request.poll()
        except BlazeError as error:
            if error is self._request.error:
                raise again(error) from None
            raise

    def __del__(self) -> None:
        # The collector may call this anywhere, in the midst of a session's work too: the session does it later.
        if not self._request.over and self._request.session is not None:
            self._client._session.forget(self._request)


class FrontWatch(FrontStream[Owner]):
    """The changes that a watch tells."""

    _request: Watch

    @property
    def position(self) -> Optional[bytes]:
        """Where to start another watch that goes on after the last change that this one handed on."""
        return self._request.position


def limit_of(timeout: Optional[float]) -> Optional[float]:
    """The moment in which so many seconds are over; None for ever."""
    return None if timeout is None else time.monotonic() + timeout


def left_until(limit: Optional[float]) -> Optional[float]:
    """How many seconds are left up to this moment."""
    return None if limit is None else max(0.0, limit - time.monotonic())

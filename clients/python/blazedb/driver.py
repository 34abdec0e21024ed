"""Carries a session over transports in an event loop: opens them, moves bytes, keeps time."""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any, List, Optional

from .errors import BlazeError
from .session import Session
from .target import Target, check_pin, describe, open_transport

# A transport that does not take the last bytes of a connection is given up after so long.
LINGER_SECONDS = 2.0
# So much is handed to the transport ahead of what the socket takes.
WRITE_AHEAD_BYTES = 262_144


class Driver:
    """All methods but ``wake`` run in the loop's thread; ``wake`` in any, with the lock held."""

    def __init__(self, session: Session, target: Target, lock: Any, tls: Optional[ssl.SSLContext], threaded: bool) -> None:
        self._session = session
        self._target = target
        self._lock = lock
        self._tls = tls
        self._threaded = threaded
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._link: Optional[_Link] = None
        self._links: List[_Link] = []
        self._dialling: Optional["asyncio.Task[None]"] = None
        self._timer: Optional[asyncio.TimerHandle] = None
        self._awake = False
        self._stopped: Optional[asyncio.Event] = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stopped = asyncio.Event()
        self.wake()

    async def stopped(self) -> None:
        """Returns when the session is over and its transports are closed."""
        assert self._stopped is not None
        await self._stopped.wait()

    def wake(self) -> None:
        """There may be something to do."""
        loop = self._loop
        if self._awake or loop is None or loop.is_closed():
            return
        self._awake = True
        if self._threaded:
            loop.call_soon_threadsafe(self.pump)
        else:
            loop.call_soon(self.pump)

    def pump(self) -> None:
        """Does what is due, and writes what is to be written."""
        with self._lock:
            self._awake = False
            now = time.monotonic()
            self._session.tick(now)
            self._step(now)

    def _step(self, now: float) -> None:
        session, link = self._session, self._link
        if link is not None:
            link.write(now)
            if session.connection is None:
                self._link = None
                link.finish()
        if self._dialling is None and session.wants_transport(now) and self._loop is not None:
            session.dialling()
            self._dialling = self._loop.create_task(self._dial())
        if session.ended and self._dialling is not None:
            self._dialling.cancel()
        self._arm(session.deadline())
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._session.ended and not self._links and self._dialling is None and self._stopped is not None:
            self._stopped.set()

    def _arm(self, deadline: Optional[float]) -> None:
        timer = self._timer
        if deadline is None or self._loop is None:
            if timer is not None:
                timer.cancel()
                self._timer = None
        elif timer is None or timer.when() > deadline:
            if timer is not None:
                timer.cancel()
            # The loop's clock is time.monotonic. An armed timer that has become too early only looks and arms again.
            self._timer = self._loop.call_at(max(deadline, time.monotonic() + 0.001), self._due)

    def _due(self) -> None:
        self._timer = None
        self.pump()

    async def _dial(self) -> None:
        error: Optional[BlazeError] = None
        hopeless = False
        try:
            await open_transport(self._target, lambda: _Link(self), self._tls)
        except ssl.SSLCertVerificationError as caught:
            error, hopeless = BlazeError(f"the server's certificate is not trusted: {caught}"), True
        except asyncio.CancelledError:
            pass
        except Exception as caught:
            # Whatever keeps a transport from opening (no route, no such host, a name that is none) may pass.
            error = BlazeError(f"no connection to {describe(self._target)}: {str(caught) or 'it took too long'}")
        with self._lock:
            self._dialling = None
            now = time.monotonic()
            if error is not None and not self._session.ended:
                if hopeless:
                    self._session.refuse_transport(error)
                else:
                    self._session.unreachable(error, now)
            self._step(now)

    # ---- what links say ----

    def made(self, link: "_Link") -> None:
        with self._lock:
            self._links.append(link)
            now = time.monotonic()
            try:
                check_pin(self._target, link.transport)
            except ssl.SSLCertVerificationError as caught:
                self._session.refuse_transport(BlazeError(f"the server's certificate is not trusted: {caught}"))
            if self._session.ended or self._link is not None:
                link.transport.abort()
            else:
                self._link = link
                self._session.connected(now)
            self._step(now)

    def received(self, link: "_Link", data: bytes) -> None:
        with self._lock:
            if link is self._link:
                now = time.monotonic()
                self._session.receive(data, now)
                self._step(now)

    def writable(self, link: "_Link") -> None:
        with self._lock:
            if link is self._link:
                self._step(time.monotonic())

    def closed(self, link: "_Link", error: Optional[Exception]) -> None:
        with self._lock:
            if link in self._links:
                self._links.remove(link)
            now = time.monotonic()
            if link is self._link:
                self._link = None
                self._session.lost(f"the connection was lost: {error or 'the server closed it'}", now)
            self._step(now)

    def output(self, now: float) -> bytes:
        return self._session.output(now)

    def taken(self, size: int, now: float) -> None:
        connection = self._session.connection
        if connection is not None:
            connection.taken(size, now)

    def later(self, seconds: float, action: Any) -> None:
        if self._loop is not None:
            self._loop.call_later(seconds, action)


class _Link(asyncio.Protocol):
    """One transport."""

    transport: Any = None

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._paused = False
        self._given = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.set_write_buffer_limits(high=WRITE_AHEAD_BYTES)
        self._driver.made(self)

    def data_received(self, data: bytes) -> None:
        self._driver.received(self, data)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._driver.writable(self)

    def connection_lost(self, error: Optional[Exception]) -> None:
        self._driver.closed(self, error)

    def write(self, now: float) -> None:
        """Hands the transport what it takes."""
        while not self._paused:
            data = self._driver.output(now)
            if not data:
                break
            self._given += len(data)
            self.transport.write(data)
        self._driver.taken(self._given - self.transport.get_write_buffer_size(), now)

    def finish(self) -> None:
        """Closes behind the last bytes; a transport that does not take them is cut."""
        self._paused = False
        data = self._driver.output(0.0)
        if data:
            self.transport.write(data)
        self.transport.close()
        self._driver.later(LINGER_SECONDS, self.transport.abort)

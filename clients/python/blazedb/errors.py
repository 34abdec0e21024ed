"""What can go wrong, each error with its code, who is at fault and what to do.

    BlazeError
    ├── Refused          the server refused this operation or request; the connection goes on
    ├── Ended            the connection is over and the client does not come back
    │   └── Unreachable  given up trying
    ├── OutcomeUnknown   an operation was sent and what became of it cannot be found out
    ├── Interrupted      an answer was lost in its midst
    ├── WatchReset       a watch cannot go on from its position
    ├── Cancelled        as asked
    ├── TimedOut         the caller's time is up (a TimeoutError, too)
    ├── InputError       a call that could not be taken (a ValueError, too)
    └── Malformed        bytes that are not what they should be (a ValueError, too)
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, NamedTuple, Optional

from ._error_table import TABLE


class Code(NamedTuple):
    """A row of the specification's table of errors."""

    number: int
    name: str
    fault: str
    retryable: bool
    text: str
    advice: str


CODES: Dict[int, Code] = {number: Code(number, *row) for number, row in TABLE.items()}
NUMBERS: Dict[str, int] = {code.name: code.number for code in CODES.values()}


class BlazeError(Exception):
    """Every error of this package. ``code`` is the number of spec/errors.md, 0 where there is none."""

    code = 0
    retryable = False

    def __init__(self, message: str, code: int = 0, detail: Optional[Mapping[str, Any]] = None) -> None:
        self.message = message
        self.code = code
        self.detail: Dict[str, Any] = dict(detail or {})
        row = CODES.get(code)
        if row is not None:
            self.retryable = row.retryable
        super().__init__(message)

    @property
    def name(self) -> str:
        """The name of the code, empty where there is none."""
        row = CODES.get(self.code)
        return row.name if row else ""

    @property
    def fault(self) -> str:
        """Who is at fault: client, server, network, peer, operator; empty where no code says it."""
        row = CODES.get(self.code)
        return row.fault if row else ""

    @property
    def advice(self) -> str:
        """What to do, from the specification."""
        row = CODES.get(self.code)
        return row.advice if row else ""

    @property
    def item(self) -> Optional[int]:
        """Which operation of a batch is meant, from 0."""
        item = self.detail.get("item")
        return item if isinstance(item, int) else None

    def __str__(self) -> str:
        if not self.code:
            return self.message
        name = self.name or f"code {self.code}"
        text = f"{name}: {self.message}" if self.message else name
        return f"{text} ({self.advice})" if self.advice else text


class Refused(BlazeError):
    """The server refused this operation or request; it had no effect."""


class Ended(BlazeError):
    """The connection is over, and the client does not come back."""


class Unreachable(Ended):
    """No connection came about in the time given."""

    retryable = True


class OutcomeUnknown(BlazeError):
    """The operation was sent under an identity that the server has forgotten; it may have had its effect."""


class Interrupted(BlazeError):
    """The connection was lost in the midst of an answer that was handed on in part."""

    retryable = True


class WatchReset(BlazeError):
    """A watch cannot go on: take a snapshot and go on from there. ``oldest`` is the oldest position still held."""

    def __init__(self, message: str, code: int, oldest: bytes) -> None:
        super().__init__(message, code)
        self.oldest = oldest


class Cancelled(BlazeError):
    """Cancelled by the caller."""


class TimedOut(BlazeError, TimeoutError):
    """The caller's time is up. An operation that was sent may still take effect: ``pending`` can be waited for again."""

    retryable = True

    def __init__(self, message: str, pending: Any = None) -> None:
        super().__init__(message)
        self.pending = pending


class InputError(BlazeError, ValueError):
    """A call that could not be taken; nothing was sent."""


class Malformed(BlazeError, ValueError):
    """Bytes that are not what they should be: which rule, and the offset at which the wrong item begins."""

    def __init__(self, rule: str, offset: int) -> None:
        super().__init__(f"{rule} at offset {offset}", NUMBERS.get(rule, 0))
        self.rule = rule
        self.offset = offset

    def __str__(self) -> str:
        return self.message


def again(error: Optional[BlazeError]) -> BlazeError:
    """An error for one more caller: what is raised gathers a traceback, so that each gets its own."""
    if error is None:
        return Ended("ended")
    fresh = error.__class__.__new__(error.__class__)
    fresh.__dict__.update(error.__dict__)
    fresh.args = error.args
    return fresh

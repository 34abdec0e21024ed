"""What happened on a connection, as it tells its session."""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Union

from . import messages
from .values import Record


class Welcomed(NamedTuple):
    welcome: messages.Welcome


class Refusal(NamedTuple):
    """An operation was refused; final when a durable Ack covers it (C-5.6)."""

    number: int
    error: messages.Error


class Acked(NamedTuple):
    level: int
    number: int
    position: bytes


class Answer(NamedTuple):
    """A frame of a query's answer, and the record of each row. Whoever consumed it says so by ``admit`` with its cost."""

    request: int
    response: messages.QueryResponse
    cost: int
    records: List[Record]


class Told(NamedTuple):
    """An event of a subscription, to be admitted like an Answer; of each change its record, None where it has none."""

    request: int
    event: messages.Event
    cost: int
    records: List[Optional[Record]]


class Failed(NamedTuple):
    """A request ended by an Error."""

    request: int
    error: messages.Error


class Notice(NamedTuple):
    """The peer passed over something of ours."""

    error: messages.Error


class End(NamedTuple):
    """The connection is over: by which code (0 for none), in whose words, and what wait was advised."""

    code: int
    message: str
    retry_after_ms: int = 0


Happening = Union[Welcomed, Refusal, Acked, Answer, Told, Failed, Notice, End]

"""What happened on a connection, as it tells its session."""

from __future__ import annotations

from typing import NamedTuple, Union

from . import messages


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
    """A frame of a query's answer. Whoever consumed it says so by ``admit`` with its cost."""

    request: int
    response: messages.QueryResponse
    cost: int


class Told(NamedTuple):
    """An event of a subscription, to be admitted like an Answer."""

    request: int
    event: messages.Event
    cost: int


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

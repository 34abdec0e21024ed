"""A client of BlazeDB in pure Python: typed records, exactly-once writes, watches that go on after a lost connection.

    import blazedb

    with blazedb.connect("blaze://127.0.0.1:25293/main") as db:
        note = db.put("notes", {"title": "Hello", "votes": 5})
        print(db.get("notes", note))

``blazedb.aio`` is the same with awaits. The layers below, each usable by itself: ``encoding`` (values and records to bytes),
``typed_json`` (their text form), ``frames``, ``messages``, ``connection`` (the protocol without IO), ``session`` (a client over
all its connections, without IO), ``driver`` (transports).
"""

from . import aio
from .client import Batch, Client, Stream, Ticket, WatchStream, connect
from .errors import (
    BlazeError,
    Cancelled,
    Ended,
    InputError,
    Interrupted,
    Malformed,
    OutcomeUnknown,
    Refused,
    TimedOut,
    Unreachable,
    WatchReset,
)
from .operations import new_id
from .requests import Change
from .session import Outcome, Status
from .values import Date, Record, Vector

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "BlazeError",
    "Cancelled",
    "Change",
    "Client",
    "Date",
    "Ended",
    "InputError",
    "Interrupted",
    "Malformed",
    "Outcome",
    "OutcomeUnknown",
    "Record",
    "Refused",
    "Status",
    "Stream",
    "Ticket",
    "TimedOut",
    "Unreachable",
    "Vector",
    "WatchReset",
    "WatchStream",
    "aio",
    "connect",
    "new_id",
]

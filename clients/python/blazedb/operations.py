"""Operations, queries and watches as callers say them, checked and encoded before anything is sent."""

from __future__ import annotations

import os
import struct
import time
import uuid
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from . import encoding, frames, messages
from .errors import NUMBERS, InputError
from .requests import Query, Watch

# Behind number and level, within a payload of the largest size.
MAX_BODY = frames.MAX_PAYLOAD - 9
MAX_IDS = 65_535

_U16 = struct.Struct(">H")
_NAMES: Dict[str, bytes] = {}
_MAX_NAMES = 256

Id = uuid.UUID
Start = Union[str, bytes]


def new_id() -> uuid.UUID:
    """A UUID of version 7: by time, so that new records lie beside one another."""
    head = time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10), "big")
    return uuid.UUID(int=head & ~(0xF000 << 64 | 0xC000 << 48) | 0x7000 << 64 | 0x8000 << 48)


def collection_name(name: str) -> bytes:
    """The bytes of a collection's name, checked."""
    raw = _NAMES.get(name)
    if raw is None:
        if not isinstance(name, str) or not messages.COLLECTION_NAME.match(name):
            raise InputError(f"{name!r} is no name of a collection: 1 to 64 letters, digits and _, the first no digit", NUMBERS["invalid_name"])
        if len(_NAMES) >= _MAX_NAMES:
            _NAMES.clear()
        raw = _NAMES[name] = encoding.encode_value(name)
    return raw


def checked_id(item: uuid.UUID) -> uuid.UUID:
    """An id, or an InputError."""
    if not isinstance(item, uuid.UUID):
        raise InputError(f"an id is a uuid.UUID, not {type(item).__name__}", NUMBERS["invalid_id"])
    return item


def identified(record: Mapping[str, Any]) -> Tuple[uuid.UUID, Mapping[str, Any]]:
    """A record's id, a new one where it has none, and the record with it."""
    identity = record.get("id")
    if identity is None and "id" not in record:
        identity = new_id()
        return identity, {"id": identity, **record}
    return checked_id(identity), record  # type: ignore[arg-type]


class Batch:
    """Operations that take effect together or not at all. Each method returns the batch, but for put and insert: the id."""

    def __init__(self) -> None:
        self._groups: List[Tuple[bytes, List[bytes]]] = []
        self._size = 2
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(
        self, collection: str, record: Mapping[str, Any], *, base: Optional[int] = None, skip_unchanged: bool = False
    ) -> uuid.UUID:
        """Replaces or creates a record. ``skip_unchanged``: no change where the very bytes are stored."""
        return self._record(collection, messages.UPSERT, record, base, skip_unchanged)

    def insert(self, collection: str, record: Mapping[str, Any], *, base: Optional[int] = None) -> uuid.UUID:
        """Creates a record; refused with already_exists where there is one of this id."""
        return self._record(collection, messages.INSERT, record, base, False)

    def _record(self, collection: str, kind: int, record: Mapping[str, Any], base: Optional[int], skip: bool) -> uuid.UUID:
        identity, record = identified(record)
        self._add(collection, messages.Op(kind, _base(base), skip, record=encoding.encode(record)))
        return identity

    def patch(
        self,
        collection: str,
        id: uuid.UUID,
        set: Optional[Mapping[str, Any]] = None,
        unset: Sequence[str] = (),
        *,
        base: Optional[int] = None,
    ) -> "Batch":
        """Sets some fields of a record and takes others away."""
        fields = set or {}
        if "id" in fields or "id" in unset:
            raise InputError("a patch does not change the id", NUMBERS["id_is_fixed"])
        record = encoding.encode(fields)
        # An array is refused as a whole, so that its names are checked as values are.
        encoding.encode_value(list(unset))
        self._add(collection, messages.Op(messages.PATCH, _base(base), id=checked_id(id), remove=list(dict.fromkeys(unset)), record=record))
        return self

    def delete(self, collection: str, id: uuid.UUID, *, base: Optional[int] = None) -> "Batch":
        """Deletes a record; one that is not there is no fault."""
        self._add(collection, messages.Op(messages.DELETE, _base(base), id=checked_id(id)))
        return self

    def check(self, collection: str, id: uuid.UUID, base: int) -> "Batch":
        """Changes nothing, but the batch is refused unless the record is at this version (0: not there)."""
        self._add(collection, messages.Op(messages.CHECK, _base(base), id=checked_id(id)))
        return self

    def drop(self, collection: str) -> "Batch":
        """Removes a collection and all its records."""
        self._add(collection, messages.Op(messages.DROP))
        return self

    def _add(self, collection: str, op: messages.Op) -> None:
        name = collection_name(collection)
        data = messages.op(op)
        groups = self._groups
        # A drop begins its group (spec P-4.2.5), and a group holds what a u16 counts.
        if not groups or groups[-1][0] != name or op.kind == messages.DROP or len(groups[-1][1]) >= encoding.MAX_ENTRIES:
            if len(groups) >= encoding.MAX_ENTRIES:
                raise InputError("a batch changes collections at most 65,535 times")
            groups.append((name, []))
            self._size += len(name) + 2
        groups[-1][1].append(data)
        self._size += len(data)
        self._count += 1
        if self._size > MAX_BODY:
            raise InputError(f"a batch has at most {MAX_BODY} bytes: commit smaller ones", NUMBERS["transaction_too_large"])

    def body(self) -> bytes:
        """The payload behind ack_level."""
        if not self._groups:
            raise InputError("an empty batch is no operation")
        parts = [_U16.pack(len(self._groups))]
        for name, ops in self._groups:
            parts += (name, _U16.pack(len(ops)), *ops)
        return b"".join(parts)


def _base(base: Optional[int]) -> Optional[int]:
    if base is not None and (not isinstance(base, int) or not 0 <= base < 1 << 64):
        raise InputError("a base is the version of a record, 0 for none")
    return base


def get_query(collection: str, ids: Iterable[uuid.UUID]) -> Query:
    """A get of some records."""
    collection_name(collection)
    wanted = [checked_id(item) for item in ids]
    if not 1 <= len(wanted) <= MAX_IDS:
        raise InputError(f"a get asks for 1 to {MAX_IDS} records")
    return Query(messages.Query(0, 0, 0, messages.GET, collection, ids=wanted), gathers=True)


def scan_query(
    collection: str, lower: Optional[uuid.UUID], upper: Optional[uuid.UUID], after: bool, limit: Optional[int], reverse: bool
) -> Query:
    """A scan by ids, from ``lower`` (exclusive with ``after``) to ``upper``, both included otherwise."""
    collection_name(collection)
    if limit is not None and not 1 <= limit < 1 << 64:
        raise InputError("a limit is at least 1")
    low = messages.Bound() if lower is None else messages.Bound(2 if after and not reverse else 1, checked_id(lower))
    high = messages.Bound() if upper is None else messages.Bound(2 if after and reverse else 1, checked_id(upper))
    query = messages.Query(0, 0, 0, messages.SCAN, collection, None, (), bool(reverse), limit or 0, low, high)
    return Query(query, gathers=False)


def stats_query(collection: Optional[str]) -> Query:
    """Statistics of one collection, or of all."""
    if collection is not None:
        collection_name(collection)
    return Query(messages.Query(0, 0, 0, messages.STATS, collection), gathers=True)


def watch_request(collection: str, start: Start, mode: str) -> Watch:
    """A watch from now, with a snapshot, or after a position."""
    collection_name(collection)
    if mode not in ("all", "latest"):
        raise InputError("a watch has the mode 'all' or 'latest'")
    number = messages.MODE_ALL if mode == "all" else messages.MODE_LATEST
    if isinstance(start, (bytes, bytearray)):
        if len(start) != 16:
            raise InputError("a position has 16 bytes")
        return Watch(collection, number, messages.START_AFTER, bytes(start))
    if start not in ("now", "snapshot"):
        raise InputError("a watch starts 'now', with a 'snapshot', or after a position")
    return Watch(collection, number, messages.START_NOW if start == "now" else messages.START_SNAPSHOT, None)

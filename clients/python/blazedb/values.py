"""Values for which Python has no type of its own: dates and vectors as BlazeBinary holds them, and records with a version."""

from __future__ import annotations

import datetime
import struct
from typing import Any, Callable, Dict, Iterable, Iterator, Tuple, Type

from .errors import InputError

_F64 = struct.Struct(">d")
_APPLE_EPOCH = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)


class Date:
    """A point in time as BlazeBinary holds it: a double of seconds since 2001-01-01T00:00:00Z."""

    __slots__ = ("seconds",)
    seconds: float

    def __init__(self, seconds: float) -> None:
        object.__setattr__(self, "seconds", float(seconds))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Date does not change")

    @classmethod
    def of(cls, moment: datetime.datetime) -> Date:
        """The nearest Date of an aware datetime."""
        if moment.tzinfo is None:
            raise InputError("a datetime without a time zone is no point in time: give it a tzinfo")
        since = moment - _APPLE_EPOCH
        return cls(((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) / 1_000_000)

    @classmethod
    def now(cls) -> Date:
        """This moment, by the system's clock."""
        return cls.of(datetime.datetime.now(datetime.timezone.utc))

    def datetime(self) -> datetime.datetime:
        """The datetime in UTC, to the microsecond; OverflowError outside the years 1 to 9999."""
        try:
            return _APPLE_EPOCH + datetime.timedelta(seconds=self.seconds)
        except ValueError as error:
            raise OverflowError(str(error)) from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Date) and _F64.pack(self.seconds) == _F64.pack(other.seconds)

    def __hash__(self) -> int:
        return hash((Date, _F64.pack(self.seconds)))

    def __reduce__(self) -> Tuple[Type[Date], Tuple[float]]:
        return (Date, (self.seconds,))

    def __repr__(self) -> str:
        return f"Date({self.seconds!r})"


class Vector:
    """Numbers of which each keeps the upper 32 bits of its double (spec B-3.3): 0.1 becomes 0.09999996423721313."""

    __slots__ = ("raw",)
    raw: bytes

    def __init__(self, items: Iterable[float] = ()) -> None:
        parts = []
        for item in items:
            bits = _F64.pack(item)
            if item != item and bits[4:] != b"\0\0\0\0":
                raise InputError("a vector cannot keep the lower bits of this NaN")
            parts.append(bits[:4])
        object.__setattr__(self, "raw", b"".join(parts))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Vector does not change")

    @classmethod
    def from_raw(cls, raw: bytes) -> Vector:
        """From the bytes that travel, four an item."""
        if len(raw) % 4:
            raise InputError("a vector has four bytes an item")
        vector = cls()
        object.__setattr__(vector, "raw", bytes(raw))
        return vector

    def __len__(self) -> int:
        return len(self.raw) // 4

    def __iter__(self) -> Iterator[float]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> float:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        at = (index % len(self)) * 4
        value: float = _F64.unpack(self.raw[at : at + 4] + b"\0\0\0\0")[0]
        return value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash((Vector, self.raw))

    def __reduce__(self) -> Tuple[Callable[[bytes], Vector], Tuple[bytes]]:
        return (Vector.from_raw, (self.raw,))

    def __repr__(self) -> str:
        return f"Vector({list(self)!r})"


class Record(Dict[str, Any]):
    """A record from the server: a dict, and the version at which it was read (0 where nothing says it)."""

    __slots__ = ("version",)

    def __init__(self, fields: Any = (), version: int = 0) -> None:
        super().__init__(fields)
        self.version = version

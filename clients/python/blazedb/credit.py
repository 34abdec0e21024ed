"""The receiver's account of a request's credit (spec/connection.md, C-3.1)."""

from __future__ import annotations

from typing import Optional, Tuple


class Account:
    """A running request, and the receiver's account of its credit (C-3.1)."""

    __slots__ = ("query", "window", "received", "admitted", "advertised", "stopping", "position")

    def __init__(self, query: bool, window: Tuple[int, int]) -> None:
        self.query = query
        self.window = window
        self.received = [0, 0]
        self.admitted = [0, 0]
        self.advertised = list(window)
        self.stopping = False
        self.position: Optional[bytes] = None

    def due(self) -> bool:
        for which in (0, 1):
            gained = self.admitted[which] + self.window[which] - self.advertised[which]
            if gained > 0 and gained * 2 >= self.window[which]:
                return True
        return False

"""NFC of Unicode 18.0.0, whatever version the interpreter knows: the order of keys hangs on it (spec B-4.3)."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Tuple

# Below it nothing decomposes, combines or is composed, so that most text needs no table.
FIRST_THAT_MATTERS = "\u0300"

# Hangul syllables are composed by arithmetic (Unicode, section 3.12).
S_BASE, L_BASE, V_BASE, T_BASE = 0xAC00, 0x1100, 0x1161, 0x11A7
L_COUNT, V_COUNT, T_COUNT = 19, 21, 28
S_COUNT = L_COUNT * V_COUNT * T_COUNT


class _Tables(NamedTuple):
    decomposition: Dict[str, str]
    composition: Dict[Tuple[str, str], str]
    combining: Dict[str, int]


_tables: List[_Tables] = []


def nfc(text: str) -> str:
    """The NFC form of a text."""
    if text.isascii() or max(text) < FIRST_THAT_MATTERS:
        return text
    if not _tables:
        _tables.append(_load())
    return _compose(_ordered(text, _tables[0]), _tables[0])


def _load() -> _Tables:
    from . import _nfc_data

    decomposition: Dict[str, str] = {}
    composition: Dict[Tuple[str, str], str] = {}
    for word in _nfc_data.DECOMPOSITIONS.split():
        composes = "=" in word
        code, parts = word.split("=" if composes else "!")
        character = chr(int(code, 16))
        decomposed = [chr(int(part, 16)) for part in parts.split("+")]
        decomposition[character] = "".join(decomposed)
        if composes:
            composition[(decomposed[0], decomposed[1])] = character
    combining: Dict[str, int] = {}
    for word in _nfc_data.CLASSES.split():
        span, value = word.split(":")
        first, last = span.split("-")
        for code_point in range(int(first, 16), int(last, 16) + 1):
            combining[chr(code_point)] = int(value)
    return _Tables(decomposition, composition, combining)


def _decompose(character: str, tables: _Tables, out: List[str]) -> None:
    index = ord(character) - S_BASE
    if 0 <= index < S_COUNT:
        out.append(chr(L_BASE + index // (V_COUNT * T_COUNT)))
        out.append(chr(V_BASE + index % (V_COUNT * T_COUNT) // T_COUNT))
        if index % T_COUNT:
            out.append(chr(T_BASE + index % T_COUNT))
        return
    parts = tables.decomposition.get(character)
    if parts is None:
        out.append(character)
        return
    for part in parts:
        _decompose(part, tables, out)


def _ordered(text: str, tables: _Tables) -> List[str]:
    """Fully decomposed, each run of combining characters in the order of its classes."""
    flat: List[str] = []
    for character in text:
        _decompose(character, tables, flat)
    combining = tables.combining
    out: List[str] = []
    run: List[str] = []
    for character in flat:
        if combining.get(character, 0):
            run.append(character)
            continue
        out += sorted(run, key=combining.__getitem__)
        run.clear()
        out.append(character)
    return out + sorted(run, key=combining.__getitem__)


def _pair(first: str, second: str, tables: _Tables) -> Optional[str]:
    lead, vowel = ord(first) - L_BASE, ord(second) - V_BASE
    if 0 <= lead < L_COUNT and 0 <= vowel < V_COUNT:
        return chr(S_BASE + (lead * V_COUNT + vowel) * T_COUNT)
    syllable, tail = ord(first) - S_BASE, ord(second) - T_BASE
    if 0 <= syllable < S_COUNT and syllable % T_COUNT == 0 and 0 < tail < T_COUNT:
        return chr(ord(first) + tail)
    return tables.composition.get((first, second))


def _compose(characters: List[str], tables: _Tables) -> str:
    combining = tables.combining
    out: List[str] = []
    starter = -1
    # The class of the character before, where that one was not composed away; -1 directly behind the starter.
    before = -1
    for character in characters:
        value = combining.get(character, 0)
        if starter >= 0 and before < value or starter >= 0 and before == -1:
            composed = _pair(out[starter], character, tables)
            if composed is not None:
                out[starter] = composed
                continue
        if value == 0:
            starter = len(out)
            before = -1
        else:
            before = value
        out.append(character)
    return "".join(out)

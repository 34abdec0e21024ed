"""Typed JSON (spec/json.md) as the vectors write it: doubles, dates and items of vectors by their bits, so that a JSON
reader that turns 5.0 into 5, or rounds, loses nothing."""

import base64
import uuid

from blazebinary import Date, Double, Vector, sorted_items

EXACT = 2 ** 53


def bits(number):
    return "0x%016x" % number


def value(v):
    """The value as something that `json` writes."""
    if v is None or isinstance(v, (bool, str)):
        return v
    if isinstance(v, int):
        return v if abs(v) < EXACT else {"$int": str(v)}
    if isinstance(v, Date):
        return {"$date": bits(v.bits)}
    if isinstance(v, Double):
        return {"$double": bits(v.bits)}
    if isinstance(v, uuid.UUID):
        return {"$uuid": str(v)}
    if isinstance(v, bytes):
        return {"$data": base64.b64encode(v).decode("ascii")}
    if isinstance(v, Vector):
        return {"$vector": [{"$double": bits(upper << 32)} for upper in v.uppers]}
    if isinstance(v, list):
        return [value(item) for item in v]
    return entries(v)


def entries(record):
    return {("$" + key if key.startswith("$") else key): value(item) for key, item in sorted_items(record)}


def parse(v):
    """The value that the typed form tells."""
    if v is None or isinstance(v, (bool, str, int)):
        return v
    if isinstance(v, list):
        return [parse(item) for item in v]
    if len(v) == 1:
        (key, held), = v.items()
        if key == "$int":
            return int(held)
        if key in ("$double", "$date"):
            return (Double if key == "$double" else Date)(int(held, 16))
        if key == "$uuid":
            return uuid.UUID(held)
        if key == "$data":
            return base64.b64decode(held, validate=True)
        if key == "$vector":
            return Vector([int(item["$double"], 16) >> 32 for item in held])
    return {(key[1:] if key.startswith("$") else key): parse(item) for key, item in v.items()}

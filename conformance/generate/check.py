"""Checks this implementation against the records that Swift wrote and judged (conformance/vectors/swift).

python3 conformance/generate/check.py
"""

import json
import os
import struct
import sys
import uuid

from blazebinary import MAX_NESTING, Date, Double, Refused, Vector, decode_record, encode_record, sort_key
import typed

SWIFT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors", "swift")
# Records of the golden files nest more than Python's own limit allows for.
sys.setrecursionlimit(10000)


def rows(name):
    with open(os.path.join(SWIFT, name), encoding="utf-8") as file:
        return json.load(file)


def golden(cell):
    """A value of the golden files' own typed form."""
    kind, v = cell["t"], cell.get("v")
    if kind == "null":
        return None
    if kind in ("bool", "string"):
        return v
    if kind == "int":
        return int(v)
    if kind in ("double", "date"):
        return (Double if kind == "double" else Date)(int(v, 16))
    if kind == "uuid":
        return uuid.UUID(v)
    if kind == "data":
        return bytes.fromhex(v)
    if kind == "vector":
        return Vector([int(item, 16) >> 32 for item in v])
    if kind == "array":
        return [golden(item) for item in v]
    return merged(v)


def merged(fields):
    """A dict: of keys that are one (B-4.2) the first spelling stays and the last value counts."""
    entries, spelling = {}, {}
    for key, cell in fields.items():
        entries[spelling.setdefault(sort_key(key), key)] = golden(cell)
    return entries


def check(condition, what):
    if not condition:
        sys.exit("check: %s" % what)


def check_record(row):
    name, record = row["name"], merged(row["fields"])
    first = bytes.fromhex(row["v1"])
    second = first[:5] + b"\x02" + first[6:] + bytes.fromhex(row["v2_crc"])
    for layout, raw in ((1, first), (2, second)):
        check(encode_record(record, layout) == raw, "%s: layout %d is written otherwise" % (name, layout))
        check(decode_record(raw) == (record, layout), "%s: layout %d is read otherwise" % (name, layout))
        check(decode_record(raw, lenient=True)[0] == record, "%s: read leniently" % name)
    check(typed.parse(json.loads(json.dumps(typed.entries(record)))) == record, "%s: typed JSON" % name)


def check_decoding(row):
    name, raw = row["name"], bytes.fromhex(row["hex"])
    try:
        record = decode_record(raw, lenient=True)[0]
    except Refused as refused:
        too_deep = refused.code == "too_deep" and name in ("deep_65", "deep_128", "deep_500")
        check(row["swift"] == "rejects" or too_deep, "%s: refused with %s" % (name, refused))
        return
    check(row["swift"] == "accepts", "%s: Swift refuses it" % name)
    written = encode_record(record)
    if name.startswith("bom_"):
        check(written == raw, "%s: the mark is kept (B-7.3)" % name)
        return
    check(record == merged(row["fields"]), "%s: fields" % name)
    check(written == bytes.fromhex(row["canonical"]), "%s: canonical form" % name)
    try:
        canonical = decode_record(raw)
    except Refused:
        canonical = None
    is_canonical = written == raw or name in ("ok_v2", "v2_empty")
    check((canonical is not None) == is_canonical, "%s: canonical mode" % name)


def main():
    check(struct.pack(">Q", Double.of(5.0).bits).hex() == "4014000000000000", "doubles")
    records = rows("records.json") + rows("random.json")
    for row in records:
        check_record(row)
    decodings = rows("decode.json")
    for row in decodings:
        check_decoding(row)
    check(len(records) == 430 and len(decodings) == 97 and MAX_NESTING == 64, "rows are missing")
    print("check: %d records and %d inputs of Swift's agree" % (len(records), len(decodings)))


if __name__ == "__main__":
    main()

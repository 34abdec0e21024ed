"""Durable inserts a second with a window of operations under way, against a server that runs.

    python3 bench.py blaze://127.0.0.1:25293/main --records 50000 --window 64

One operation is one record in a transaction of its own. Prints one line of JSON.
"""

import argparse
import collections
import json
import platform
import sys
import time

import blazedb


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="blaze://127.0.0.1:25293/main")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--collection", default="bench_python")
    parser.add_argument("--at-least", type=float, default=0.0, help="fail below so many a second")
    arguments = parser.parse_args()
    with blazedb.connect(arguments.url) as db:
        db.drop(arguments.collection)
        # A tenth to warm up: connections, shapes, the server's memory.
        insert(db, arguments.collection, arguments.records // 10, arguments.window)
        begun = time.perf_counter()
        insert(db, arguments.collection, arguments.records, arguments.window)
        seconds = time.perf_counter() - begun
        stored = db.stats(arguments.collection)[0]["records"]
        expected = arguments.records + arguments.records // 10
        db.drop(arguments.collection)
    rate = arguments.records / seconds
    print(json.dumps({
        "client": "python",
        "python": platform.python_version(),
        "records": arguments.records,
        "window": arguments.window,
        "seconds": round(seconds, 3),
        "inserts_per_second": round(rate),
    }))
    if stored != expected:
        print(f"bench: {expected} records were acknowledged, {stored} are stored", file=sys.stderr)
        return 1
    if rate < arguments.at_least:
        print(f"bench: {rate:.0f} inserts a second, at least {arguments.at_least:.0f} wanted", file=sys.stderr)
        return 1
    return 0


def insert(db: blazedb.Client, collection: str, records: int, window: int) -> None:
    under_way: "collections.deque[blazedb.Ticket]" = collections.deque()
    for number in range(records):
        batch = db.batch()
        batch.insert(collection, {"title": "A record of the bench", "number": number, "done": False, "share": number / 7})
        if len(under_way) >= window:
            under_way.popleft().result()
        under_way.append(batch.submit())
    while under_way:
        under_way.popleft().result()


if __name__ == "__main__":
    sys.exit(main())

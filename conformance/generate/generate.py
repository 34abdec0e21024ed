"""Writes conformance/vectors/*.json, the same bytes each time.

python3 conformance/generate/generate.py [DIRECTORY]
"""

import os
import sys

import compression
import frames
import handshakes
import message_cases
import order
import records
import sessions
import texts

HERE = os.path.dirname(os.path.abspath(__file__))


def files():
    return [records.records(), records.values(), texts.texts(), order.order(), frames.frames(), compression.compression(),
            message_cases.messages(), handshakes.handshakes(), sessions.sessions()]


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "vectors")
    for cases in files():
        with open(os.path.join(folder, cases.file), "w", encoding="utf-8", newline="\n") as file:
            file.write(cases.text())
        print("%s: %d cases" % (cases.file, len(cases.cases)))


if __name__ == "__main__":
    main()

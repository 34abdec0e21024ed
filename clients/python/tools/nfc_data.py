"""Writes blazedb/_nfc_data.py: what NFC of one version of Unicode needs, from the package unicodedata2.

    pip install unicodedata2==18.0.0
    python3 tools/nfc_data.py > blazedb/_nfc_data.py
"""

import sys

import unicodedata2

WANTED = "18.0.0"
HANGUL = range(0xAC00, 0xD7A4)


def decompositions():
    """Characters with a canonical decomposition, and whether NFC composes it again."""
    for code in range(0x110000):
        if code in HANGUL or 0xD800 <= code <= 0xDFFF:
            continue
        mapping = unicodedata2.decomposition(chr(code))
        if mapping and not mapping.startswith("<"):
            yield code, mapping, unicodedata2.normalize("NFC", chr(code)) == chr(code)


def classes():
    """Runs of neighbouring characters with the same combining class, but for class 0: first, last, class."""
    runs = []
    for code in range(0x110000):
        combining = unicodedata2.combining(chr(code))
        if combining and runs and runs[-1][1] == code - 1 and runs[-1][2] == combining:
            runs[-1][1] = code
        elif combining:
            runs.append([code, code, combining])
    return runs


def lines(words, width=110):
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = ""
        line = f"{line} {word}" if line else word
    yield line


def main():
    if unicodedata2.unidata_version != WANTED:
        sys.exit(f"unicodedata2 is of Unicode {unicodedata2.unidata_version}; install that of {WANTED}")
    print('"""The data of NFC, Unicode 18.0.0. Written by tools/nfc_data.py; change that, not this."""\n')
    print('# code=first+second, in hexadecimal; "!" instead of "=" where NFC does not compose it again.')
    print('DECOMPOSITIONS = """')
    for line in lines(f"{code:X}{'=' if again else '!'}{mapping.replace(' ', '+')}" for code, mapping, again in decompositions()):
        print(line)
    print('"""\n')
    print("# first-last:class, all other characters being of class 0.")
    print('CLASSES = """')
    for line in lines(f"{first:X}-{last:X}:{combining}" for first, last, combining in classes()):
        print(line)
    print('"""')


main()

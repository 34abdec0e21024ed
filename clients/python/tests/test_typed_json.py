"""Typed JSON as this client writes it (spec/json.md): the text of doubles, against a table and against the server's."""

import math
import random
import struct
import subprocess
import unittest

from blazedb import encoding, typed_json
from blazedb.errors import InputError

from .support import binary

# J-2.4: the fewest digits; an exponent from 1e16 on and below 1e-4.
TEXTS = (
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (5.0, "5.0"),
    (0.1, "0.1"),
    (0.0001, "0.0001"),
    (0.000123, "0.000123"),
    (0.00001, "1e-5"),
    (0.000012, "1.2e-5"),
    (-0.00001, "-1e-5"),
    (1e-7, "1e-7"),
    (1.5e-7, "1.5e-7"),
    (1e-10, "1e-10"),
    (5e-324, "5e-324"),
    (1e15, "1000000000000000.0"),
    (2.0**53, "9007199254740992.0"),
    (9999999999999998.0, "9999999999999998.0"),
    (1e16, "1e16"),
    (-1e16, "-1e16"),
    (184648526991088320.0, "1.8464852699108832e17"),
    # 2**64 is 18446744073709551616, whose neighbours lie 2048 below and 4096 above: 17 digits tell it from them.
    (2.0**64, "1.8446744073709552e19"),
    # Exactly halfway between two texts of as many digits: the greater is taken.
    (31.4798736572265625, "31.479873657226563"),
    (-31.4798736572265625, "-31.479873657226563"),
    (2.0**-25, "2.9802322387695313e-8"),
    (1125899906842624.25, "1125899906842624.3"),
    (1125899906842624.75, "1125899906842624.8"),
    (1e21, "1e21"),
    (1e22, "1e22"),
    (1.7976931348623157e308, "1.7976931348623157e308"),
)


def doubles():
    """Doubles of all kinds, the same each time: powers of two and ten and their neighbours, ties, whole numbers, any bits."""
    chance = random.Random(5)
    found = [2.0**exponent for exponent in range(-1074, 1024, 7)]
    for exponent in range(-323, 309):
        bits = struct.unpack(">q", struct.pack(">d", float(f"1e{exponent}")))[0]
        found += [struct.unpack(">d", struct.pack(">q", bits + near))[0] for near in (-1, 0, 1)]
    for fraction in range(1, 26):
        # 16 to 18 digits, the last a 5.
        least, most = (10**digits // 5**fraction for digits in (15, 18))
        found += [chance.randint(least, min(most, 2**53)) / 2.0**fraction for _ in range(40)]
    for _ in range(1000):
        found.append(float(chance.randint(-(2**61), 2**61)))
        found.append(chance.randint(0, 10**9) * 1e-12)
        found.append(struct.unpack(">d", chance.getrandbits(64).to_bytes(8, "big"))[0])
    return [value for value in found if math.isfinite(value)]


class Doubles(unittest.TestCase):
    def test_the_text(self):
        for value, text in TEXTS:
            with self.subTest(text=text):
                self.assertEqual(typed_json.dumps(value), text)
                self.assertEqual(struct.pack(">d", typed_json.loads(text)), struct.pack(">d", value))

    def test_it_is_the_one_that_the_server_writes(self):
        records = [encoding.encode({"value": value}) for value in doubles()]
        self.assertGreater(len(records), 5500)
        given = "".join(f"{record.hex()}\n" for record in records)
        done = subprocess.run([binary(), "record", "decode"], input=given, capture_output=True, text=True, check=True)
        self.assertEqual([typed_json.dumps(encoding.decode(record)) for record in records], done.stdout.splitlines())


class Refusals(unittest.TestCase):
    def test_keys(self):
        for refused in ({"e\u0301": 1, "\u00e9": 2}, {1: 2}, {"\ud800": 1}):
            for value in (refused, {"within": refused}):
                with self.assertRaises(InputError):
                    typed_json.dumps(value)

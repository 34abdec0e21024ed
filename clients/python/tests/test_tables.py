"""The generated tables are what the specification and Unicode say; the sources are of the oldest version that is promised."""

import ast
import contextlib
import io
import pathlib
import random
import runpy
import unicodedata
import unittest

from blazedb._nfc import nfc

HERE = pathlib.Path(__file__).resolve().parents[1]


class Tables(unittest.TestCase):
    def test_the_table_of_errors_is_the_specification_s(self):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            runpy.run_path(str(HERE / "tools" / "error_table.py"), run_name="__main__")
        written = (HERE / "blazedb" / "_error_table.py").read_text(encoding="utf-8")
        self.assertEqual(out.getvalue(), written, "run tools/error_table.py")

    def test_nfc_is_the_interpreter_s_where_that_knows_the_characters(self):
        # What is assigned does not change its form: the interpreter's Unicode is older or newer, never otherwise.
        def known(character):
            return unicodedata.category(character) not in ("Cn", "Cs")

        if tuple(map(int, unicodedata.unidata_version.split("."))) > (18, 0, 0):
            self.skipTest("this interpreter knows more than Unicode 18.0.0")
        characters = [chr(code) for code in range(0x110000) if known(chr(code))]
        marks = [one for one in characters if unicodedata.combining(one) or unicodedata.decomposition(one)]
        self.assertGreater(len(marks), 5000)
        for character in marks:
            self.assertEqual(nfc(character), unicodedata.normalize("NFC", character), ascii(character))
        chance = random.Random(18)
        jamo = [chr(code) for code in (*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A7, 0x11C3))]
        pool = marks + jamo * 20 + list("aeioucsdlt") * 50
        for _ in range(20_000):
            text = "".join(chance.choices(pool, k=chance.randint(2, 6)))
            self.assertEqual(nfc(text), unicodedata.normalize("NFC", text), ascii(text))


class Sources(unittest.TestCase):
    def test_the_syntax_is_that_of_python_3_9(self):
        for path in sorted(HERE.rglob("*.py")):
            ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 9))

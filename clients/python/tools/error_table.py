"""Writes blazedb/_error_table.py from the table of the specification.

    python3 tools/error_table.py > blazedb/_error_table.py
"""

import json
import pathlib

SPEC = pathlib.Path(__file__).resolve().parents[3] / "spec" / "errors.json"


def main():
    print('"""The codes of errors, from spec/errors.json. Written by tools/error_table.py; change that, not this."""\n')
    print("# number: (name, at fault, retryable, text, advice)")
    print("TABLE = {")
    for row in json.loads(SPEC.read_text(encoding="utf-8")):
        print(f"    {row['number']}: (")
        for member in ("name", "fault", "retryable", "text", "advice"):
            value = row[member]
            print(f"        {json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value},")
        print("    ),")
    print("}")


main()

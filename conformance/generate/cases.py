"""The file format of the vectors: collecting the cases of one file and writing it, one case a line."""

import json
import re

# As many repetitions of up to six bytes are written as a group, `(00*4096)`.
FEWEST_REPETITIONS = 40
# Typed values longer than this as JSON are left out: the hex says it all.
LONGEST_VALUE = 3000
RUN = re.compile(rb"(.{1,6}?)\1{%d,}" % (FEWEST_REPETITIONS - 1), re.DOTALL)


def digits(raw):
    """Hexadecimal digits, long repetitions as groups."""
    out, at = [], 0
    for run in RUN.finditer(raw):
        out.append(raw[at:run.start()].hex())
        out.append("(%s*%d)" % (run[1].hex(), len(run[0]) // len(run[1])))
        at = run.end()
    return "".join(out) + raw[at:].hex()


def expand(text):
    return bytes.fromhex(re.sub(r"\(([0-9a-f]+)\*([0-9]+)\)", lambda group: group[1] * int(group[2]), text))


class Cases:
    """The cases of one file, in the order in which they are added."""

    def __init__(self, file, description):
        self.file = file
        self.description = description
        self.cases = []
        self.names = set()

    def add(self, name, clauses, **members):
        if not re.match(r"[yni]_[a-z0-9_]+\Z", name) or name in self.names:
            raise ValueError("the name %s of %s" % (name, self.file))
        if (name[0] == "n") != ("code" in members) and self.file != "json.json":
            raise ValueError("%s: a code is what makes a case negative" % name)
        self.names.add(name)
        case = {"name": name, "clauses": clauses.split()}
        for member, held in members.items():
            if isinstance(held, (bytes, bytearray)):
                held = digits(bytes(held))
            if member in ("value", "record") and len(json.dumps(held)) > LONGEST_VALUE:
                continue
            case[member] = held
        self.cases.append(case)

    def text(self):
        lines = [json.dumps(case, separators=(",", ":")) for case in self.cases]
        head = json.dumps(self.description)
        text = '{"description":%s,"cases":[\n%s\n]}\n' % (head, ",\n".join(lines))
        if expand_all(json.loads(text)["cases"]) != expand_all(self.cases):
            raise ValueError("%s does not read back" % self.file)
        return text


def expand_all(cases):
    return [(case["name"], expand(case["hex"]) if isinstance(case.get("hex"), str) else None) for case in cases]

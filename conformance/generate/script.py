"""A session as it is written down: frames made from messages, each judged by the ledgers as it is added."""

from cases import digits
from compression import decompress
from ledger import NOTICES, Connection
from messages import encode
from samples import HELLO, WELCOME
from wire import COMPRESSED, REQUIRES_ACK, TYPES, Fault, frame


class Script:
    def __init__(self, client=0, server=0):
        self.steps = []
        self.first = {"client": client, "server": server}
        self.code = None
        self.begin(client, server)

    def begin(self, client, server):
        self.connection = Connection()
        self.next = {"client": client, "server": server}
        self.over = False

    def raw(self, sender, raw, fault=None, message=None):
        """Bytes; `fault` is what the receiver finds wrong with them."""
        if self.over:
            raise ValueError("the connection is over")
        step = {"from": sender, "hex": digits(raw)}
        if message is not None:
            step["message"] = message
        found = None
        try:
            self.connection.receive(sender, raw)
        except Fault as broken:
            found = broken.code
        if found != fault:
            raise ValueError("%s, not %s: %s" % (found, fault, message))
        if fault:
            step["fault"], self.code, self.over = fault, fault, True
        elif message and message["is"] == "error" and message["scope"] == "connection" and message["code"] not in NOTICES:
            step["ends"], self.over = True, True
        self.steps.append(step)
        return self

    def frame(self, sender, number, payload, fault=None, flags=None, message=None, sequence=None):
        sequence = self.next[sender] if sequence is None else sequence
        self.next[sender] = (sequence + 1) % 2 ** 24
        return self.raw(sender, frame(number, payload, sequence, flags), fault, message)

    def say(self, sender, message, fault=None, **how):
        number, payload = encode(message)
        return self.frame(sender, number, payload, fault, message=message, **how)

    def client(self, message, fault=None, **how):
        return self.say("client", message, fault, **how)

    def server(self, message, fault=None, **how):
        return self.say("server", message, fault, **how)

    def compressed(self, sender, message, travelled, fault=None):
        number, payload = encode(message)
        if fault is None and decompress(travelled) != payload:
            raise ValueError("the compressed payload is not the message's")
        flags = COMPRESSED | (REQUIRES_ACK if number == TYPES["operation"] else 0)
        return self.frame(sender, number, travelled, fault, flags, None if fault else message)

    def greet(self, hello=HELLO, welcome=WELCOME):
        return self.client(hello).server(welcome)

    def cut(self):
        self.steps.append({"transport": "cut"})
        self.over = True
        return self

    def connect(self):
        self.steps.append({"transport": "connect"})
        self.begin(0, 0)
        return self

    def members(self):
        first = {} if self.first == {"client": 0, "server": 0} else {"sequence": self.first}
        return {**first, **({"code": self.code} if self.code else {}), "steps": self.steps}

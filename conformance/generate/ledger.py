"""The rules of a connection, for both roles at once (spec/protocol.md P-2, P-6 to P-9, spec/connection.md): fed with every
frame in order, it says which rule the receiver finds broken."""

from blazebinary import Refused, decode_record
from compression import decompress
from handshakes import judge
from messages import decode
from wire import (COMPRESSED, HEADER, MAX_HANDSHAKE_PAYLOAD, MAX_PAYLOAD, TYPES, Fault, flags_are_allowed, read_frame)

CLIENT_SENDS = {"handshake", "operation", "query", "subscribe", "telemetry", "error", "unsubscribe", "ping", "pong", "auth",
                "goodbye", "credit", "cancel"}
# Errors after which the connection goes on (P-8.2): unknown_message_type and not_supported.
NOTICES = (7, 8)
SERVER_SENDS = {"handshake", "query_response", "ack", "error", "event", "ping", "pong", "goodbye", "credit"}
NAME_OF = {number: name for name, number in TYPES.items()}
PASSED_OVER = ("unknown_message_type", "not_supported")


def canonical(items):
    """P-3.8: the records of rows or changes."""
    for item in items:
        if "record" in item:
            try:
                decode_record(bytes.fromhex(item["record"]))
            except Refused:
                raise Fault("invalid_value") from None


class Account:
    """One direction of a lane or a request (C-3.1), seen from the receiver."""

    def __init__(self, frames, size):
        self.limit = [int(frames), int(size)]
        self.spent = [0, 0]

    def spend(self, cost):
        if self.spent[0] >= self.limit[0] or self.spent[1] >= self.limit[1]:
            raise Fault("credit_exceeded")
        self.spent = [self.spent[0] + 1, self.spent[1] + cost]

    def raise_to(self, frames, size):
        if int(frames) < self.limit[0] or int(size) < self.limit[1]:
            raise Fault("invalid_credit")
        self.limit = [int(frames), int(size)]


class Request:
    def __init__(self, kind, account):
        self.kind = kind
        self.account = account
        self.unsubscribed = False
        self.position = None


class Connection:
    def __init__(self):
        self.sequence = {"client": None, "server": None}
        self.hello = self.welcome = None
        self.goodbye = {"client": False, "server": False}
        self.work = None
        self.requests = {}
        self.last_request = 0
        self.sent = self.acked = self.durable = 0
        self.level = {}
        self.in_error = set()

    def receive(self, sender, raw):
        """One frame: its message, or None where it is answered and passed over, or Fault. A fault of an operation or
        request alone is no Fault here: `self.refused` tells it."""
        self.refused = None
        frame = read_frame(raw, MAX_PAYLOAD if self.welcome else MAX_HANDSHAKE_PAYLOAD)
        if frame is None:
            raise ValueError("half a frame")
        number, flags, sequence, payload, length = frame
        if length != len(raw):
            raise ValueError("more than a frame")
        before = self.sequence[sender]
        if before is not None and sequence != (before + 1) % 2 ** 24:
            raise Fault("sequence_gap")
        self.sequence[sender] = sequence
        # From here on in the order of P-2.12 to P-2.15.
        name = NAME_OF.get(number)
        lz4 = bool(self.welcome) and "lz4" in self.welcome["capabilities"]
        if not flags_are_allowed(number, flags, lz4):
            raise Fault("unexpected_flag")
        if name is not None and flags & COMPRESSED:
            payload = decompress(payload)
        self.check_moment(sender, name)
        if name is None:
            self.refused = Fault("unknown_message_type")
            return None
        if name in ("operation", "query", "subscribe"):
            self.work.spend(HEADER + len(payload) + 4)
        try:
            message = decode(number, payload)
        except Fault as fault:
            if fault.code not in PASSED_OVER and fault.scope == "connection":
                raise
            self.refused = fault
            if fault.scope != "connection":
                self.number(name, fault.id)
            if fault.scope == "request":
                self.requests[str(fault.id)] = Request("refused", Account(0, 0))
            return None
        getattr(self, sender + "_" + message["is"], self.nothing)(message, HEADER + len(payload) + 4)
        return message

    def check_moment(self, sender, name):
        """What may be sent by whom, and when."""
        if not self.welcome:
            allowed = {"client": {"handshake"} if not self.hello else {"goodbye", "error"},
                       "server": {"handshake", "error", "goodbye"} if self.hello else set()}[sender]
            if name not in allowed:
                raise Fault("unexpected_message")
            return
        if name is not None and name not in (CLIENT_SENDS if sender == "client" else SERVER_SENDS):
            raise Fault("unexpected_message")
        if name == "handshake":
            raise Fault("unexpected_message")
        if self.goodbye[sender] and name != "error" and not (sender == "server" and name == "ack"):
            raise Fault("unexpected_message")

    def nothing(self, message, cost):
        pass

    def number(self, name, number):
        """Numbers of operations (C-5.1, C-5.2) and ids of requests (C-6.1)."""
        number = int(number)
        if name == "operation":
            if number != self.sent + 1:
                raise Fault("operation_number_gap")
            if number > self.durable + self.welcome["operation_window"]:
                raise Fault("operation_window_exceeded")
            self.sent = number
        else:
            if number <= self.last_request:
                raise Fault("request_id_not_increasing")
            self.last_request = number

    def client_hello(self, message, cost):
        self.hello = message
        self.sent = self.acked = self.durable = int(message["oldest_unacked"]) - 1

    def client_welcome(self, message, cost):
        raise Fault("unexpected_message")

    def server_hello(self, message, cost):
        raise Fault("unexpected_message")

    def server_welcome(self, message, cost):
        judge(self.hello, message)
        self.welcome = message
        self.work = Account(message["work_frames"], message["work_bytes"])

    def client_operation(self, message, cost):
        self.number("operation", message["number"])

    def begin(self, message):
        self.number(message["is"], message["id"])
        if len(self.requests) >= self.welcome["request_limit"]:
            self.refused = Fault("too_many")
            # It is over when its Error is written (C-6.4).
            self.requests[message["id"]] = Request("refused", Account(0, 0))
            return
        self.requests[message["id"]] = Request(message["is"], Account(message["frames"], message["bytes"]))

    def client_query(self, message, cost):
        self.begin(message)

    def client_subscribe(self, message, cost):
        self.begin(message)

    def client_unsubscribe(self, message, cost):
        if message["id"] in self.requests:
            self.requests[message["id"]].unsubscribed = True

    def client_error(self, message, cost):
        if message["scope"] != "connection":
            raise Fault("unexpected_message")
        self.last_word("client", message)

    def last_word(self, sender, message):
        """Behind a Goodbye an Error of the connection ends it (C-11.1)."""
        if self.goodbye[sender] and message["code"] in NOTICES:
            raise Fault("unexpected_message")

    def client_goodbye(self, message, cost):
        self.goodbye["client"] = True

    def server_goodbye(self, message, cost):
        self.goodbye["server"] = True

    def client_credit(self, message, cost):
        if message["scope"] != "request":
            raise Fault("invalid_credit")
        if message["id"] in self.requests:
            self.requests[message["id"]].account.raise_to(message["frames"], message["bytes"])

    def server_credit(self, message, cost):
        if message["scope"] == "request":
            raise Fault("invalid_credit")
        if message["scope"] == "work":
            self.work.raise_to(message["frames"], message["bytes"])

    def server_ack(self, message, cost):
        number = int(message["number"])
        if number > self.sent or number < max(self.level.get(message["level"], 0), self.durable):
            raise Fault("impossible_ack")
        self.level[message["level"]] = number
        self.acked = max(self.acked, number)
        if message["level"] == "durable":
            self.durable = number

    def running(self, request_id, kind):
        request = self.requests.get(request_id)
        if request is None or kind not in (None, request.kind):
            raise Fault("unexpected_message")
        return request

    def server_error(self, message, cost):
        if message["scope"] == "connection":
            self.last_word("server", message)
        if message["scope"] == "operation":
            number = int(message["id"])
            if number > self.sent or number <= self.acked or number in self.in_error:
                raise Fault("impossible_ack")
            self.in_error.add(number)
        if message["scope"] == "request":
            self.running(message["id"], None)
            del self.requests[message["id"]]

    def server_query_response(self, message, cost):
        request = self.running(message["id"], "query")
        request.account.spend(cost)
        if request.position not in (None, message["position"]):
            raise Fault("invalid_field")
        request.position = message["position"]
        canonical(message["rows"])
        if message["last"]:
            del self.requests[message["id"]]

    def server_event(self, message, cost):
        request = self.running(message["id"], "subscribe")
        if message["kind"] == "ended" and not request.unsubscribed:
            raise Fault("unexpected_message")
        canonical(message.get("changes", ()))
        if not (message["kind"] == "ended" and request.unsubscribed):
            request.account.spend(cost)
        if message["kind"] in ("reset", "ended"):
            del self.requests[message["id"]]

"""Handshakes and whole sessions of the vectors, played to the connection: the server's bytes go in, the client's are what it writes."""

from blazedb import connection, frames, messages
from blazedb.connection import Connection, State
from blazedb.errors import CODES

from .test_vectors import Cases, message_of, unhex


class Handshakes(Cases):
    def test_handshakes(self):
        self.each("handshakes.json", self.check)

    def check(self, case):
        hello = message_of(case["hello"])
        self.assertEqual(messages.encode(hello)[1], unhex(case["hello_hex"]))
        self.assertEqual(messages.decode(messages.HANDSHAKE, unhex(case["hello_hex"])), hello)
        if case["role"] != "client":
            return
        client = Connection(hello, 0.0)
        happened = client.receive(frames.encode(messages.HANDSHAKE, 0, 0, unhex(case["welcome_hex"])), 0.0)
        if case["name"].startswith("y_"):
            self.assertEqual(happened, [connection.Welcomed(message_of(case["welcome"]))])
        else:
            self.assertEqual(CODES[happened[-1].code].name, case["code"])
            self.assertIs(client.state, State.ENDED)


class Sessions(Cases):
    def test_sessions(self):
        self.played = self.faults = 0
        self.each("sessions.json", self.check)
        self.assertGreater(self.played, 50)
        self.assertGreater(self.faults, 20)

    def check(self, case):
        client = None
        wrote = frames.Deframer()
        for step in case["steps"]:
            if "transport" in step:
                if step["transport"] == "cut" and client is not None:
                    client.lost("cut")
                client, wrote = None, frames.Deframer()
            elif step["from"] == "client":
                if "fault" in step:
                    # Ours cannot be brought to do it.
                    return
                message = message_of(step["message"]) if "message" in step else None
                if client is None:
                    self.assertIsInstance(message, messages.Hello)
                    client = Connection(message, 0.0)
                elif not self.does(client, message):
                    return
                client.control()
                wrote.feed(client.take())
                frame = wrote.next()
                if isinstance(message, messages.Operation):
                    # This client asks for the level durable alone.
                    message = message._replace(ack_level=messages.DURABLE)
                if isinstance(message, (messages.Hello, messages.Operation, messages.Query, messages.Subscribe)):
                    self.assertEqual(messages.decode(frame.type, frame.payload), message)
            else:
                self.hears(client, step)
                client.control()
        self.played += 1

    def does(self, client, message):
        """Brings the client to say this; False where that is not in its hands."""
        if isinstance(message, messages.Operation):
            self.assertTrue(client.may_send_operation())
            client.send_operation(message.number, messages.encode(message)[1][9:])
        elif isinstance(message, (messages.Query, messages.Subscribe)):
            if not client.may_send_request():
                # A request that the server must refuse: ours keeps to the limit.
                return False
            client._last_request = message.id - 1
            client.send_request(lambda number: message)
        elif isinstance(message, (messages.Cancel, messages.Unsubscribe)):
            client.stop(message.id)
        elif isinstance(message, messages.Goodbye):
            client.part(0.0, message.code, message.message)
        elif isinstance(message, messages.Credit):
            if message.id in client._requests:
                client._requests[message.id].advertised = [message.frames, message.bytes]
        elif message is None:
            return False
        return True

    def hears(self, client, step):
        happened = client.receive(unhex(step["hex"]), 0.0)
        ends = [event for event in happened if isinstance(event, connection.End)]
        if "fault" in step:
            self.assertEqual([CODES[end.code].name for end in ends], [step["fault"]])
            self.faults += 1
            return
        message = message_of(step["message"]) if "message" in step else None
        if isinstance(message, messages.Error) and message.scope == messages.SCOPE_CONNECTION:
            return
        for end in ends:
            # Only a Goodbye ends a session in which nobody is at fault.
            self.assertIsNotNone(client._heard_goodbye, end)

"""What the tests share: a real server that can be killed, and a stub that plays one from a script."""

import contextlib
import os
import pathlib
import queue
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest
import uuid

from blazedb import frames, messages

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
CERTIFICATE = pathlib.Path(__file__).resolve().parent / "data" / "cert.pem"
KEY = CERTIFICATE.with_name("key.pem")
NODE = uuid.UUID("018f3c7a-5b2d-7c4e-9a1b-2c3d4e5f6071")


def binary():
    """The server to test against: BLAZEDB_BIN, or what the repository has built."""
    named = os.environ.get("BLAZEDB_BIN")
    candidates = [named] if named else [REPOSITORY / "target" / build / "blazedb" for build in ("release", "debug")]
    for candidate in candidates:
        if pathlib.Path(candidate).is_file():
            return str(candidate)
    raise unittest.SkipTest(f"no server: build it (cargo build), or name one in BLAZEDB_BIN; looked at {candidates}")


class RealServer:
    """blazedb serve over a directory of its own."""

    def __init__(self, *options):
        self.binary = binary()
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="blazedb-python-")
        self.port = 0
        self.process = None
        self.start()

    def start(self):
        data = os.path.join(self.folder, "data")
        command = [self.binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", data, *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.said = []
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                # What else it prints must not fill the pipe.
                threading.Thread(target=self._listen, args=(self.process.stdout, self.said), daemon=True).start()
                return
        raise AssertionError("the server did not start: " + "".join(self.said))

    @staticmethod
    def _listen(lines, said):
        with lines:
            for line in lines:
                said.append(line)

    @property
    def url(self):
        return f"blaze://127.0.0.1:{self.port}/main"

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """SIGTERM, and away with the data."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Peer:
    """The stub's end of one connection: blocking, frame by frame."""

    def __init__(self, sock):
        self.socket = sock
        self.sequence = 0
        self.deframer = frames.Deframer()

    def say(self, *said):
        data = b""
        for message in said:
            kind, payload = messages.encode(message)
            data += frames.encode(kind, 0, self.sequence, payload)
            self.sequence = (self.sequence + 1) % frames.SEQUENCES
        self.socket.sendall(data)

    def hear(self, kind=None):
        """The next message, or the next of this kind; None at the end of the stream."""
        while True:
            frame = self.deframer.next()
            if frame is not None:
                message = messages.decode(frame.type, frame.payload)
                if kind is None or isinstance(message, kind):
                    return message
                continue
            data = self.socket.recv(65_536)
            if not data:
                return None
            self.deframer.feed(data)

    def welcome(self, **changes):
        """Hears the Hello, says Welcome, and gives the Hello."""
        hello = self.hear(messages.Hello)
        plain = messages.Welcome(
            1, hello.oldest_unacked - 1, 1024, 15_000, 256, 1 << 22, 0, 0, 64, 1, position(1), NODE, hello.node or NODE, "stub/1", ()
        )
        self.say(plain._replace(**changes))
        return hello

    def part(self):
        """Hears what comes up to the Goodbye and answers it."""
        if self.hear(messages.Goodbye) is not None:
            self.say(messages.Goodbye(0, 0, ""))


def position(sequence):
    return bytes.fromhex("0000000100000000") + sequence.to_bytes(8, "big")


class Stub:
    """A server that does what a script says: one function for each connection, in order."""

    def __init__(self, *script, path=None, tls=False):
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(CERTIFICATE, KEY)
        self.faults = queue.Queue()
        self.thread = threading.Thread(target=self._run, args=(script,), daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"blaze://127.0.0.1:{self.port}/main"

    def _run(self, script):
        for act in script:
            try:
                sock, _ = self.listener.accept()
                sock.settimeout(20)
                if self.context:
                    sock = self.context.wrap_socket(sock, server_side=True)
                with sock:
                    act(Peer(sock))
            except ssl.SSLError:
                # A client that does not trust us hangs up.
                continue
            except Exception as fault:
                self.faults.put(fault)
                return

    def finish(self, test):
        """The script must have come to its end."""
        self.thread.join(20)
        self.listener.close()
        test.assertFalse(self.thread.is_alive(), "the script did not come to its end")
        if not self.faults.empty():
            raise self.faults.get()


class Cutter:
    """A relay that cuts each connection after a random number of bytes of either direction."""

    def __init__(self, port, seed, most):
        self.target = port
        self.chance = random.Random(seed)
        self.most = most
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def url(self):
        return f"blaze://127.0.0.1:{self.port}/main"

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self.connections += 1
                lengths = [self.chance.randint(200, self.most) for _ in range(2)]
                threading.Thread(target=self._relay, args=(near, far, lengths), daemon=True).start()

    def _relay(self, near, far, lengths):
        with near, far:
            back = threading.Thread(target=self._carry, args=(far, near, lengths[1]), daemon=True)
            back.start()
            self._carry(near, far, lengths[0])
            back.join()

    @staticmethod
    def _carry(source, sink, length):
        with contextlib.suppress(OSError):
            while length:
                data = source.recv(min(65_536, length))
                if not data:
                    break
                sink.sendall(data)
                length -= len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

"""Where a database is: URLs, and how a transport to one is opened.

    blaze://host:port/database                      TCP
    blazes://host:port/database                     TLS 1.3, the certificate checked against the system's authorities
    blazes://host:port/database?pin=sha256:HEX      TLS 1.3, the certificate known by its SHA-256
    unix:/path/to/socket?db=database                Unix socket
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import ssl
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence

from . import messages
from .errors import InputError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 25293
DEFAULT_DATABASE = "main"
# The handshake of a connection has 5 s (spec C-9.1); a transport that takes longer to open would leave none of them.
OPEN_SECONDS = 5.0
# What the address of a Unix socket holds, less the zero at its end.
MAX_SOCKET_PATH = 107

_AUTHORITY = re.compile(r"//(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]*))(?::(?P<port>[0-9]{1,5}))?(?:/(?P<database>[^/]*))?\Z")
_PIN = re.compile(r"sha256:([0-9a-fA-F]{64})\Z")


class Target(NamedTuple):
    """A parsed URL."""

    scheme: str
    host: str
    port: int
    path: str
    database: str
    pin: Optional[bytes]


def parse(url: str) -> Target:
    """The parts of a URL; InputError says what is wrong with it."""
    scheme, colon, rest = url.partition(":")
    if not colon or scheme not in ("blaze", "blazes", "unix"):
        hint = "; this client has no WebSocket" if scheme in ("ws", "wss") else ""
        raise InputError(f"{url!r} is no URL of a database: blaze://, blazes:// or unix:{hint}")
    address, _, query = rest.partition("?")
    options = _options(url, query, {"unix": ("db",), "blazes": ("pin",)}.get(scheme, ()))
    if scheme == "unix":
        if not address.startswith("/") or address.startswith("//") or len(address.encode()) > MAX_SOCKET_PATH:
            raise InputError(f"{url!r} names no socket: unix:/path, absolute, at most {MAX_SOCKET_PATH} bytes")
        return Target("unix", "", 0, address, _database(options.get("db", DEFAULT_DATABASE)), None)
    found = _AUTHORITY.match(address)
    if not found:
        raise InputError(f"{url!r} is no URL of a database: {scheme}://host:port/database")
    port = int(found["port"] or DEFAULT_PORT)
    if not 1 <= port <= 65_535:
        raise InputError(f"{url!r} has no port from 1 to 65535")
    host = found["six"] or found["host"] or DEFAULT_HOST
    return Target(scheme, host, port, "", _database(found["database"] or DEFAULT_DATABASE), _pin(options.get("pin")))


def describe(target: Target) -> str:
    """The address, for people."""
    return target.path if target.scheme == "unix" else f"{target.host}:{target.port}"


def _options(url: str, query: str, known: Sequence[str]) -> Dict[str, str]:
    options: Dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in known or name in options:
            raise InputError(f"{url!r}: {name!r} is no option here, or stands twice")
        options[name] = value
    return options


def _database(name: str) -> str:
    if not messages.DATABASE_NAME.match(name):
        raise InputError(f"{name!r} is no name of a database: 1 to 64 of a-z 0-9 _ -", messages.code("invalid_name"))
    return name


def _pin(text: Optional[str]) -> Optional[bytes]:
    if text is None:
        return None
    found = _PIN.match(text)
    if not found:
        raise InputError("a pin is sha256: and the 64 hexadecimal digits of the certificate's SHA-256")
    return bytes.fromhex(found[1])


def tls_context(target: Target) -> ssl.SSLContext:
    """TLS 1.3 and nothing older. With a pin no authority is asked: the certificate itself is known."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if target.pin is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def check_pin(target: Target, transport: asyncio.BaseTransport) -> None:
    """Raises ssl.SSLCertVerificationError where the certificate is another than the URL's."""
    if target.pin is None:
        return
    secured = transport.get_extra_info("ssl_object")
    certificate = secured.getpeercert(binary_form=True) if secured is not None else None
    found = hashlib.sha256(certificate or b"").digest()
    if not certificate or not hmac.compare_digest(found, target.pin):
        raise ssl.SSLCertVerificationError(f"the server's certificate has the fingerprint sha256:{found.hex()}, not the pinned one")


async def open_transport(target: Target, protocol: Callable[[], Any], tls: Optional[ssl.SSLContext]) -> None:
    """Opens a transport for a protocol of asyncio."""
    loop = asyncio.get_running_loop()
    if target.scheme == "unix":
        if not hasattr(loop, "create_unix_connection"):
            raise OSError("this platform has no Unix sockets")
        await asyncio.wait_for(loop.create_unix_connection(protocol, target.path), OPEN_SECONDS)
        return
    secured = (tls or tls_context(target)) if target.scheme == "blazes" else None
    name = target.host if secured is not None else None
    opening = loop.create_connection(protocol, target.host, target.port, ssl=secured, server_hostname=name)
    await asyncio.wait_for(opening, OPEN_SECONDS)

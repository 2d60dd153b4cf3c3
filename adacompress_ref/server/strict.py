"""HTTP that leaves no doubt where a request ends; what is not whole in time is closed."""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import sys
import threading
import time
from email import errors
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from .wire import Answer, Request

_OF_HEADERS = (
    errors.FirstHeaderLineIsContinuationDefect,
    errors.InvalidHeaderDefect,
    errors.MisplacedEnvelopeHeaderDefect,
    errors.MissingHeaderBodySeparatorDefect,  # such as a space before a colon
)
IDLE, WHOLE = 60.0, 30.0  # seconds until a request begins, and then for head and body together


class StrictServer(ThreadingHTTPServer):
    """Answers in threads, within a `with`. Raises OSError where it cannot listen."""

    request_queue_size = 128

    def __init__(self, host: str, port: int, handler: type[StrictHandler]) -> None:
        super().__init__((host, port), handler)
        self.address = str(self.server_address[0])
        # 0.0.0.0 stands for all addresses of this machine
        named = "127.0.0.1" if self.address == "0.0.0.0" else self.address
        self.url = f"http://{named}:{self.server_address[1]}"
        self.connections: set[socket.socket] = set()

    def server_bind(self) -> None:
        """Without asking a name server who we are, which may take long."""
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A new connection."""
        self.connections.add(request)
        super().process_request(request, client_address)

    def start(self) -> None:
        """Listen, in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Take no more connections."""
        self.shutdown()
        self.server_close()

    def cut(self) -> None:
        """End all connections, those too that clients keep open."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is no error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Timely(io.RawIOBase):
    """What a connection sends, `due` a while after the first byte. Raises TimeoutError."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.due: float | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As of a file."""
        left = IDLE if self.due is None else self.due - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)
        count = self.connection.recv_into(buffer)
        if self.due is None:
            self.due = time.monotonic() + WHOLE
        return count


class StrictHandler(BaseHTTPRequestHandler):
    """Reads requests for a StrictServer; of several lengths, or none that is known, nothing."""

    server: StrictServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """The clock runs while reading alone."""
        super().setup()
        self._timely = _Timely(self.connection)
        self.rfile: Any = io.BufferedReader(self._timely)

    def finish(self) -> None:
        """The connection is done."""
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the URLs hold tokens."""

    def may_hold(self, size: int) -> bool:
        """Whether there is room for a body of so many bytes."""
        return True

    def whole_request(self, limit: int) -> Request | Answer:
        """The request, its body of at most so many bytes; or why not, and then it is closed."""
        request = self._whole_request(limit)
        self._timely.due = None
        self.connection.settimeout(IDLE)
        self.close_connection |= isinstance(request, Answer)
        return request

    def _whole_request(self, limit: int) -> Request | Answer:
        lengths = self.headers.get_all("Content-Length", [])
        fault = ""
        if self.request_version not in ("HTTP/1.0", "HTTP/1.1"):
            fault = "HTTP/1.1 is needed"
        elif any(isinstance(defect, _OF_HEADERS) for defect in self.headers.defects):
            fault = "a line among the headers is none"
        elif not "".join(self.headers.values()).replace("\t", "").isprintable():
            fault = "a header has control characters, or more lines than one"
        elif len(lengths) > 1:
            fault = "Content-Length is there twice"
        if fault:
            return Answer(400, {"error": fault})
        declared = lengths[0] if lengths else "0" if self.command == "GET" else ""
        is_number = declared.isascii() and declared.isdigit()
        if "Transfer-Encoding" in self.headers or not is_number:
            return Answer(411, {"error": "Content-Length, and it alone, is needed"})
        if self.command == "GET" and int(declared[:10]):
            return Answer(400, {"error": "a GET has no body"})
        if int(declared[:10]) > limit:
            return Answer(413, {"error": f"more than {limit} bytes"})
        if not self.may_hold(int(declared)):
            return Answer(503, {"error": "no room now"})
        body = self.rfile.read(int(declared))
        if len(body) < int(declared):
            return Answer(400, {"error": "the body was cut"})
        path, _, query = self.path.partition("?")
        return Request(f"{self.command} {path}", dict(parse_qsl(query)), self.headers, body)

"""HTTP that leaves no doubt where a request ends; what is not whole in time is cut."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
from collections.abc import Mapping
from email import errors
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from ..storage.files import reason
from .wire import Answer, Request

WHOLE = 30.0  # seconds from the first byte of a request to the last
_NO_HEADERS = (
    errors.FirstHeaderLineIsContinuationDefect,
    errors.InvalidHeaderDefect,
    errors.MisplacedEnvelopeHeaderDefect,
    errors.MissingHeaderBodySeparatorDefect,  # such as a space before a colon
)


class StrictServer(ThreadingHTTPServer):
    """Answers in threads. Raises OSError where it cannot listen."""

    request_queue_size = 128

    def __init__(self, host: str, port: int, handler: type[StrictHandler]) -> None:
        try:
            super().__init__((host, port), handler)
        except OSError as error:
            text = f"{host}:{port}: {reason(error)}; name another address or port"
            raise OSError(text) from error
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


class StrictHandler(BaseHTTPRequestHandler):
    """Reads requests for a StrictServer; those of no known length, or of several, are refused."""

    server: StrictServer
    rfile: Any  # a BufferedReader
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60  # seconds without a byte

    def finish(self) -> None:
        """The connection is done."""
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the URLs hold tokens."""

    def handle_one_request(self) -> None:
        """One that takes too long ends here for us."""
        self.rfile.peek(1)
        self._clock = threading.Timer(WHOLE, self.connection.shutdown, [socket.SHUT_RD])
        self._clock.daemon = True
        self._clock.start()
        try:
            super().handle_one_request()
        finally:
            self._clock.cancel()

    def whole_request(self, limit: int) -> Request | Answer:
        """The request, its body of at most so many bytes; or why not, and then it is closed."""
        body = self._body(limit)
        self._clock.cancel()
        if isinstance(body, Answer):
            self.close_connection = True
            return body
        path, _, query = self.path.partition("?")
        return Request(f"{self.command} {path}", dict(parse_qsl(query)), self.headers, body)

    def _body(self, limit: int) -> bytes | Answer:
        lengths = self.headers.get_all("Content-Length", ["0"] if self.command == "GET" else [])
        if any(isinstance(defect, _NO_HEADERS) for defect in self.headers.defects):
            return Answer(400, {"error": "a line among the headers is none"})
        if not "".join(self.headers.values()).replace("\t", "").isprintable():
            return Answer(400, {"error": "a header has control characters, or several lines"})
        if len(lengths) > 1 or self.request_version not in ("HTTP/1.0", "HTTP/1.1"):
            return Answer(400, {"error": "one Content-Length, and HTTP 1.1, are needed"})
        declared = "".join(lengths)
        is_number = declared.isascii() and declared.isdigit()
        if "Transfer-Encoding" in self.headers or not is_number:
            return Answer(411, {"error": "Content-Length is needed, and it alone"})
        if self.command == "GET" and int(declared[:10]):
            return Answer(400, {"error": "a GET has no body"})
        if int(declared[:10]) > limit:
            return Answer(413, {"error": f"more than {limit} bytes"})
        body = self.rfile.read(int(declared))
        return body if len(body) == int(declared) else Answer(400, {"error": "the body was cut"})

    def send_head(self, status: int, headers: Mapping[str, str], length: int) -> None:
        """All of an answer but its body of so many bytes."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

"""A local service that looks like others from outside: for dry runs, tests and benches.

Not for production: it trusts everybody.
"""

from __future__ import annotations

import contextlib
import math
import random
import socket
import socketserver
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from ..core.roles import Label
from ..services import Service, ask
from ..storage.files import reason
from .formats import all_formats
from .wire import Answer, Refused, Request, WireFormat

FAULTS = ("timeout", "reset", "429", "500", "503", "malformed", "truncated", "expired", "slow")
BODY_LIMIT = 16 * 2**20  # bytes
_RETRY_AFTER = {429: "0", 503: "1"}  # seconds, by HTTP status


class Server(ThreadingHTTPServer):
    """`service` behind the wire formats of five others, within a `with`.

    `latency` is in seconds, `bandwidth` in bits a second. After `quota` images each further one
    gets the error of the format. A share `error_rate` of all requests gets a fault instead, one of
    `faults` that the format can have; timeout and slow take `hold` seconds.

    Counts `requests`; `answered`, the images labelled, as they would be billed; and `faults`.
    Raises OSError where it cannot listen on `host` and `port`; 0 is any free port.
    """

    request_queue_size = 128

    def __init__(
        self,
        service: Service,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        latency: float = 0.0,
        bandwidth: float = math.inf,
        quota: float = math.inf,
        error_rate: float = 0.0,
        faults: Sequence[str] = FAULTS,
        hold: float = 30.0,
        seed: int = 0,
    ) -> None:
        if unknown := set(faults) - set(FAULTS):
            raise ValueError(f"faults {sorted(unknown)} are not known; there are: {FAULTS}")
        super().__init__((host, port), _Handler)
        self.address = str(self.server_address[0])
        # 0.0.0.0 stands for all addresses of this machine
        named = "127.0.0.1" if self.address == "0.0.0.0" else self.address
        self.url = f"http://{named}:{self.server_address[1]}"
        self.service = service
        self.latency, self.bandwidth, self.quota, self.hold = latency, bandwidth, quota, hold
        self.formats = all_formats()
        self.requests = self.answered = 0
        self.faults: Counter[str] = Counter()
        self.connections: set[socket.socket] = set()
        self._ended = threading.Event()
        self.sleep: Callable[[float], object] = self._ended.wait  # so that none outlives us
        self.error_rate, self._kinds, self._random = error_rate, faults, random.Random(seed)
        self.counting, self._classifying = threading.Lock(), threading.Lock()

    def server_bind(self) -> None:
        """Without asking a name server who we are, which may take long."""
        socketserver.TCPServer.server_bind(self)

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):  # that clients keep open
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._classifying.acquire(timeout=10)  # for good: no thread may be in there at exit

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is no error of ours."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def draw(self, wire: WireFormat) -> str | None:
        """The fault that a request gets, if any."""
        with self.counting:
            kinds = [kind for kind in self._kinds if kind != "expired" or kind in wire.errors]
            if not kinds or self._random.random() >= self.error_rate:
                return None
            kind = self._random.choice(kinds)
            self.faults[kind] += 1
            return kind

    def answer(self, wire: WireFormat, request: Request) -> Answer:
        """What the service says in a format, or why it says nothing."""

        def classify(payload: bytes) -> list[Label]:
            with self._classifying:
                if self.answered >= self.quota:
                    raise Refused(wire.errors["quota"].answer)
                labels = ask(self.service, payload)
                self.answered += 1
                return labels

        try:
            return wire.answer(request, classify)
        except Exception as error:  # of the service's own code
            print(f"adacompress: {reason(error)}", file=sys.stderr, flush=True)
            return wire.errors["500"].answer


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the URLs hold tokens."""

    def do_POST(self) -> None:
        with self.server.counting:
            self.server.requests += 1
        body = self._body()
        if isinstance(body, Answer):
            self.close_connection = True
            return self._send(body)
        self.server.sleep(self.server.latency + 8 * len(body) / self.server.bandwidth)
        path, _, query = self.path.partition("?")
        request = Request(f"{self.command} {path}", dict(parse_qsl(query)), self.headers, body)
        for wire in self.server.formats:
            if wire.claims(request):
                return self._reply(wire, request, self.server.draw(wire))
        self._send(Answer(404, {"error": "no service has this path"}))

    do_GET = do_POST

    def _body(self) -> bytes | Answer:
        declared = self.headers.get("Content-Length", "0" if self.command == "GET" else "")
        if not declared.isdecimal():
            return Answer(411, {"error": "Content-Length is needed"})
        if int(declared[:10]) > BODY_LIMIT:
            return Answer(413, {"error": f"more than {BODY_LIMIT} bytes"})
        body = self.rfile.read(int(declared))
        return body if len(body) == int(declared) else Answer(400, {"error": "the body was cut"})

    def _reply(self, wire: WireFormat, request: Request, fault: str | None) -> None:
        if fault == "timeout":
            self.server.sleep(self.server.hold)
            self.close_connection = True
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)  # for 0 seconds: closing sends RST, not FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            socket.close(self.connection.detach())  # else it would be shut down first, by FIN
            self.close_connection = True
        elif fault == "malformed":
            self._send(Answer(200, "<html>out of order</html>"))
        elif fault and fault in wire.errors:
            self._send(wire.error(fault, request))
        else:
            self._send(self.server.answer(wire, request), fault)

    def _send(self, answer: Answer, fault: str | None = None) -> None:
        kind, body = answer.encoded()
        length = len(body)
        if fault == "truncated":
            body = body[: length // 2]
            if self.server.faults[fault] % 2:  # every other time not even the length tells
                length = len(body)
            self.close_connection = True
        self.send_response(answer.status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        if answer.status in _RETRY_AFTER:
            self.send_header("Retry-After", _RETRY_AFTER[answer.status])
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if fault == "slow":
            for number in body:
                self.wfile.write(bytes([number]))
                self.server.sleep(self.server.hold / length)
        else:
            self.wfile.write(body)

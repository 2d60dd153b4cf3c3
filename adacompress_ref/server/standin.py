"""A local service that looks like others from outside: for dry runs, tests and benches.

Not for production: it trusts everybody.
"""

from __future__ import annotations

import math
import random
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence

from ..core.roles import Label
from ..services import Service, ask
from ..storage.files import reason
from .formats import all_formats
from .strict import StrictHandler, StrictServer
from .wire import Answer, Refused, Request, WireFormat

FAULTS = ("timeout", "reset", "429", "500", "503", "malformed", "truncated", "expired", "slow")
BODY_LIMIT = 16 * 2**20  # bytes
_RETRY_AFTER = {429: "0", 503: "1"}  # seconds, by HTTP status


class Server(StrictServer):
    """`service` behind the wire formats of five others, within a `with`.

    `latency` is in seconds, `bandwidth` in bits a second. After `quota` images each further one
    gets the error of the format. A share `error_rate` of all requests gets a fault instead, one of
    `faults` that the format can have; timeout and slow take `hold` seconds.

    Counts `requests`; `answered`, the images labelled, as they would be billed; and `faults`.
    Raises OSError where it cannot listen on `host` and `port`; 0 is any free port.
    """

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
        super().__init__(host, port, _Handler)
        self.service = service
        self.latency, self.bandwidth, self.quota, self.hold = latency, bandwidth, quota, hold
        self.formats = all_formats()
        self.requests = self.answered = 0
        self.faults: Counter[str] = Counter()
        self._ended = threading.Event()
        self.sleep: Callable[[float], object] = self._ended.wait  # so that none outlives us
        self.error_rate, self._kinds, self._random = error_rate, faults, random.Random(seed)
        self.counting, self._classifying = threading.Lock(), threading.Lock()

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.stop()
        self.cut()
        self._classifying.acquire(timeout=10)  # for good: no thread may be in there at exit

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


class _Handler(StrictHandler):
    server: Server

    def do_POST(self) -> None:
        with self.server.counting:
            self.server.requests += 1
        request = self.whole_request(BODY_LIMIT)
        if isinstance(request, Answer):
            return self._send(request)
        self.server.sleep(self.server.latency + 8 * len(request.body) / self.server.bandwidth)
        for wire in self.server.formats:
            if wire.claims(request):
                return self._reply(wire, request, self.server.draw(wire))
        self._send(Answer(404, {"error": "no service has this path"}))

    do_GET = do_POST

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
        headers = {"Content-Type": kind}
        if answer.status in _RETRY_AFTER:
            headers["Retry-After"] = _RETRY_AFTER[answer.status]
        self.send_head(answer.status, headers, length)
        if fault == "slow":
            for number in body:
                self.wfile.write(bytes([number]))
                self.server.sleep(self.server.hold / length)
        else:
            self.wfile.write(body)

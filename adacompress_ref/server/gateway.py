"""Between clients that stay as they are and their service: images leave smaller, answers come back.

Its own credentials go to the service, none of the clients'. It fetches nothing and keeps no image.
"""

from __future__ import annotations

import math
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from threading import Condition
from typing import Any
from urllib.parse import urlsplit

from ..running.traffic import Traffic
from ..services import AccountError, AuthenticationError, ProtocolError, ServiceError, in_background
from ..services.http import Response, is_loopback
from ..services.rekognition import Rekognition
from ..storage.files import ImageError, reason
from .clients import Asked, AskedService, RekognitionClients
from .strict import StrictHandler, StrictServer
from .wire import Answer, Refused, Request

VIA = "adacompress"
BODIES = 256 * 2**20  # bytes of all requests together
LAST = 0.5  # seconds to tell clients that there is no more time


class Gateway(StrictServer):
    """`traffic` to a service for `clients`, of which at most so many at once.

    An answer, or a 503, comes within `deadline` seconds. Requests for other hosts than its address
    and those in `names`, which a proxy may have, are refused. `say` gets messages for people.
    Counts requests by `outcomes`.

    Raises OSError where it cannot listen, ValueError where its address is not safe or its service
    is itself.
    """

    def __init__(
        self,
        traffic: Traffic,
        service: Rekognition,
        clients: RekognitionClients,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        names: Collection[str] = (),
        most: int = 64,
        deadline: float = 45.0,
        say: Callable[[str], None] = print,
    ) -> None:
        super().__init__(host, port, _Handler)
        self.traffic, self.service, self.clients = traffic, service, clients
        self.names, self.most, self.deadline, self.say = names, most, deadline, say
        self.outcomes: Counter[str] = Counter()
        self.idle, self.working, self.held = Condition(), 0, 0  # requests, bytes of their bodies
        self.ending = False
        self._ended: Future[None] = Future()
        self._said = ""
        try:
            self._check()
        except ValueError:
            self.server_close()
            raise
        service.transport.say_via(VIA)

    def _check(self) -> None:
        here = f"//{self.address}"
        if not is_loopback(here) and not self.clients.token:
            raise ValueError(
                f"--listen {self.address}: open to other machines; set ADACOMPRESS_GATEWAY_TOKEN, "
                "which clients then have to know"
            )
        parts = urlsplit(self.service.endpoint)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        itself = parts.hostname == self.address or is_loopback(self.service.endpoint)
        if itself and port == self.server_address[1]:
            raise ValueError(
                f"{self.service.endpoint}: the gateway itself; name the service with --upstream"
            )

    def process_request(self, request: Any, client_address: Any) -> None:
        """A new connection, unless there are too many."""
        if len(self.connections) < self.most:
            return super().process_request(request, client_address)
        status, headers, body = self._unavailable()
        lines = [f"HTTP/1.1 {status} Service Unavailable", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request.sendall(
            "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
        )
        self.shutdown_request(request)

    def close(self, drain: float) -> None:
        """No more connections; what is under way gets `drain` seconds, then 503. Then save."""
        self.ending = True
        self.stop()
        with self.idle:
            self.idle.wait_for(lambda: not self.working, drain)
            self._ended.set_result(None)
            self.idle.wait_for(lambda: not self.working, LAST)
        self.cut()
        self.traffic.close()

    def reply(self, request: Request, is_there: Callable[[], bool]) -> Response:
        """What a client gets. `is_there`: whether it still waits."""
        try:
            asked = self.clients.read(request)
        except Refused as refused:
            return self._of("refused", refused.answer)
        except ImageError:
            return self._of("refused", self.clients.wire.errors["image"].answer)
        until = time.monotonic() + self.deadline

        def may_send() -> bool:
            return time.monotonic() < until and not self._ended.done() and is_there()

        work = in_background(lambda: self._ask(AskedService(self.service, asked, may_send), asked))
        futures: list[Future[Any]] = [work, self._ended]
        wait(futures, self.deadline, FIRST_COMPLETED)
        if not work.done():
            return self._unavailable()
        try:
            return work.result()
        except Exception as error:  # such as a full disk: nothing was paid for
            self._tell(reason(error))
            return self._unavailable()

    def _ask(self, service: AskedService, asked: Asked) -> Response:
        """The service's answer, to the image as it is where it is not ours to change."""
        try:
            if asked.image is not None:
                try:
                    _, payload = self.traffic.upload(asked.image, service)
                    return self._through("labelled", service.answers[payload])
                except ImageError:
                    pass  # the service says what it thinks of it
                except ServiceError as error:
                    if not service.unsent(error):
                        raise
            return self._through("unchanged", service.pass_on())
        except ServiceError as error:
            return self._failed(error, service.errors.get(error))

    def _failed(self, error: ServiceError, response: Response | None) -> Response:
        """An error as the service said it, unless it is about us, or damaged."""
        ours = isinstance(error, AuthenticationError)
        damaged = isinstance(error, ProtocolError) and error.retryable
        if isinstance(error, AccountError) or response is None or damaged:
            self._tell(str(error))
        if ours:
            return self._of("unavailable", self.clients.wire.errors["500"].answer)
        if response is None or damaged:
            return self._unavailable(error.retry_after)
        status, headers, body = self._through("failed", response)
        if error.retryable:
            headers = {"retry-after": "1", **headers}
        return status, headers, body

    def _through(self, outcome: str, response: Response) -> Response:
        """An answer of the service, with those of its headers that are the client's affair."""
        self.outcomes[outcome] += 1
        status, headers, body = response
        return status, {n: v for n, v in headers.items() if n in self.clients.kept_headers}, body

    def _of(self, outcome: str, answer: Answer) -> Response:
        self.outcomes[outcome] += 1
        kind, body = answer.encoded()
        return answer.status, {"content-type": kind}, body

    def _unavailable(self, retry_after: float | None = None) -> Response:
        """The service's own 503."""
        status, headers, body = self._of("unavailable", self.clients.wire.errors["503"].answer)
        return status, {**headers, "retry-after": str(math.ceil(retry_after or 1))}, body

    def _tell(self, text: str) -> None:
        if text != self._said:  # once, not for each image
            self._said = text
            self.say(f"adacompress: {text}")


class _Handler(StrictHandler):
    server: Gateway

    def do_POST(self) -> None:
        self._held = 0
        with self.server.idle:
            self.server.working += 1
        try:
            self._send(*self._reply())
        finally:
            with self.server.idle:
                self.server.working -= 1
                self.server.held -= self._held
                self.server.idle.notify_all()

    do_GET = do_POST

    def may_hold(self, size: int) -> bool:
        with self.server.idle:
            if self.server.held + size > BODIES:
                return False
            self._held = size
            self.server.held += size
            return True

    def _reply(self) -> Response:
        if answer := self._foreign():
            self.close_connection = True
            return self.server._of("refused", answer)
        request = self.whole_request(self.server.clients.body_limit)
        if isinstance(request, Answer):
            if request.status == 503:
                return self.server._unavailable()
            return self.server._of("refused", request)
        return self.server.reply(request, self._is_there)

    def _foreign(self) -> Answer | None:
        """Why a request is not for us: of a web page, for another host, or our own."""
        hosts = self.headers.get_all("Host", [])
        if VIA in " ".join(self.headers.get_all("Via", [])):
            return Answer(508, {"error": "the gateway's service is a gateway"})
        if "Origin" in self.headers:
            return Answer(403, {"error": "not for web pages"})
        if len(hosts) != 1 or not self.path.startswith("/") or not self._is_ours(hosts[0]):
            return Answer(421, {"error": "for another host"})
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        if parts.netloc != host or "@" in host:
            return False
        itself = is_loopback(f"//{host}") or name == self.server.address
        return name in self.server.names or (itself and port == self.server.server_address[1])

    def _is_there(self) -> bool:
        """Whether the client has not closed the connection."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

    def _send(self, status: int, headers: Any, body: bytes) -> None:
        self.close_connection |= self.server.ending
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.title(), value)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

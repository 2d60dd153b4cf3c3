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
from functools import partial
from threading import Condition
from typing import Any
from urllib.parse import urlsplit

from ..running.traffic import Traffic
from ..services import AuthenticationError, ProtocolError, ServiceError, in_background
from ..services.endpoint import is_loopback
from ..services.http import Response
from ..storage.files import ImageError, reason
from .clients import Asked, AskedService, Client
from .strict import StrictHandler, StrictServer
from .wire import Answer, Refused, Request

VIA = "adacompress"
HELD = 256 * 2**20  # bytes of all requests that are under way
KEPT_HEADERS = ("content-type", "retry-after", "x-amzn-requestid", "x-amzn-errortype")
LAST = 0.5  # seconds to tell clients that there is no more time


class Gateway(StrictServer):
    """`traffic` to a service of `services` for those that speak as `client` has it.

    At most so many `clients` at once; each gets an answer, or 503, within `deadline` seconds. Those
    that call it by another name than its address and `names` are refused. `say` gets messages;
    `answers` counts statuses.

    Raises OSError where it cannot listen, ValueError where that is not safe or the service is this
    gateway itself.
    """

    def __init__(
        self,
        traffic: Traffic,
        client: Client,
        service: Any,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        names: Collection[str] = (),
        clients: int = 64,
        deadline: float = 45.0,
        say: Callable[[str], None] = print,
    ) -> None:
        if not client.token and not is_loopback(f"//{host}"):
            raise ValueError(f"--listen {host}: for other machines set ADACOMPRESS_GATEWAY_TOKEN")
        super().__init__(host, port, _Handler)
        self.traffic, self.client, self.service = traffic, client, service
        self.clients, self.deadline, self.say = clients, deadline, say
        port = self.server_address[1]
        own = {f"{name}:{port}" for name in ("127.0.0.1", "[::1]", "localhost", host)}
        self.names = own | {*names}
        self.idle, self.working, self.ending = Condition(), 0, False
        self.held, self.answers = 0, Counter[int]()
        self.body_limit = client.wire.largest * 4 // 3 + 2**16  # bytes: in base64, and all else
        self._ended: Future[Any] = Future()
        if urlsplit(service.endpoint).netloc in self.names:
            self.server_close()
            raise ValueError(f"{service.endpoint}: the gateway itself; name another --upstream")
        service.transport.say_via(VIA)

    def process_request(self, request: Any, client_address: Any) -> None:
        """A new connection, unless there are too many."""
        if len(self.connections) < self.clients:
            return super().process_request(request, client_address)
        status, headers, body = self.unavailable()
        self.answers[status] += 1
        lines = [f"HTTP/1.1 {status} Service Unavailable", f"Content-Length: {len(body)}"]
        lines += ["Connection: close", *(f"{name}: {value}" for name, value in headers.items())]
        request.sendall("\r\n".join([*lines, "", ""]).encode() + body)
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
            asked = self.client.read(request)
        except Refused as refused:
            return _response(refused.answer)
        until = time.monotonic() + self.deadline

        def may_send() -> bool:
            return time.monotonic() < until and not self._ended.done() and is_there()

        def ask(one: Asked) -> Response:
            service = AskedService(self.service, self.client, one, may_send)
            try:
                return _kept(self._ask(service, one.image))
            except ServiceError as error:
                return self._failed(error, service.responses.get(error))
            except Exception as error:  # such as a full disk: nothing was paid for
                self.say(f"adacompress: {reason(error)}")
                return self.unavailable()

        works = [in_background(partial(ask, one)) for one in asked]
        work = in_background(lambda: self.client.joined([each.result() for each in works]))
        wait([work, self._ended], self.deadline, FIRST_COMPLETED)
        return work.result() if work.done() else self.unavailable()

    def _ask(self, service: AskedService, image: bytes | None) -> Response:
        """Send an image, or as it is what is not ours to change. Raises ServiceError."""
        if image is not None:
            try:
                return service.responses[self.traffic.upload(image, service)[1]]
            except ImageError:  # the service says what it thinks of it
                pass
            except ServiceError as error:
                if error.sent:
                    raise
        return service.as_it_is()

    def _failed(self, error: ServiceError, response: Response | None) -> Response:
        """An error as the service said it, unless it is about our credentials, or damaged."""
        if isinstance(error, AuthenticationError):
            response = _response(self.client.wire.errors["500"].answer)
        elif response and not (isinstance(error, ProtocolError) and error.retryable):
            status, headers, body = _kept(response)
            soon = {"retry-after": "1"} if error.retryable else {}
            return status, {**soon, **headers}, body
        else:
            response = self.unavailable(error.retry_after)
        self.say(f"adacompress: {error}")
        return response

    def unavailable(self, retry_after: float | None = None) -> Response:
        """The service's own 503."""
        status, headers, body = _response(self.client.wire.errors["503"].answer)
        return status, {**headers, "retry-after": str(math.ceil(retry_after or 1))}, body


def _kept(response: Response) -> Response:
    """An answer of the service, with those of its headers that are the client's affair."""
    status, headers, body = response
    return status, {name: headers[name] for name in KEPT_HEADERS if name in headers}, body


def _response(answer: Answer) -> Response:
    kind, body = answer.encoded()
    return answer.status, {"content-type": kind}, body


class _Handler(StrictHandler):
    server: Gateway

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        size = min(int(length[:10]), self.server.body_limit) if length.isdecimal() else 0
        with self.server.idle:
            self.server.working += 1
            self.server.held += size
            is_full = self.server.held > HELD
        try:
            status, headers, body = self._reply(is_full)
            with self.server.idle:
                self.server.answers[status] += 1
            self.close_connection |= self.server.ending
            self.send_head(status, headers, len(body))
            self.wfile.write(body)
        finally:
            with self.server.idle:
                self.server.working -= 1
                self.server.held -= size
                self.server.idle.notify_all()

    do_GET = do_POST

    def _reply(self, is_full: bool) -> Response:
        request: Request | Answer | None = self._foreign()
        if not request and not is_full:
            request = self.whole_request(self.server.body_limit)
        if isinstance(request, Request):
            return self.server.reply(request, self._is_there)
        self.close_connection = True
        return _response(request) if request else self.server.unavailable()

    def _foreign(self) -> Answer | None:
        """Why a request is not for us: sent on by us, of a web page, or for another host."""
        hosts = self.headers.get_all("Host", [])
        if VIA in " ".join(self.headers.get_all("Via", [])):
            return Answer(508, {"error": "the gateway's service is a gateway"})
        if "Origin" in self.headers:
            return Answer(403, {"error": "not for web pages"})
        if len(hosts) != 1 or hosts[0] not in self.server.names or self.path[0] != "/":
            return Answer(421, {"error": "for another host; see --name"})
        return None

    def _is_there(self) -> bool:
        """Whether the client has not closed the connection."""
        try:
            readable, _, _ = select.select([self.connection], [], [], 0)
            return not readable or bool(self.connection.recv(1, socket.MSG_PEEK))
        except (OSError, ValueError):
            return False

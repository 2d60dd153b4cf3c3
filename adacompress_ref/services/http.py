"""The one transport of all clients: sessions, deadlines, retries, pace and a circuit breaker.

A client is two pure functions, `build_request(...) -> Request` and
`parse_response(status, headers, body) -> labels`; everything that may fail on the way is here.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests

from ..storage.files import printable
from .breaker import Breaker
from .errors import AuthenticationError, ProtocolError, ServiceError, UnavailableError
from .settings import check_endpoint, is_loopback

DEADLINE = 20.0  # seconds for one try, from the name lookup to the last byte of the answer
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # seconds between tries; half of it in the mean
ANSWER_LIMIT = 4 * 2**20  # bytes

T = TypeVar("T")


class _WithoutTokens(logging.Filter):
    """What urllib3 logs holds URLs, and they hold Baidu's tokens."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = re.sub(r"(access_token=)[^&\s)\"]+", r"\1***", record.getMessage())
        record.args, record.exc_info = (), None
        return True


for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_WithoutTokens())


class Request(NamedTuple):
    """What is sent. `url` may hold a token: it is shown nowhere."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class Response(NamedTuple):
    """What came back; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests to one service, called `name` in messages. Safe to share between threads.

    `deadline` is in seconds for one try; `rate` the most requests a second; `secrets` appear in no
    message, even if the server repeats them.
    """

    def __init__(
        self,
        name: str,
        *,
        deadline: float = DEADLINE,
        tries: int = TRIES,
        rate: float | None = None,
        secrets: Iterable[str] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name, self.deadline, self.tries = name, deadline, max(1, tries)
        self.gap = 1 / rate if rate else 0.0  # seconds between requests
        self.secrets = {secret for secret in secrets if secret}
        self.breaker = Breaker()
        self._sleep = sleep
        self._idle: deque[requests.Session] = deque()
        self._next = 0.0  # when the next request may go
        self._fault = ""  # the latest, for when nothing is tried
        self._lock = threading.Lock()

    def call(self, build: Callable[[], Request], parse: Callable[[int, Mapping, bytes], T]) -> T:
        """What `parse` makes of the answer, after retries where they may help.

        `build` is called for each try, as signatures and tokens age. Raises ServiceError.
        """
        last: ServiceError | None = None
        for number in range(self.tries):
            if last:
                self._sleep(_pause(number, last))
            if wait := self.breaker.wait():
                text = f"{self._fault or f'{self.name}: does not answer'}; next try in {wait:.0f} s"
                raise UnavailableError(text, wait, sent=last is not None) from last
            self._keep_pace()
            try:
                answer = parse(*self.exchange(self._built(build)))
            except ServiceError as error:
                error.args = (self.without_secrets(str(error)),)
                self.breaker.note(not error.retryable, error.retry_after or 0.0)
                self._fault = str(error)
                if not error.retryable or (error.retry_after or 0.0) > LONGEST_PAUSE:
                    raise
                last = error
            else:
                self.breaker.note(True)
                return answer
        assert last is not None
        raise last

    def _built(self, build: Callable[[], Request]) -> Request:
        try:
            return build()
        except UnicodeError as error:  # not its text, which holds the secret
            raise _explained(self.name, "", error) from None

    def exchange(self, request: Request) -> Response:
        """One try. Raises ServiceError where there is no answer at all, or no end of it."""
        done: Future[Response] = Future()
        # A thread, as neither a name lookup nor a server that sends a byte now and then has a
        # timeout of its own. One that comes too late finds nobody waiting.
        threading.Thread(target=self._exchange, args=(request, done), daemon=True).start()
        try:
            return done.result(self.deadline)
        except FutureTimeout:
            raise UnavailableError(
                f"{self.name}: no whole answer within {self.deadline:g} s"
            ) from None

    def _exchange(self, request: Request, done: Future[Response]) -> None:
        late = time.monotonic() + self.deadline
        try:
            session = self._idle.pop()
        except IndexError:
            session = requests.Session()
        try:
            check_endpoint(request.url)
            session.trust_env = not is_loopback(request.url)  # no proxy to this machine itself
            with session.request(
                request.method,
                request.url,
                data=request.body,
                headers={
                    "Accept-Encoding": "identity",
                    "User-Agent": "adacompress",
                    **request.headers,
                },
                timeout=self.deadline,
                auth=lambda prepared: prepared,  # else a .netrc would replace our Authorization
                allow_redirects=False,  # credentials go to the host that was named, or nowhere
                stream=True,
            ) as response:
                body = bytearray()
                for part in response.iter_content(256):
                    body += part
                    if time.monotonic() > late:
                        return  # nobody waits any more
                    if len(body) > ANSWER_LIMIT:
                        raise ProtocolError(
                            f"{self.name}: an answer without end; check the endpoint"
                        )
                declared = response.headers.get("Content-Length", "")
                packed = "Content-Encoding" in response.headers
                if declared.isdigit() and len(body) < int(declared) and not packed:
                    raise ProtocolError(f"{self.name}: the answer was cut off")
                headers = {name.lower(): value for name, value in response.headers.items()}
                answer = Response(response.status_code, headers, bytes(body))
            self._idle.append(session)
            done.set_result(answer)
        except ServiceError as error:
            done.set_exception(error)
        except Exception as error:  # not its text, which holds the URL
            done.set_exception(_explained(self.name, request.url, error))

    def _keep_pace(self) -> None:
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self.gap
        if start > now:
            self._sleep(start - now)

    def without_secrets(self, text: str) -> str:
        """`text` with each secret replaced by stars, also one whose end was cut off."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            cut = re.escape(secret[:8]) + r"\S*" if len(secret) > 8 else re.escape(secret)
            text = re.sub(cut, "***", text, flags=re.IGNORECASE)
        return text


def _pause(number: int, error: ServiceError) -> float:
    """Exponential back-off with full jitter, or longer where the server asks for it."""
    most = min(LONGEST_PAUSE, FIRST_PAUSE * 2**number)
    return max(random.uniform(0, most), (error.retry_after or 0.0))


def _explained(name: str, url: str, error: Exception) -> ServiceError:
    host = printable(urlsplit(url).netloc.rpartition("@")[2])
    if isinstance(error, (requests.exceptions.InvalidHeader, UnicodeError)):
        return AuthenticationError(
            f"{name}: the credentials have letters that cannot be sent; check them"
        )
    if isinstance(error, requests.exceptions.SSLError):
        return AuthenticationError(
            f"{name}: {host} cannot prove who it is (TLS); check the clock and the CA certificates"
        )
    if isinstance(error, requests.Timeout):
        return UnavailableError(f"{name}: {host} does not answer in time; check the network")
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return UnavailableError(
            f"{name}: the connection to {host} failed or was lost; check network and endpoint"
        )
    return ProtocolError(f"{name}: {host} cannot be spoken to ({type(error).__name__})")

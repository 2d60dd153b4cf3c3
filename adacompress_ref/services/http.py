"""The one transport of all clients: sessions, deadlines, retries, pace and a circuit breaker.

A client is two pure functions, `build_request(...) -> Request` and
`parse_response(status, headers, body) -> labels`; everything that may fail on the way is here.
"""

from __future__ import annotations

import ipaddress
import json
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests

from ..controller import Label
from ..files import printable, reason
from .errors import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ServiceError,
    UnavailableError,
)

DEADLINE = 20.0  # seconds for one try, from the name lookup to the last byte of the answer
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # seconds between tries; half of it in the mean
OPENS_AFTER = 8  # failures in a row
FIRST_REST, LONGEST_REST = 1.0, 60.0  # seconds for which an open circuit lets nothing through
ANSWER_LIMIT = 4 * 2**20  # bytes

T = TypeVar("T")


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


class Breaker:
    """Lets nothing through for a while after so many failures in a row, then one try at a time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.failures, self.rest, self.closed_until = 0, FIRST_REST, 0.0
        self._lock = threading.Lock()

    def wait(self) -> float:
        """Seconds until a request may be tried; where it is 0, the caller has that try."""
        with self._lock:
            if self.failures < OPENS_AFTER:
                return 0.0
            left = self.closed_until - self.clock()
            if left <= 0:
                self.closed_until = self.clock() + self.rest  # others wait for this one
            return max(0.0, left)

    def note(self, answered: bool, retry_after: float = 0.0) -> None:
        """What became of a try; a refusal is an answer too."""
        with self._lock:
            if answered:
                self.failures, self.rest = 0, FIRST_REST
                return
            self.failures += 1
            if self.failures >= OPENS_AFTER:
                self.closed_until = self.clock() + max(self.rest, retry_after)
                self.rest = min(2 * self.rest, LONGEST_REST)


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
                raise UnavailableError(
                    f"{self.name}: does not answer; next try in {wait:.0f} s", wait
                ) from last
            self._keep_pace()
            try:
                answer = parse(*self.exchange(self._built(build)))
            except ServiceError as error:
                error.args = (self.without_secrets(str(error)),)
                self.breaker.note(not error.retryable, _must_wait(error))
                if not error.retryable or _must_wait(error) > LONGEST_PAUSE:
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
        except UnicodeError:  # not its text, which holds the secret
            raise AuthenticationError(
                f"{self.name}: the credentials have letters that cannot be sent; check them"
            ) from None

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
        try:
            session = self._idle.pop()
        except IndexError:
            session = requests.Session()
        try:
            check_endpoint(request.url)
            session.trust_env = not _is_loopback(request.url)  # no proxy to this machine itself
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
                body = b""
                for part in response.iter_content(2**16):
                    body += part
                    if len(body) > ANSWER_LIMIT:
                        raise ProtocolError(
                            f"{self.name}: an answer without end; check the endpoint"
                        )
                declared = response.headers.get("Content-Length", "")
                if declared.isdigit() and len(body) < int(declared):
                    raise ProtocolError(f"{self.name}: the answer was cut off")
                headers = {name.lower(): value for name, value in response.headers.items()}
                answer = Response(response.status_code, headers, body)
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
            text = re.sub(re.escape(secret[:8]) + r"\S*", "***", text)
        return text


def _must_wait(error: ServiceError) -> float:
    return getattr(error, "retry_after", None) or 0.0


def _pause(number: int, error: ServiceError) -> float:
    """Exponential back-off with full jitter, or longer where the server asks for it."""
    most = min(LONGEST_PAUSE, FIRST_PAUSE * 2**number)
    return max(random.uniform(0, most), _must_wait(error))


def _explained(name: str, url: str, error: Exception) -> ServiceError:
    host = printable(urlsplit(url).netloc.rpartition("@")[2])
    if isinstance(error, requests.exceptions.SSLError):
        return AuthenticationError(
            f"{name}: {host} cannot prove who it is (TLS); check the clock and the CA certificates"
        )
    if isinstance(error, requests.Timeout):
        return UnavailableError(f"{name}: {host} does not answer in time")
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return UnavailableError(f"{name}: the connection to {host} failed or was lost")
    return ProtocolError(f"{name}: {host} cannot be spoken to ({type(error).__name__})")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_endpoint(url: str) -> str:
    """`url` itself. Raises AuthenticationError where credentials would travel unencrypted."""
    try:
        parts = urlsplit(url)
        safe = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", url)
        safe = safe and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(url)))
    except ValueError:  # a URL that is none
        safe = False
    if not safe:
        raise AuthenticationError(
            f"{shown(url.partition('?')[0])}: no https URL; credentials go over TLS, "
            "or to this machine itself"
        )
    return url


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, given as a number or as a date."""
    said = headers.get("retry-after", "").strip()
    if said.isdigit() and said.isascii():
        return float(said[:9])
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def read_json(name: str, body: bytes) -> dict[str, Any]:
    """The JSON object in an answer. Raises ProtocolError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"{name}: the answer is not JSON ({reason(error)})") from error
    if not isinstance(value, dict):
        raise ProtocolError(f"{name}: the answer is no JSON object: {shown(value)}")
    return value


def read_answer(name: str, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The JSON object in an answer. Raises what its status means where it holds none."""
    try:
        return read_json(name, body)
    except ProtocolError:
        check_status(name, status, headers)
        raise


def shown(value: object) -> str:
    """What a server said, short and safe to show."""
    return printable(f"{value!s:.200}")


def check_status(name: str, status: int, headers: Mapping[str, str], said: object = "") -> None:
    """Raises what a status other than 2xx means for any service; `said` is the server's reason."""
    if 200 <= status < 300:
        return
    text = f"{name}: HTTP status {status}" + (f" ({shown(said)})" if said else "")
    if status == 429 or status >= 500:
        raise UnavailableError(text, retry_after(headers))
    if status in (401, 403):
        raise AuthenticationError(f"{text}; check the credentials")
    if status == 402:
        raise QuotaError(f"{text}; check the account")
    if status in (408, 425):
        raise UnavailableError(text)
    if status in (413, 415):
        raise RefusedError(f"{text}: it does not take this image")
    if 300 <= status < 400:
        raise AuthenticationError(f"{text}: redirected, which is not followed; check the endpoint")
    raise ProtocolError(text, retryable=False)


def read_labels(
    name: str, items: object, label: str, score: str, scale: float = 1.0
) -> list[Label]:
    """Labels from a list of objects with these two fields, best first; scores over `scale`.

    Raises ProtocolError where the list is of another shape.
    """
    if not isinstance(items, list):
        raise ProtocolError(f"{name}: the answer has no list of labels: {shown(items)}")
    labels = []
    for item in items:
        found: dict[str, Any] = item if isinstance(item, dict) else {}
        text, number = found.get(label), found.get(score, "")
        try:
            value = float(str(number)) / scale  # Baidu gives numbers or text
        except ValueError:
            value = float("nan")
        if not isinstance(text, str) or not 0 <= value <= 1 + 1e-6:
            raise ProtocolError(f"{name}: no label with a score: {shown(item)}")
        text = text.encode("utf-8", "replace").decode()  # half a surrogate pair is no letter
        labels.append(Label(text, min(value, 1.0)))
    return sorted(labels, key=lambda each: -each.score)

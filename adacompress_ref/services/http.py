"""The one way of all clients to their service: endpoint and credentials, deadlines, retries, pace.

A client is two pure functions, `build_request(...) -> requests.Request` and
`parse_response(status, headers, body) -> labels`; everything that may fail on the way is here.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests import Request

from ..storage.files import printable
from . import in_background
from .answers import shown
from .errors import AuthenticationError, ProtocolError, ServiceError, UnavailableError

DEADLINE = 20.0  # seconds for one try, from the name lookup to the last byte of the answer
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # seconds between tries; half of it in the mean
RESTS_AFTER = 8  # failures in a row
FIRST_REST, LONGEST_REST = 1.0, 60.0  # seconds without a request
ANSWER_LIMIT = 4 * 2**20  # bytes

T = TypeVar("T")
Response = tuple[int, Mapping[str, str], bytes]  # status, headers by names in lower case, body


def _without_tokens(record: logging.LogRecord) -> bool:
    """What urllib3 logs holds URLs, and they hold Baidu's tokens."""
    record.msg = re.sub(r"(access_token=)[^&\s)\"]+", r"\1***", record.getMessage())
    record.args, record.exc_info = (), None
    return True


for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_without_tokens)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_credentials(name: str, *variables: str) -> list[str]:
    """From the environment, without the line ends of mounted files.

    Raises AuthenticationError naming what is missing.
    """
    found = [os.environ.get(variable, "").strip() for variable in variables]
    if not all(found):
        raise AuthenticationError(f"{name}: no credentials; set {' and '.join(variables)}")
    return found


def check_endpoint(url: str) -> str:
    """`url` itself. Raises AuthenticationError where credentials would travel unencrypted."""
    try:
        parts = urlsplit(url)
        safe = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s|@", url)
        safe = safe and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))
    except ValueError:  # a URL that is none
        safe = False
    if not safe:
        place = url.rpartition("@")[2].partition("?")[0]  # no credentials
        raise AuthenticationError(
            f"{shown(place)}: no endpoint; it takes an https URL without credentials in it, or "
            "http to this machine itself"
        )
    return url


class Transport:
    """Sends requests to one service, called `name` in messages. Safe to share between threads.

    `deadline` is in seconds for one try; `rate` the most requests a second; `secrets` appear in no
    message, even if the server repeats them.

    Where the same request may succeed later (lost connections, faults of the server, damaged
    answers), it is made again after a random pause that doubles in the mean, or as long as the
    server asks; after `tries`, or where the server asks for more than LONGEST_PAUSE, the error is
    raised. After eight failures in a row, over all uploads, nothing is sent for a second: whoever
    would raises the latest fault at once, with the seconds left. Then one try goes through. If it
    fails, the rest is twice as long, up to a minute or what the server asks for; any answer, also
    a refusal, ends it. Who waits for a service that is away is the caller's affair.
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
        self.secrets: set[str] = set()
        self.hide(secrets)
        self._sleep = sleep
        self._session = requests.Session()
        self._session.headers = {"Accept-Encoding": "identity", "User-Agent": "adacompress"}
        self._session.auth = lambda prepared: prepared  # else a .netrc would replace ours
        self._next = 0.0  # when the next request may go
        self._failures, self._fault = 0, ""  # in a row, and the latest
        self._rest, self._rests_until = FIRST_REST, 0.0
        self._lock = threading.Lock()

    def hide(self, secrets: Iterable[str]) -> None:
        """Let these be in no message either."""
        # a set of its own, as another thread may be going through the old one
        self.secrets = self.secrets | {secret for secret in secrets if secret}

    def call(
        self, build: Callable[[], Request], parse: Callable[[int, Mapping[str, str], bytes], T]
    ) -> T:
        """What `parse` makes of the answer, after retries where they may help.

        `build` is called for each try, as signatures and tokens age. Raises ServiceError.
        """
        last: ServiceError | None = None
        for number in range(self.tries):
            if last:
                pause = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**number))
                self._sleep(max(pause, last.retry_after or 0.0))
            self._wait_for_turn(last)
            try:
                answer = parse(*self.exchange(build()))
            except UnicodeError as error:  # of building; not its text, which holds the secret
                raise _explained(self.name, "", error) from None
            except ServiceError as error:
                error.args = (self.without_secrets(str(error)),)
                self._note(error)
                if not error.retryable or (error.retry_after or 0.0) > LONGEST_PAUSE:
                    raise
                last = error
            else:
                self._note(None)
                return answer
        assert last is not None
        raise last

    def _wait_for_turn(self, last: ServiceError | None) -> None:
        """Until the pace allows a request. Raises UnavailableError while the service rests."""
        with self._lock:
            now = time.monotonic()
            if self._failures >= RESTS_AFTER:
                if (left := self._rests_until - now) > 0:
                    text = f"{self._fault}; next try in {left:.0f} s"
                    raise UnavailableError(text, retry_after=left, sent=last is not None) from last
                self._rests_until = now + self._rest  # others wait for this one
            wait = self._next - now
            self._next = max(now, self._next) + self.gap
        if wait > 0:
            self._sleep(wait)

    def _note(self, error: ServiceError | None) -> None:
        """What became of a try; a refusal is an answer too."""
        with self._lock:
            if error is None or not error.retryable:
                self._failures, self._rest = 0, FIRST_REST
                return
            self._failures, self._fault = self._failures + 1, str(error)
            if self._failures >= RESTS_AFTER:
                seconds = max(self._rest, error.retry_after or 0.0)
                self._rests_until = time.monotonic() + seconds
                self._rest = min(2 * self._rest, LONGEST_REST)

    def exchange(self, request: Request) -> Response:
        """One try. Raises ServiceError where there is no answer at all, or no end of it."""
        # A thread, as neither a name lookup nor a server that sends a byte now and then has a
        # timeout of its own. One that comes too late finds nobody waiting.
        late = time.monotonic() + self.deadline
        try:
            answer = in_background(lambda: self._exchange(request, late))
            return answer.result(self.deadline)
        except FutureTimeout:
            raise UnavailableError(
                f"{self.name}: no whole answer within {self.deadline:g} s"
            ) from None

    def _exchange(self, request: Request, late: float) -> Response:
        url = request.url
        try:
            check_endpoint(url)
            self._session.trust_env = not is_loopback(url)  # no proxy to this machine itself
            options: dict[str, Any] = {
                "timeout": self.deadline,
                "allow_redirects": False,  # credentials go to the host that was named, or nowhere
                **self._session.merge_environment_settings(url, {}, True, None, None),
            }
            prepared = self._session.prepare_request(request)
            with self._session.send(prepared, **options) as response:
                body = self._whole_body(response, late)
        except ServiceError:
            raise
        except Exception as error:  # not its text, which holds the URL
            raise _explained(self.name, url, error) from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status_code, headers, body

    def _whole_body(self, response: requests.Response, late: float) -> bytes:
        body = bytearray()
        for part in response.iter_content(256):
            body += part
            if time.monotonic() > late:
                raise UnavailableError(f"{self.name}: too late; nobody waits any more")
            if len(body) > ANSWER_LIMIT:
                raise ProtocolError(f"{self.name}: an answer without end; check the endpoint")
        declared = response.headers.get("Content-Length", "")
        packed = "Content-Encoding" in response.headers
        if declared.isdigit() and len(body) < int(declared) and not packed:
            raise ProtocolError(f"{self.name}: the answer was cut off")
        return bytes(body)

    def without_secrets(self, text: str) -> str:
        """`text` with each secret replaced by stars, also one whose end was cut off."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            cut = re.escape(secret[:8]) + r"\S*" if len(secret) > 8 else re.escape(secret)
            text = re.sub(cut, "***", text, flags=re.IGNORECASE)
        return text


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

"""The one way of all clients to their service: endpoint and credentials, deadlines, retries, pace.

A client is two pure functions, `build_request(...) -> requests.Request` and
`parse_response(status, headers, body) -> labels`; everything that may fail on the way is here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests import PreparedRequest, Request
from requests.utils import get_environ_proxies, select_proxy

from ..storage.files import printable, reason
from . import in_background
from .answers import shown
from .errors import AuthenticationError, ProtocolError, ServiceError, UnavailableError

DEADLINE = 20.0  # seconds for one try, from the name lookup to the last byte of the answer
SLOWEST = 64_000 / 8  # bytes a second of an uplink that has to do: seconds more for what is sent
KEPT, IDLE = 5.0, 30.0  # seconds for an answer over a kept connection, and that one is kept
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # seconds between tries; half of it in the mean
AWAY_AFTER = 8  # failures in a row
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

    `deadline` is in seconds for one try, besides those that its bytes may take; `rate` the most
    requests a second; `secrets` appear in no message, even if the server repeats them.

    Where the same request may succeed later (lost connections, faults of the server, damaged
    answers), it is made again after a random pause that doubles in the mean; after `tries` the
    error is raised. What the server asks for with Retry-After binds all requests: they wait for up
    to LONGEST_PAUSE, or else raise UnavailableError at once, with the seconds left. From the eighth
    failure in a row on, over all uploads, the service is away: each upload gets one try, and they
    wait 1, 2, 4, then 8 seconds for it, so that none is refused for another's fault. Any answer,
    also a refusal, ends that. Who waits for a service that is away is the caller's affair.
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
        self._closed_until = 0.0  # as the server asked, or while it is away
        self._keeps, self._answered, self._slowest = True, -IDLE, 0.0  # connections; the latest
        self.ahead = 0.0  # seconds that the server's clock is before ours
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
        pause = 0.0
        for number in range(1, self.tries + 1):
            self._wait_for_turn(pause)
            try:
                answer = parse(*self.exchange(build()))
            except UnicodeError as error:  # of building; not its text, which holds the secret
                raise _explained(self.name, "", error) from None
            except ServiceError as error:
                error.args = (self.without_secrets(str(error)),)
                self._note(error)
                is_last = number == self.tries or self._failures >= AWAY_AFTER
                if is_last or not error.retryable or (error.retry_after or 0.0) > LONGEST_PAUSE:
                    raise
                pause = random.uniform(0, min(LONGEST_PAUSE, FIRST_PAUSE * 2**number))
            else:
                self._note(None)
                return answer
        raise AssertionError

    def _wait_for_turn(self, pause: float) -> None:
        """Until pace and server allow a request. Raises UnavailableError where that is long."""
        with self._lock:
            now = time.monotonic()
            if (left := self._closed_until - now) > LONGEST_PAUSE:
                text = f"{self._fault}; next try in {left:.0f} s"
                raise UnavailableError(text, retry_after=left, sent=pause > 0)
            turn = max(now + pause, self._next, self._closed_until)
            self._next = turn + self.gap
        if turn > now:
            self._sleep(turn - now)

    def _note(self, error: ServiceError | None) -> None:
        """What became of a try; a refusal is an answer too."""
        with self._lock:
            if error is None or not error.retryable:
                self._failures = 0
                return
            self._failures, self._fault = self._failures + 1, str(error)
            beyond = self._failures - AWAY_AFTER
            rest = 2.0 ** min(beyond, 3) if beyond >= 0 else 0.0
            until = time.monotonic() + max(rest, error.retry_after or 0.0)
            self._closed_until = max(self._closed_until, until)

    def exchange(self, request: Request) -> Response:
        """One try. Raises ServiceError where there is no answer at all, or no end of it."""
        # A thread, as neither a name lookup nor a server that sends a byte now and then has a
        # timeout of its own. One that comes too late finds nobody waiting.
        try:
            check_endpoint(request.url)
            prepared = self._session.prepare_request(request)
        except ServiceError:
            raise
        except Exception as error:  # not its text, which holds the URL
            raise _explained(self.name, request.url, error) from None
        started, patience = time.monotonic(), self.deadline
        if started - self._answered > IDLE:  # who is between may have forgotten the connection
            self._session.close()
        elif self._keeps:  # it may be dead; then a new one is made
            patience = min(patience, KEPT + 2 * self._slowest)
        patience += len(prepared.body or b"") / SLOWEST
        try:
            answer = in_background(lambda: self._exchange(prepared, patience)).result(patience)
        except FutureTimeout:
            if patience < self.deadline:
                self._keeps, self._session.headers["Connection"] = False, "close"
            raise UnavailableError(
                f"{self.name}: no whole answer within {patience:.0f} s"
            ) from None
        self._answered = time.monotonic()
        self._slowest = max(self._slowest, self._answered - started)
        with contextlib.suppress(ValueError, TypeError):
            self.ahead = parsedate_to_datetime(answer[1].get("date", "")).timestamp() - time.time()
        return answer

    def _exchange(self, prepared: PreparedRequest, patience: float) -> Response:
        url, late = str(prepared.url), time.monotonic() + patience
        try:
            options: dict[str, Any] = {
                "timeout": patience,
                "allow_redirects": False,  # credentials go to the host that was named, or nowhere
                **self._session.merge_environment_settings(url, {}, True, None, None),
            }
            if is_loopback(url):  # no proxy to this machine itself
                options["proxies"] = {}
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
    if isinstance(error, (requests.exceptions.ProxyError, requests.exceptions.InvalidSchema)):
        chosen = select_proxy(url, get_environ_proxies(url)) or ""
        proxy = urlsplit(chosen).netloc.rpartition("@")[2]
        place, text = f"{name}: the proxy {printable(proxy)}", str(error)
        if "407" in text or "SOCKS" in text:
            fault = "needs PySocks" if "SOCKS" in text else "wants other credentials"
            return AuthenticationError(f"{place} {fault}; see HTTPS_PROXY")
        return UnavailableError(f"{place} does not answer, or refuses {host}; check HTTPS_PROXY")
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return AuthenticationError(
            f"{name}: no CA certificates ({reason(error)}); check REQUESTS_CA_BUNDLE"
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

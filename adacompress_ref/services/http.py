"""The one way of all clients to their service: endpoint and credentials, deadlines, retries, pace.

A client is two pure functions, `build_request(...) -> requests.Request` and
`parse_response(status, headers, body) -> labels`; everything that may fail on the way is here.
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import requests
from requests import PreparedRequest, Request

from . import in_background
from .endpoint import check_endpoint, explained, is_loopback
from .errors import ProtocolError, ServiceError, UnavailableError

DEADLINE = 20.0  # seconds for one try, from the name lookup to the last byte of the answer
SLOWEST = 64_000 / 8  # bytes a second of an uplink that has to do: seconds more for what is sent
KEPT, IDLE = 5.0, 30.0  # seconds for an answer over a kept connection, and that one is kept
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # seconds between tries; half of it in the mean
AWAY_AFTER = 8  # failures in a row
ANSWER_LIMIT = 4 * 2**20  # bytes

T = TypeVar("T")
Response = tuple[int, Mapping[str, str], bytes]  # status, headers by names in lower case, body
Parse = Callable[[int, Mapping[str, str], bytes], T]


def _without_tokens(record: logging.LogRecord) -> bool:
    """What urllib3 logs holds URLs, and they hold Baidu's tokens."""
    record.msg = re.sub(r"(access_token=)[^&\s)\"]+", r"\1***", record.getMessage())
    record.args, record.exc_info = (), None
    return True


for _name in ("urllib3.connectionpool", "urllib3.connection"):
    logging.getLogger(_name).addFilter(_without_tokens)


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

    def say_via(self, name: str) -> None:
        """Let requests tell whose they are that we send on, so that none goes in a circle."""
        self._session.headers["Via"] = f"1.1 {name}"

    def hide(self, secrets: Iterable[str]) -> None:
        """Let these be in no message either."""
        # a set of its own, as another thread may be going through the old one
        self.secrets = self.secrets | {secret for secret in secrets if secret}

    def call(self, build: Callable[[], Request], parse: Parse[T]) -> T:
        """What `parse` makes of the answer, after retries where they may help.

        `build` is called for each try, as signatures and tokens age. Raises ServiceError.
        """
        pause = 0.0
        for number in range(1, self.tries + 1):
            self._wait_for_turn(pause)
            try:
                answer = parse(*self.exchange(build()))
            except UnicodeError as error:  # of building; not its text, which holds the secret
                raise explained(self.name, "", error) from None
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
            raise explained(self.name, request.url, error) from None
        started, patience = time.monotonic(), self.deadline
        if started - self._answered > IDLE:  # who is between may have forgotten the connection
            self._session.close()
        elif self._keeps:  # it may be dead; then a new one is made
            patience = min(patience, KEPT + 2 * self._slowest)
        patience += len(prepared.body or b"") / SLOWEST
        try:
            # its own end comes later, so that it is always here that patience ends
            answer = in_background(lambda: self._exchange(prepared, patience + 1)).result(patience)
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
            raise explained(self.name, url, error) from None
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

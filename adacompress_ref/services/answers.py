"""What is common to the answers of all services: JSON, errors by their codes, labels."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from ..core.roles import Label
from ..storage.files import printable, reason
from .errors import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ServiceError,
    UnavailableError,
)

LONGEST_WAIT = 3600.0  # seconds that a server may ask for

# What errors mean: which they are here, what is to be done, and the codes that mean this, with
# spaces between them. The first row that fits holds. Each service has such a table.
Meanings = Iterable[tuple[type[ServiceError], str, str]]
STATUSES: Meanings = (  # of HTTP, which all have in common
    (AuthenticationError, "check the credentials", "401 403"),
    (AuthenticationError, "the proxy wants credentials; check HTTPS_PROXY", "407"),
    (AuthenticationError, "redirected, which is not followed; check the endpoint", "3xx"),
    (QuotaError, "check the account", "402"),
    (UnavailableError, "try again later", "408 425 429 5xx"),
    (RefusedError, "send another image", "413 415"),
    (ProtocolError, "check the endpoint, and the service's manual", "0xx 1xx 4xx"),
)


class Answer:
    """What the service called `name` said: the `fields` of a JSON object.

    Making one, and all methods, may raise ServiceError.
    """

    def __init__(self, name: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.name, self.status, self.headers = name, status, headers
        try:
            self.fields: dict[str, Any] = json.loads(body)
        except (ValueError, RecursionError) as error:
            self.check_status()
            raise ProtocolError(f"{name}: the answer is not JSON ({reason(error)})") from error
        if not isinstance(self.fields, dict):
            self.check_status()
            raise ProtocolError(f"{name}: the answer is no JSON object: {shown(self.fields)}")

    def check_status(self, said: object = "") -> None:
        """Raises what a status other than 2xx means; `said` is the server's reason."""
        if not 200 <= self.status < 300:
            text = f"HTTP status {self.status}" + (f" ({said})" if said else "")
            self.fail(text, STATUSES, str(self.status), f"{min(self.status // 100, 5)}xx")

    def fail(self, said: object, meanings: Meanings, *codes: str) -> NoReturn:
        """Raises what an error with one of these codes means; else what the status does."""
        for kind, advice, known in meanings:
            if not set(codes).isdisjoint(known.split()):
                error = kind(f"{self.name}: {shown(said)}; {advice}")
                error.retryable = kind is UnavailableError  # others stay as they are
                error.retry_after = retry_after(self.headers)
                raise error
        self.check_status(said)
        text = f"{self.name}: {shown(said)}; look it up in the service's manual"
        raise ProtocolError(text, retryable=False)

    def labels(self, items: object, label: str, score: str, scale: float = 1.0) -> list[Label]:
        """Labels from a list of objects with these two fields, best first; scores over `scale`.

        Raises ProtocolError where the list is of another shape.
        """
        if not isinstance(items, list):
            raise ProtocolError(f"{self.name}: the answer has no list of labels: {shown(items)}")
        labels = []
        for item in items:
            fields: dict[str, Any] = item if isinstance(item, dict) else {}
            name, number = fields.get(label), fields.get(score, "")
            try:
                value = float(str(number)) / scale  # Baidu gives numbers or text
            except ValueError:
                value = float("nan")
            if not isinstance(name, str) or not 0 <= value <= 1 + 1e-6:
                raise ProtocolError(f"{self.name}: no label with a score: {shown(item)}")
            name = name.encode("utf-8", "replace").decode()  # half a surrogate pair is no letter
            labels.append(Label(name, min(value, 1.0)))
        return sorted(labels, key=lambda label: -label.score)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, given as a number or as a date."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit() and value.isascii():
        return min(float(value[:9]), LONGEST_WAIT)
    try:
        now = _seconds(headers["date"]) if "date" in headers else time.time()  # by the same clock
        return min(max(0.0, _seconds(value) - now), LONGEST_WAIT)
    except (TypeError, ValueError, OverflowError):
        return None


def _seconds(date: str) -> float:
    """Since the epoch; a date without a zone, as of asctime, is UTC."""
    when = parsedate_to_datetime(date)
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()


def shown(value: object) -> str:
    """What a server said, short and safe to show."""
    return f"{printable(f'{value!s:.200}'):.200}"

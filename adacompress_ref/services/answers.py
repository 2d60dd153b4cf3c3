"""What is common to the answers of all services: JSON, statuses, labels with scores."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from ..core.controller import Label
from ..storage.files import printable, reason
from .errors import AuthenticationError, ProtocolError, QuotaError, RefusedError, UnavailableError

LONGEST_WAIT = 3600.0  # seconds that a server may ask for


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait, given as a number or as a date."""
    said = headers.get("retry-after", "").strip()
    if said.isdigit() and said.isascii():
        return min(float(said[:9]), LONGEST_WAIT)
    try:
        left = parsedate_to_datetime(said).timestamp() - time.time()
        return min(max(0.0, left), LONGEST_WAIT)  # either clock may be wrong
    except (TypeError, ValueError, OverflowError):
        return None


def read_answer(name: str, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The JSON object in an answer. Raises what the status means where there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        check_status(name, status, headers)
        raise ProtocolError(f"{name}: the answer is not JSON ({reason(error)})") from error
    if not isinstance(value, dict):
        check_status(name, status, headers)
        raise ProtocolError(f"{name}: the answer is no JSON object: {shown(value)}")
    return value


def shown(value: object) -> str:
    """What a server said, short and safe to show."""
    return f"{printable(f'{value!s:.200}'):.200}"


def check_status(name: str, status: int, headers: Mapping[str, str], said: object = "") -> None:
    """Raises what a status other than 2xx means for any service; `said` is the server's reason."""
    if 200 <= status < 300:
        return
    text = f"{name}: HTTP status {status}" + (f" ({shown(said)})" if said else "")
    if status == 429 or status >= 500:
        raise UnavailableError(f"{text}; try again later", retry_after(headers))
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
    raise ProtocolError(f"{text}; check the endpoint, and the service's manual", retryable=False)


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

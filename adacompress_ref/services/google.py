"""Google Cloud Vision, label detection with an API key."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any, NoReturn

from ..core.controller import Label
from .answers import check_status, read_answer, read_labels, retry_after, shown
from .errors import AuthenticationError, ProtocolError, QuotaError, RefusedError, UnavailableError
from .http import Request, Transport
from .settings import check_endpoint, find_credentials

NAME = "google"
ENDPOINT = "https://vision.googleapis.com"
ANSWERS = 10  # twice as many as the agreement looks at
CODES = {
    "3": "INVALID_ARGUMENT",
    "4": "DEADLINE_EXCEEDED",
    "7": "PERMISSION_DENIED",
    "8": "RESOURCE_EXHAUSTED",
    "13": "INTERNAL",
    "14": "UNAVAILABLE",
    "16": "UNAUTHENTICATED",
}


class GoogleVision:
    """The service at GOOGLE_VISION_ENDPOINT, for the project of GOOGLE_API_KEY.

    `network` goes to Transport. Raises AuthenticationError where credentials are missing.
    """

    name = NAME
    formats = ("jpeg", "webp", "png")
    max_bytes = 7_499_000  # 10 MB as JSON
    max_pixels = 75_000_000
    side_by_side = True

    def __init__(self, **network: Any) -> None:
        (self._key,) = find_credentials(NAME, "GOOGLE_API_KEY")
        self.endpoint = check_endpoint(os.environ.get("GOOGLE_VISION_ENDPOINT") or ENDPOINT)
        self.transport = Transport(NAME, secrets=(self._key,), **network)

    def label(self, payload: bytes) -> list[Label]:
        """The ten best labels of an encoded image. Raises ServiceError."""
        return self.transport.call(
            lambda: build_request(self.endpoint, self._key, payload), parse_response
        )


def build_request(endpoint: str, key: str, payload: bytes) -> Request:
    """A request for the labels of an encoded image; the key is a header, as URLs get logged."""
    image = {"content": base64.b64encode(payload).decode()}
    features = [{"type": "LABEL_DETECTION", "maxResults": ANSWERS}]
    body = json.dumps({"requests": [{"image": image, "features": features}]}).encode()
    headers = {"Content-Type": "application/json", "X-Goog-Api-Key": key}
    return Request("POST", f"{endpoint.rstrip('/')}/v1/images:annotate", headers, body)


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
    """The labels in an answer; there may be none. Raises ServiceError."""
    fields = read_answer(NAME, status, headers, body)
    answers = fields.get("responses")
    answer = answers[0] if isinstance(answers, list) and answers else None
    for holder in (fields, answer):  # an error of the whole request, or of its one image
        if isinstance(holder, dict) and holder.get("error"):
            _raise(holder["error"], status, headers)
    check_status(NAME, status, headers)
    if not isinstance(answer, dict):
        raise ProtocolError(f"{NAME}: an answer without responses: {shown(fields)}")
    return read_labels(NAME, answer.get("labelAnnotations", []), "description", "score")


def _raise(error: object, status: int, headers: Mapping[str, str]) -> NoReturn:
    details = error if isinstance(error, dict) else {"message": error}
    kind = str(details.get("status") or CODES.get(str(details.get("code")), ""))
    said = f"{kind}: {details.get('message')}"
    text = f"{NAME}: {shown(said)}"
    if kind in ("PERMISSION_DENIED", "UNAUTHENTICATED") or "API_KEY_INVALID" in str(details):
        raise AuthenticationError(
            f"{text}; check GOOGLE_API_KEY, and that its project has the Vision API and billing on"
        )
    if kind == "INVALID_ARGUMENT":
        raise RefusedError(f"{text}; send another image")
    if kind == "RESOURCE_EXHAUSTED" and any(word in said.lower() for word in ("daily", "per day")):
        raise QuotaError(f"{text}; raise the quota, or wait for the next day")
    if kind in ("RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE"):
        raise UnavailableError(f"{text}; try again later", retry_after(headers))
    check_status(NAME, status, headers, said)
    raise ProtocolError(f"{text}; look it up in the service's manual", retryable=False)

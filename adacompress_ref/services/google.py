"""Google Cloud Vision, label detection with an API key."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from typing import Any

from requests import Request

from ..core.roles import Label
from .answers import Answer, Meanings, shown
from .endpoint import check_endpoint, find_credentials
from .errors import AuthenticationError, ProtocolError, QuotaError, RefusedError, UnavailableError
from .http import Parse, T, Transport

NAME = "google"
ENDPOINT = "https://vision.googleapis.com"
OPERATION = "v1/images:annotate"
LABELS = ("LABEL_DETECTION", 4)  # by name or number
ANSWERS = 10  # twice as many as the agreement looks at
MEANINGS: Meanings = (  # by name, and by number, which is all that an image's error has
    (QuotaError, "raise the quota, or wait for the next day", "DAILY"),
    (
        AuthenticationError,
        "check GOOGLE_API_KEY, and that its project has the Vision API and billing on",
        "PERMISSION_DENIED 7 UNAUTHENTICATED 16 API_KEY_INVALID",
    ),
    (RefusedError, "send another image", "INVALID_ARGUMENT 3"),
    (
        UnavailableError,
        "try again later",
        "DEADLINE_EXCEEDED 4 RESOURCE_EXHAUSTED 8 INTERNAL 13 UNAVAILABLE 14",
    ),
)


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
        features = [{"type": LABELS[0], "maxResults": ANSWERS}]
        fields = with_image({"requests": [{"features": features}]}, payload)
        return self.send(OPERATION, fields, parse_response)

    def send(self, operation: str, fields: Mapping[str, Any], parse: Parse[T]) -> T:
        """What `parse` makes of the answer to a path and fields. Raises ServiceError."""
        return self.transport.call(
            lambda: build_request(self.endpoint, self._key, operation, fields), parse
        )


def with_image(fields: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
    """The fields of a request for one image, which is this encoded one."""
    image = {"content": base64.b64encode(payload).decode()}
    return {**fields, "requests": [{**fields["requests"][0], "image": image}]}


def build_request(endpoint: str, key: str, operation: str, fields: Mapping[str, Any]) -> Request:
    """A request of these fields; the key is a header, as URLs get logged."""
    url = f"{endpoint.rstrip('/')}/{operation}"
    return Request("POST", url, {"X-Goog-Api-Key": key}, json=fields)


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
    """The labels in an answer; there may be none. Raises ServiceError."""
    answer = Answer(NAME, status, headers, body)
    images = answer.fields.get("responses")
    image = images[0] if isinstance(images, list) and images else None
    for holder in (answer.fields, image):  # an error of the whole request, or of its one image
        if isinstance(holder, dict) and (error := holder.get("error")):
            details = error if isinstance(error, dict) else {"message": error}
            code = str(details.get("status") or details.get("code"))
            said = f"{code}: {details.get('message')}"
            if "API_KEY_INVALID" in str(details):
                code = "API_KEY_INVALID"
            elif code in ("RESOURCE_EXHAUSTED", "8") and re.search("(?i)daily|per day", said):
                code = "DAILY"
            answer.fail(said, MEANINGS, code)
    answer.check_status()
    if not isinstance(image, dict):
        raise ProtocolError(f"{NAME}: an answer without responses: {shown(answer.fields)}")
    return answer.labels(image.get("labelAnnotations", []), "description", "score")

"""Face++, detectsceneandobject: what is in an image and where it was taken."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from requests import Request

from ..core.roles import Label
from .answers import Answer, Meanings
from .endpoint import check_endpoint, find_credentials
from .errors import AuthenticationError, QuotaError, RefusedError, UnavailableError
from .http import Parse, T, Transport

NAME = "facepp"
ENDPOINT = "https://api-cn.faceplusplus.com"
MEANINGS: Meanings = (
    (QuotaError, "top up the account", "BALANCE"),
    (RefusedError, "send another image", "IMAGE"),
    (UnavailableError, "try again later", "CONCURRENCY_LIMIT_EXCEEDED INTERNAL_ERROR"),
    (
        AuthenticationError,
        "check FACEPP_API_KEY and FACEPP_API_SECRET",
        "AUTHENTICATION_ERROR AUTHORIZATION_ERROR INSUFFICIENT_PERMISSION",
    ),
)


class FacePP:
    """The service at FACEPP_ENDPOINT, for FACEPP_API_KEY and FACEPP_API_SECRET.

    `network` goes to Transport. Raises AuthenticationError where credentials are missing.
    """

    name = NAME
    formats = ("jpeg", "png")
    max_bytes = 2 * 2**20 - 1024  # 2 MB are for the whole request
    min_side, max_side = 48, 4096
    side_by_side = True

    def __init__(self, **network: Any) -> None:
        self._key, self._secret = find_credentials(NAME, "FACEPP_API_KEY", "FACEPP_API_SECRET")
        self.endpoint = check_endpoint(os.environ.get("FACEPP_ENDPOINT") or ENDPOINT)
        self.transport = Transport(NAME, secrets=(self._key, self._secret), **network)

    def label(self, payload: bytes) -> list[Label]:
        """The objects and scenes of an encoded image. Raises ServiceError."""
        return self.send(payload, {}, parse_response)

    def send(self, payload: bytes, fields: Mapping[str, Any], parse: Parse[T]) -> T:
        """What `parse` makes of the answer to an image with these fields. Raises ServiceError."""
        keys = {"api_key": self._key, "api_secret": self._secret}
        return self.transport.call(
            lambda: build_request(self.endpoint, {**fields, **keys}, payload), parse
        )


def build_request(endpoint: str, fields: Mapping[str, Any], payload: bytes) -> Request:
    """A request for the labels of an encoded image, sent as it is: base64 costs a third more."""
    url = f"{endpoint.rstrip('/')}/imagepp/beta/detectsceneandobject"
    return Request("POST", url, data=fields, files={"image_file": ("image", payload)})


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
    """Objects and scenes in an answer together, best first. Raises ServiceError."""
    answer = Answer(NAME, status, headers, body)
    if "error_message" in answer.fields:
        said = str(answer.fields["error_message"])
        code = said.partition(":")[0].strip()
        if "insufficient account balance" in said.lower():
            code = "BALANCE"
        elif code.startswith(("IMAGE_", "INVALID_IMAGE")):  # its size, format, download
            code = "IMAGE"
        answer.fail(said, MEANINGS, code)
    answer.check_status()
    kinds = [kind for kind in ("objects", "scenes") if kind in answer.fields] or ["objects"]
    best: dict[str, Label] = {}
    for kind in kinds:
        for label in answer.labels(answer.fields.get(kind), "value", "confidence", 100):
            best[label.name] = max(label, best.get(label.name, label))
    return sorted(best.values(), key=lambda label: -label.score)

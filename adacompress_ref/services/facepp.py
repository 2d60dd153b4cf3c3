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
OPERATION = "imagepp/beta/detectsceneandobject"
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
        return self.send(OPERATION, with_image({}, payload), parse_response)

    def send(self, operation: str, fields: Mapping[str, Any], parse: Parse[T]) -> T:
        """What `parse` makes of the answer to a path and fields. Raises ServiceError."""
        keys = {"api_key": self._key, "api_secret": self._secret}
        return self.transport.call(
            lambda: build_request(self.endpoint, operation, {**fields, **keys}), parse
        )


def with_image(fields: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
    """The fields of a request, of this encoded image as it is: base64 costs a third more."""
    others = {name: value for name, value in fields.items() if name != "image_base64"}
    return {**others, "image_file": payload}


def build_request(endpoint: str, operation: str, fields: Mapping[str, Any]) -> Request:
    """A request of these fields; those that have files are called so."""
    files = {name: ("image", value) for name, value in fields.items() if "_file" in name}
    data = {name: value for name, value in fields.items() if name not in files}
    return Request("POST", f"{endpoint.rstrip('/')}/{operation}", data=data, files=files)


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

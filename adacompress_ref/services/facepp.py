"""Face++, detectsceneandobject: what is in an image and where it was taken."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from ..core.controller import Label
from .answers import check_status, read_answer, read_labels, retry_after, shown
from .errors import AuthenticationError, ProtocolError, QuotaError, RefusedError, UnavailableError
from .http import Request, Transport
from .settings import check_endpoint, find_credentials

NAME = "facepp"
ENDPOINT = "https://api-cn.faceplusplus.com"
BUSY = {"CONCURRENCY_LIMIT_EXCEEDED", "INTERNAL_ERROR"}
DENIED = {"AUTHENTICATION_ERROR", "AUTHORIZATION_ERROR", "INSUFFICIENT_PERMISSION"}


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
        return self.transport.call(
            lambda: build_request(self.endpoint, self._key, self._secret, payload), parse_response
        )


def build_request(endpoint: str, key: str, secret: str, payload: bytes) -> Request:
    """A request for the labels of an encoded image, sent as it is: base64 costs a third more."""
    boundary = hashlib.sha256(payload).hexdigest()  # cannot be in what it is the digest of
    parts = {
        'name="api_key"': key.encode(),
        'name="api_secret"': secret.encode(),
        'name="image_file"; filename="image"': payload,
    }
    lines = [
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + value
        for name, value in parts.items()
    ]
    body = b"\r\n".join([*lines, f"--{boundary}--\r\n".encode()])
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    url = f"{endpoint.rstrip('/')}/imagepp/beta/detectsceneandobject"
    return Request("POST", url, headers, body)


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
    """Objects and scenes in an answer together, best first. Raises ServiceError."""
    fields = read_answer(NAME, status, headers, body)
    if "error_message" in fields:
        said = str(fields["error_message"])
        code, text = said.partition(":")[0].strip(), f"{NAME}: {shown(said)}"
        if "insufficient account balance" in said.lower():
            raise QuotaError(f"{text}; top up the account")
        if code in BUSY:
            raise UnavailableError(f"{text}; try again later", retry_after(headers))
        if code in DENIED:
            raise AuthenticationError(f"{text}; check FACEPP_API_KEY and FACEPP_API_SECRET")
        if code.startswith(("IMAGE_", "INVALID_IMAGE")):  # its size, format, download
            raise RefusedError(f"{text}; send another image")
        check_status(NAME, status, headers, said)
        raise ProtocolError(f"{text}; check FACEPP_ENDPOINT", retryable=False)
    check_status(NAME, status, headers)
    lists = [fields[kind] for kind in ("objects", "scenes") if kind in fields] or [None]
    best: dict[str, Label] = {}
    for items in lists:
        for label in read_labels(NAME, items, "value", "confidence", 100):
            best[label.name] = max(label, best.get(label.name, label))
    return sorted(best.values(), key=lambda each: -each.score)

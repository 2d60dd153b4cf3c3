"""Baidu AI Cloud, advanced_general: objects and scenes by their Chinese names."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ..core.controller import Label
from .answers import check_status, read_answer, read_labels, shown
from .errors import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ServiceError,
    UnavailableError,
)
from .http import Request, Transport
from .settings import check_endpoint, find_credentials

NAME = "baidu"
ENDPOINT = "https://aip.baidubce.com"
MARGIN = 60.0  # seconds for which a token must still be good, or a tenth of its lifetime


class TokenError(AuthenticationError):
    """The access token is not taken any more; there may be another."""


MEANINGS: list[tuple[set[str], type[ServiceError], str]] = [
    ({"1", "2", "4", "18", "282000"}, UnavailableError, "try again later"),
    ({"17", "19"}, QuotaError, "buy more requests, or wait for the next day"),
    ({"110", "111"}, TokenError, "check BAIDU_API_KEY and BAIDU_SECRET_KEY"),
    (
        {"6", "13", "14", "15", "100"},
        AuthenticationError,
        "check BAIDU_API_KEY and BAIDU_SECRET_KEY, and that their application has this interface",
    ),
    ({"216200", "216201", "216202"}, RefusedError, "send another image"),
]


class Token(NamedTuple):
    """What stands for the credentials for so many seconds."""

    text: str
    lifetime: float


class Baidu:
    """The service at BAIDU_ENDPOINT, for the application of BAIDU_API_KEY and BAIDU_SECRET_KEY.

    `network` goes to Transport. Raises AuthenticationError where credentials are missing.
    """

    name = NAME
    formats = ("jpeg", "png")
    max_bytes = 6 * 2**20  # 8 MB in base64
    min_side, max_side = 15, 8192
    side_by_side = True

    def __init__(self, **network: Any) -> None:
        self._key, self._secret = find_credentials(NAME, "BAIDU_API_KEY", "BAIDU_SECRET_KEY")
        self.endpoint = check_endpoint(os.environ.get("BAIDU_ENDPOINT") or ENDPOINT)
        self.transport = Transport(NAME, secrets=(self._key, self._secret), **network)
        self._token, self._renew_at = "", 0.0
        self._lock = threading.Lock()

    def label(self, payload: bytes) -> list[Label]:
        """The labels of an encoded image. Raises ServiceError."""
        token = self._access_token()
        try:
            return self._ask(token, payload)
        except TokenError:
            return self._ask(self._access_token(rejected=token), payload)

    def _ask(self, token: str, payload: bytes) -> list[Label]:
        return self.transport.call(
            lambda: build_request(self.endpoint, token, payload), parse_response
        )

    def _access_token(self, rejected: str = "") -> str:
        with self._lock:
            now = time.monotonic()
            if self._token in ("", rejected) or now >= self._renew_at:
                token = self.transport.call(
                    lambda: build_token_request(self.endpoint, self._key, self._secret), parse_token
                )
                # a set of its own, as another thread may be going through the old one
                self.transport.secrets = self.transport.secrets | {token.text}
                self._token = token.text
                self._renew_at = now + token.lifetime - min(MARGIN, token.lifetime / 10)
            return self._token


def _form(url: str, fields: Mapping[str, str]) -> Request:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Request("POST", url, headers, urlencode(fields).encode())


def build_token_request(endpoint: str, key: str, secret: str) -> Request:
    """A request for an access token; the credentials are in the body, as URLs get logged."""
    fields = {"grant_type": "client_credentials", "client_id": key, "client_secret": secret}
    return _form(f"{endpoint.rstrip('/')}/oauth/2.0/token", fields)


def build_request(endpoint: str, token: str, payload: bytes) -> Request:
    """A request for the labels of an encoded image."""
    path = "rest/2.0/image-classify/v2/advanced_general"
    query = urlencode({"access_token": token})
    image = base64.b64encode(payload).decode()
    return _form(f"{endpoint.rstrip('/')}/{path}?{query}", {"image": image})


def parse_token(status: int, headers: Mapping[str, str], body: bytes) -> Token:
    """The access token in an answer. Raises ServiceError."""
    fields = read_answer(NAME, status, headers, body)
    said = fields.get("error_description") or fields.get("error")
    if said and status in (200, 400, 401):
        raise AuthenticationError(
            f"{NAME}: no access token: {shown(said)}; check BAIDU_API_KEY and BAIDU_SECRET_KEY"
        )
    check_status(NAME, status, headers, said)
    token, lifetime = fields.get("access_token"), fields.get("expires_in")
    if (
        not isinstance(token, str)
        or not token
        or not isinstance(lifetime, (int, float))
        or not 0 < lifetime < 1e9
    ):
        raise ProtocolError(f"{NAME}: an answer without access_token and expires_in; try again")
    return Token(token, lifetime)


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
    """The labels in an answer. Raises ServiceError."""
    fields = read_answer(NAME, status, headers, body)
    if "error_code" in fields:  # with HTTP status 200
        code = str(fields["error_code"])
        text = f"{NAME}: error {shown(code)}: {shown(fields.get('error_msg', ''))}"
        for codes, kind, advice in MEANINGS:
            if code in codes:
                raise kind(f"{text}; {advice}")
        if len(code) == 6:  # shorter ones are of the platform, these of this request
            raise RefusedError(f"{text}; look it up in the service's manual")
        raise ProtocolError(f"{text}; look it up in the service's manual", retryable=False)
    check_status(NAME, status, headers)
    return read_labels(NAME, fields.get("result"), "keyword", "score")

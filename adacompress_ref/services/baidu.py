"""Baidu AI Cloud, advanced_general: objects and scenes by their Chinese names."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from requests import Request

from ..core.roles import Label
from .answers import Answer, Meanings, shown
from .endpoint import check_endpoint, find_credentials
from .errors import AuthenticationError, ProtocolError, QuotaError, RefusedError, UnavailableError
from .http import Parse, T, Transport

NAME = "baidu"
ENDPOINT = "https://aip.baidubce.com"
MARGIN = 60.0  # seconds for which a token must still be good, or a tenth of its lifetime


class TokenError(AuthenticationError):
    """The access token is not taken any more; there may be another."""


CHECK_KEYS = "check BAIDU_API_KEY and BAIDU_SECRET_KEY"
MEANINGS: Meanings = (
    (UnavailableError, "try again later", "1 2 4 18 216630 282000"),
    (QuotaError, "buy more requests, or wait for the next day", "17 19"),
    (TokenError, CHECK_KEYS, "110 111"),
    (
        AuthenticationError,
        f"{CHECK_KEYS}, and that their application has this interface",
        "6 13 14 15 100",
    ),
    (RefusedError, "send another image", "216200 216201 216202 OTHER"),
)


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
        return self.send(payload, {}, parse_response)

    def send(self, payload: bytes, fields: Mapping[str, Any], parse: Parse[T]) -> T:
        """What `parse` makes of the answer to an image with these fields. Raises ServiceError."""

        def ask(token: str) -> T:
            return self.transport.call(
                lambda: build_request(self.endpoint, token, payload, fields), parse
            )

        token = self._access_token()
        try:
            return ask(token)
        except TokenError:
            return ask(self._access_token(rejected=token))

    def _access_token(self, rejected: str = "") -> str:
        with self._lock:
            now = time.monotonic()
            if self._token in ("", rejected) or now >= self._renew_at:
                self._token, lifetime = self.transport.call(
                    lambda: build_token_request(self.endpoint, self._key, self._secret), parse_token
                )
                self.transport.hide([self._token])
                self._renew_at = now + lifetime - min(MARGIN, lifetime / 10)
            return self._token


def build_token_request(endpoint: str, key: str, secret: str) -> Request:
    """A request for an access token; the credentials are in the body, as URLs get logged."""
    form = {"grant_type": "client_credentials", "client_id": key, "client_secret": secret}
    return Request("POST", f"{endpoint.rstrip('/')}/oauth/2.0/token", data=form)


def build_request(endpoint: str, token: str, payload: bytes, fields: Mapping[str, Any]) -> Request:
    """A request for the labels of an encoded image."""
    url = f"{endpoint.rstrip('/')}/rest/2.0/image-classify/v2/advanced_general"
    form = {**fields, "image": base64.b64encode(payload)}
    return Request("POST", url, params={"access_token": token}, data=form)


def parse_token(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, float]:
    """The access token in an answer, and its lifetime in seconds. Raises ServiceError."""
    answer = Answer(NAME, status, headers, body)
    said = answer.fields.get("error_description") or answer.fields.get("error")
    if said and status in (200, 400, 401):
        raise AuthenticationError(f"{NAME}: no access token: {shown(said)}; {CHECK_KEYS}")
    answer.check_status(said)
    token, lifetime = answer.fields.get("access_token") or None, answer.fields.get("expires_in")
    if isinstance(token, str) and isinstance(lifetime, (int, float)) and 0 < lifetime < 1e9:
        return token, lifetime
    raise ProtocolError(f"{NAME}: an answer without access_token and expires_in; try again")


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
    """The labels in an answer. Raises ServiceError."""
    answer = Answer(NAME, status, headers, body)
    if "error_code" in answer.fields:  # with HTTP status 200
        code = str(answer.fields["error_code"])
        said = f"error {code}: {answer.fields.get('error_msg', '')}"
        # those of six digits are of this request, shorter ones of the platform
        answer.fail(said, MEANINGS, code, *(["OTHER"] if len(code) == 6 else []))
    answer.check_status()
    return answer.labels(answer.fields.get("result"), "keyword", "score")

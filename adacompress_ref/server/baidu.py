"""Baidu's image recognition, and where its tokens come from, as they are on the wire."""

from __future__ import annotations

import io
import secrets
from typing import Any, ClassVar

from PIL import Image

from .wire_format import Answer, Classify, Refused, Request, WireFormat, decoded, fields


def _baidu(code: int, text: str, status: int = 200) -> Answer:
    return Answer(status, {"error_code": code, "error_msg": text})


class Baidu(WireFormat):
    """Baidu's general image recognition; `tokens` are those that are valid."""

    routes = ("POST /rest/2.0/image-classify/v2/advanced_general",)
    errors: ClassVar = {
        "token": _baidu(110, "Access token invalid or no longer valid"),
        "expired": _baidu(111, "Access token expired"),
        "empty": _baidu(216200, "empty image"),
        "image": _baidu(216201, "image format error"),
        "size": _baidu(216202, "image size error"),
        "quota": _baidu(17, "Open api daily request limit reached"),
        "429": _baidu(18, "Open api qps request limit reached"),
        "500": _baidu(282000, "internal error"),
        "503": _baidu(2, "Service temporarily unavailable", 503),
    }
    largest = 8 * 2**20  # bytes of base64
    shortest, longest = 15, 8192  # pixels of a side

    def __init__(self, tokens: set[str]) -> None:
        self.tokens = tokens

    def environment(self, url: str) -> dict[str, str]:
        """Keys for a token."""
        return {"BAIDU_ENDPOINT": url, "BAIDU_API_KEY": "local", "BAIDU_SECRET_KEY": "local"}

    def expire(self, request: Request) -> Answer:
        """The client has to fetch another token."""
        self.tokens.discard(request.query.get("access_token", ""))
        return super().expire(request)

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if request.query.get("access_token") not in self.tokens:
            raise Refused("token")
        encoded = fields(request).get("image")
        if not encoded:
            raise Refused("empty")
        if len(encoded) > self.largest:
            raise Refused("size")
        payload = decoded(encoded)
        try:
            sides = Image.open(io.BytesIO(payload)).size
        except Exception as error:  # damaged files raise nearly every kind of exception
            raise Refused("image") from error
        if min(sides) < self.shortest or max(sides) > self.longest:
            raise Refused("size")
        found = [
            {"score": label.score, "root": "", "keyword": label.name} for label in classify(payload)
        ]
        return {"log_id": secrets.randbits(60), "result_num": len(found), "result": found}


def _oauth(status: int, code: str, text: str) -> Answer:
    return Answer(status, {"error": code, "error_description": text})


class BaiduTokens(WireFormat):
    """Where Baidu's clients fetch a token; any keys will do."""

    routes = ("GET /oauth/2.0/token", "POST /oauth/2.0/token")
    errors: ClassVar = {
        "grant": _oauth(400, "unsupported_grant_type", "grant_type is not client_credentials"),
        "client": _oauth(401, "invalid_client", "unknown client id"),
        "429": _oauth(429, "temporarily_unavailable", "too many requests"),
        "500": _oauth(500, "server_error", "internal error"),
        "503": _oauth(503, "temporarily_unavailable", "service unavailable"),
    }

    def __init__(self, tokens: set[str]) -> None:
        self.tokens = tokens

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        given = {**request.query, **fields(request)}
        if given.get("grant_type") != "client_credentials":
            raise Refused("grant")
        if not (given.get("client_id") and given.get("client_secret")):
            raise Refused("client")
        token = secrets.token_hex(16)
        self.tokens.add(token)
        return {"access_token": token, "expires_in": 30 * 24 * 3600, "scope": "public"}

"""Baidu's image recognition, and where its tokens come from, as they are on the wire."""

from __future__ import annotations

import io
import secrets
from typing import Any, ClassVar

from PIL import Image

from ..storage.files import ImageError
from .formats import Answer, Classify, Refused, Request, WireFormat, decoded, fields


def _baidu(code: int, text: str, status: int = 200) -> Answer:
    return Answer(status, {"error_code": code, "error_msg": text})


class Baidu(WireFormat):
    """Baidu's general image recognition; `tokens` are those that are valid."""

    routes = ("POST /rest/2.0/image-classify/v2/advanced_general",)
    errors: ClassVar = {
        "expired": _baidu(111, "Access token expired"),
        "image": _baidu(216201, "image format error"),
        "size": _baidu(216202, "image size error"),
        "quota": _baidu(17, "Open api daily request limit reached"),
        "429": _baidu(18, "Open api qps request limit reached"),
        "500": _baidu(282000, "internal error"),
        "503": _baidu(2, "Service temporarily unavailable", 503),
    }
    variables = ("BAIDU_ENDPOINT", "BAIDU_API_KEY", "BAIDU_SECRET_KEY")
    largest = 8 * 2**20  # bytes of base64
    shortest, longest = 15, 8192  # pixels of a side

    def __init__(self, tokens: set[str]) -> None:
        self.tokens = tokens

    def error(self, kind: str, request: Request) -> Answer:
        """A client whose token has expired has to fetch another."""
        if kind == "expired":
            self.tokens.discard(request.query.get("access_token", ""))
        return super().error(kind, request)

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if request.query.get("access_token") not in self.tokens:
            raise Refused(_baidu(110, "Access token invalid or no longer valid"))
        encoded = fields(request).get("image")
        if not encoded:
            raise Refused(_baidu(216200, "empty image"))
        if len(encoded) > self.largest:
            raise Refused(self.errors["size"])
        payload = decoded(encoded)
        try:
            sides = Image.open(io.BytesIO(payload)).size
        except Exception as error:  # damaged files raise nearly every kind of exception
            raise ImageError("no image") from error
        if min(sides) < self.shortest or max(sides) > self.longest:
            raise Refused(self.errors["size"])
        labels = classify(payload)
        result = [{"score": score, "root": "", "keyword": name} for name, score in labels]
        return {"log_id": secrets.randbits(60), "result_num": len(result), "result": result}


def _oauth(status: int, code: str, text: str) -> Answer:
    return Answer(status, {"error": code, "error_description": text})


class BaiduTokens(WireFormat):
    """Where Baidu's clients fetch a token; any keys will do."""

    routes = ("GET /oauth/2.0/token", "POST /oauth/2.0/token")
    errors: ClassVar = {
        "429": _oauth(429, "temporarily_unavailable", "too many requests"),
        "500": _oauth(500, "server_error", "internal error"),
        "503": _oauth(503, "temporarily_unavailable", "service unavailable"),
    }

    def __init__(self, tokens: set[str]) -> None:
        self.tokens = tokens

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        given = {**request.query, **fields(request)}
        if given.get("grant_type") != "client_credentials":
            text = "grant_type is not client_credentials"
            raise Refused(_oauth(400, "unsupported_grant_type", text))
        if not (given.get("client_id") and given.get("client_secret")):
            raise Refused(_oauth(401, "invalid_client", "unknown client id"))
        token = secrets.token_hex(16)
        self.tokens.add(token)
        return {"access_token": token, "expires_in": 30 * 24 * 3600, "scope": "public"}

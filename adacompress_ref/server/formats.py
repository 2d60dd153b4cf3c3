"""Rekognition, Baidu and Face++ on the wire; `wire` has what all share."""

from __future__ import annotations

import io
import json
import secrets
import uuid
import zlib
from typing import Any, ClassVar

from PIL import Image

from ..storage.files import ImageError
from .chat import OpenAI
from .vision import GoogleVision
from .wire import MISSHAPEN, Answer, Classify, Refused, Request, WireFormat, decoded, fields


def aws(code: str, text: str, status: int = 400) -> Refused:
    """An error as Amazon has it."""
    return Refused(Answer(status, {"__type": code, "Message": text}))


class Rekognition(WireFormat):
    """DetectLabels of Amazon Rekognition; signatures are not checked.

    Its credentials do not expire here: a client cannot renew them.
    """

    routes = ("POST /",)
    errors: ClassVar = {
        "image": aws("InvalidImageFormatException", "Request has invalid image format"),
        "quota": aws("ProvisionedThroughputExceededException", "Provisioned rate exceeded"),
        "429": aws("ThrottlingException", "Rate exceeded"),
        "500": aws("InternalServerError", "Internal server error", 500),
        "503": aws("ServiceUnavailableException", "Service unavailable", 503),
    }
    variables = (
        "AWS_ENDPOINT_URL_REKOGNITION",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    )
    largest = 5 * 2**20  # bytes

    def claims(self, request: Request) -> bool:
        """By a header, as all operations have one path."""
        return super().claims(request) and "X-Amz-Target" in request.headers

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if not request.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256"):
            raise aws("MissingAuthenticationTokenException", "Missing Authentication Token")
        if request.headers["X-Amz-Target"] != "RekognitionService.DetectLabels":
            raise aws("UnknownOperationException", "This server knows DetectLabels alone")
        try:
            options = json.loads(request.body)
            encoded, most = options["Image"]["Bytes"], int(options.get("MaxLabels", 1000))
            least = float(options.get("MinConfidence", 55))
            if most < 0 or not 0 <= least <= 100:
                raise ValueError
        except MISSHAPEN as error:
            raise aws("InvalidParameterException", "Request has invalid parameters") from error
        payload = decoded(encoded)
        if len(payload) > self.largest:
            raise aws("ImageTooLargeException", "Image size is too large")
        labels = [
            {"Name": name, "Confidence": 100 * score}
            for name, score in classify(payload)
            if 100 * score >= least
        ]
        return {"Labels": labels[:most], "LabelModelVersion": "3.0"}


def baidu_error(code: int, text: str, status: int = 200) -> Refused:
    """An error as Baidu has it."""
    return Refused(Answer(status, {"error_code": code, "error_msg": text}))


class Baidu(WireFormat):
    """Baidu's general image recognition; `tokens` are those that are valid."""

    routes = ("POST /rest/2.0/image-classify/v2/advanced_general",)
    errors: ClassVar = {
        "expired": baidu_error(111, "Access token expired"),
        "image": baidu_error(216201, "image format error"),
        "quota": baidu_error(17, "Open api daily request limit reached"),
        "429": baidu_error(18, "Open api qps request limit reached"),
        "500": baidu_error(282000, "internal error"),
        "503": baidu_error(2, "Service temporarily unavailable", 503),
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
            raise baidu_error(110, "Access token invalid or no longer valid")
        encoded = fields(request).get("image")
        if not encoded:
            raise baidu_error(216200, "empty image")
        if len(encoded) > self.largest:
            raise baidu_error(216202, "image size error")
        payload = decoded(encoded)
        try:
            sides = Image.open(io.BytesIO(payload)).size
        except Exception as error:  # damaged files raise nearly every kind of exception
            raise ImageError("no image") from error
        if min(sides) < self.shortest or max(sides) > self.longest:
            raise baidu_error(216202, "image size error")
        labels = classify(payload)
        result = [{"score": score, "root": "", "keyword": name} for name, score in labels]
        return {"log_id": secrets.randbits(60), "result_num": len(result), "result": result}


def oauth_error(status: int, code: str, text: str) -> Refused:
    """An error as those who give tokens have it."""
    return Refused(Answer(status, {"error": code, "error_description": text}))


class BaiduTokens(WireFormat):
    """Where Baidu's clients fetch a token; any keys will do."""

    routes = ("GET /oauth/2.0/token", "POST /oauth/2.0/token")
    errors: ClassVar = {
        "429": oauth_error(429, "temporarily_unavailable", "too many requests"),
        "500": oauth_error(500, "server_error", "internal error"),
        "503": oauth_error(503, "temporarily_unavailable", "service unavailable"),
    }

    def __init__(self, tokens: set[str]) -> None:
        self.tokens = tokens

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        given = {**request.query, **fields(request)}
        if given.get("grant_type") != "client_credentials":
            text = "grant_type is not client_credentials"
            raise oauth_error(400, "unsupported_grant_type", text)
        if not (given.get("client_id") and given.get("client_secret")):
            raise oauth_error(401, "invalid_client", "unknown client id")
        token = secrets.token_hex(16)
        self.tokens.add(token)
        return self.given(token)

    @staticmethod
    def given(token: str) -> dict[str, Any]:
        """A token as it is given out, for a month."""
        scope = "public brain_all_scope"  # without the second, Baidu's client signs otherwise
        return {"access_token": token, "expires_in": 30 * 24 * 3600, "scope": scope}


def facepp_error(status: int, text: str) -> Refused:
    """An error as Face++ has it."""
    return Refused(Answer(status, {"error_message": text}))


class FacePP(WireFormat):
    """Scenes and objects of Face++."""

    routes = ("POST /imagepp/beta/detectsceneandobject",)
    errors: ClassVar = {
        "image": facepp_error(400, "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file"),
        "quota": facepp_error(403, "AUTHORIZATION_ERROR:Insufficient Account Balance"),
        "429": facepp_error(403, "CONCURRENCY_LIMIT_EXCEEDED"),
        "500": facepp_error(500, "INTERNAL_ERROR"),
        "503": Refused(Answer(503, "Service Unavailable")),
    }
    variables = ("FACEPP_ENDPOINT", "FACEPP_API_KEY", "FACEPP_API_SECRET")
    largest = 2 * 2**20  # bytes of a request

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if len(request.body) > self.largest:
            raise Refused(Answer(413, "Request Entity Too Large"))
        given = fields(request)
        if not (given.get("api_key") and given.get("api_secret")):
            raise facepp_error(401, "AUTHENTICATION_ERROR")
        if "image_file" in given:
            payload = given["image_file"].encode("latin-1")
        elif "image_base64" in given:
            payload = decoded(given["image_base64"])
        else:
            raise facepp_error(400, "MISSING_ARGUMENTS: image_url, image_file, image_base64")
        lists: dict[str, Any] = {"scenes": [], "objects": []}
        for name, score in classify(payload):
            # so that a client has to read both
            kind = "objects" if zlib.crc32(name.encode()) % 4 else "scenes"
            lists[kind].append({"value": name, "confidence": round(100 * score, 3)})
        request_id = str(uuid.uuid4())
        return {"image_id": request_id, "request_id": request_id, "time_used": 1, **lists}


def all_formats() -> tuple[WireFormat, ...]:
    """One of each, with no tokens given out yet."""
    tokens: set[str] = set()
    return Rekognition(), Baidu(tokens), BaiduTokens(tokens), FacePP(), GoogleVision(), OpenAI()

"""Four image services as they are on the wire."""

from __future__ import annotations

import io
import json
import secrets
import uuid
import zlib
from typing import Any, ClassVar

from PIL import Image

from .files import ImageError
from .services import RefusedError
from .wire_formats import MISSHAPEN, Answer, Classify, Refused, Request, WireFormat, decoded, fields


def _aws(code: str, text: str, status: int = 400) -> Answer:
    return Answer(status, {"__type": code, "Message": text})


class Rekognition(WireFormat):
    """DetectLabels of Amazon Rekognition; signatures are not checked.

    Its credentials do not expire here: a client cannot renew them.
    """

    routes = ("POST /",)
    errors: ClassVar = {
        "authentication": _aws(
            "MissingAuthenticationTokenException", "Missing Authentication Token"
        ),
        "operation": _aws("UnknownOperationException", "This server knows DetectLabels alone"),
        "parameter": _aws("InvalidParameterException", "Request has invalid parameters"),
        "image": _aws("InvalidImageFormatException", "Request has invalid image format"),
        "large": _aws("ImageTooLargeException", "Image size is too large"),
        "quota": _aws("ProvisionedThroughputExceededException", "Provisioned rate exceeded"),
        "429": _aws("ThrottlingException", "Rate exceeded"),
        "500": _aws("InternalServerError", "Internal server error", 500),
        "503": _aws("ServiceUnavailableException", "Service unavailable", 503),
    }
    largest = 5 * 2**20  # bytes

    def claims(self, request: Request) -> bool:
        """By a header, as all operations have one path."""
        return super().claims(request) and "X-Amz-Target" in request.headers

    def environment(self, url: str) -> dict[str, str]:
        """The names are those of every AWS tool."""
        return {
            "AWS_ENDPOINT_URL_REKOGNITION": url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
        }

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if not request.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256"):
            raise Refused("authentication")
        if request.headers["X-Amz-Target"] != "RekognitionService.DetectLabels":
            raise Refused("operation")
        try:
            asked = json.loads(request.body)
            encoded = asked["Image"]["Bytes"]
            most, least = int(asked.get("MaxLabels", 1000)), float(asked.get("MinConfidence", 55))
            if most < 0 or not 0 <= least <= 100:
                raise ValueError
        except MISSHAPEN as error:
            raise Refused("parameter") from error
        payload = decoded(encoded)
        if len(payload) > self.largest:
            raise Refused("large")
        found = [
            {"Name": label.name, "Confidence": 100 * label.score}
            for label in classify(payload)
            if 100 * label.score >= least
        ]
        return {"Labels": found[:most], "LabelModelVersion": "3.0"}


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


def _facepp(status: int, text: str) -> Answer:
    return Answer(status, {"error_message": text})


class FacePP(WireFormat):
    """Scenes and objects of Face++."""

    routes = ("POST /imagepp/beta/detectsceneandobject",)
    errors: ClassVar = {
        "authentication": _facepp(401, "AUTHENTICATION_ERROR"),
        "arguments": _facepp(400, "MISSING_ARGUMENTS: image_url, image_file, image_base64"),
        "image": _facepp(400, "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file"),
        "large": Answer(413, "Request Entity Too Large"),
        "quota": _facepp(403, "AUTHORIZATION_ERROR:Insufficient Account Balance"),
        "429": _facepp(403, "CONCURRENCY_LIMIT_EXCEEDED"),
        "500": _facepp(500, "INTERNAL_ERROR"),
        "503": Answer(503, "Service Unavailable"),
    }
    largest = 2 * 2**20  # bytes of a request

    def environment(self, url: str) -> dict[str, str]:
        """Keys go along with each image."""
        return {"FACEPP_ENDPOINT": url, "FACEPP_API_KEY": "local", "FACEPP_API_SECRET": "local"}

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if len(request.body) > self.largest:
            raise Refused("large")
        given = fields(request)
        if not (given.get("api_key") and given.get("api_secret")):
            raise Refused("authentication")
        if "image_file" in given:
            payload = given["image_file"].encode("latin-1")
        elif "image_base64" in given:
            payload = decoded(given["image_base64"])
        else:
            raise Refused("arguments")
        scenes: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        for label in classify(payload):
            # so that a client has to read both
            found = objects if zlib.crc32(label.name.encode()) % 4 else scenes
            found.append({"value": label.name, "confidence": round(100 * label.score, 3)})
        return {
            "image_id": secrets.token_urlsafe(16),
            "request_id": str(uuid.uuid4()),
            "time_used": 1,
            "scenes": scenes,
            "objects": objects,
        }


def _google(status: int, code: str, text: str) -> Answer:
    return Answer(status, {"error": {"code": status, "message": text, "status": code}})


class GoogleVision(WireFormat):
    """Label detection of Google Cloud Vision; a request may hold several images."""

    routes = ("POST /v1/images:annotate",)
    errors: ClassVar = {
        "key": _google(403, "PERMISSION_DENIED", "The request has no API key."),
        "request": _google(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
        "quota": _google(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per day."),
        "429": _google(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per minute."),
        "500": _google(500, "INTERNAL", "Internal error encountered."),
        "503": _google(503, "UNAVAILABLE", "The service is currently unavailable."),
    }

    def environment(self, url: str) -> dict[str, str]:
        """The key goes along with each request."""
        return {"GOOGLE_VISION_ENDPOINT": url, "GOOGLE_API_KEY": "local"}

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if not (request.headers.get("X-Goog-Api-Key") or request.query.get("key")):
            raise Refused("key")
        images = []
        try:
            for each in json.loads(request.body)["requests"]:
                features = {feature["type"]: feature for feature in each["features"]}
                most = int(features["LABEL_DETECTION"].get("maxResults", 10))
                images.append((each["image"]["content"], most))
        except MISSHAPEN as error:
            raise Refused("request") from error
        return {"responses": [self._annotated(*each, classify) for each in images]}

    @staticmethod
    def _annotated(encoded: object, most: int, classify: Classify) -> dict[str, Any]:
        try:
            labels = classify(decoded(encoded))[:most]
        except (ImageError, RefusedError):
            return {"error": {"code": 3, "message": "Bad image data."}}
        found = [
            {
                "mid": f"/m/0{zlib.crc32(label.name.encode()):x}",
                "description": label.name,
                "score": label.score,
                "topicality": label.score,
            }
            for label in labels
        ]
        return {"labelAnnotations": found} if found else {}


def all_formats() -> tuple[WireFormat, ...]:
    """One of each, with no tokens given out yet."""
    tokens: set[str] = set()
    return Rekognition(), Baidu(tokens), BaiduTokens(tokens), FacePP(), GoogleVision()

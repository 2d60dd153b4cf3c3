"""Four image services as they are on the wire: requests, answers and errors. No sockets here.

What all have in common comes first, then Rekognition, Baidu, Face++ and Google.
"""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
import uuid
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl

from PIL import Image

from ..core.roles import Label
from ..services import RefusedError
from ..storage.files import ImageError

Classify = Callable[[bytes], Sequence[Label]]

# what reading JSON of another shape may raise
MISSHAPEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class Request(NamedTuple):
    """What was asked; `route` is method and path, as in "POST /"."""

    route: str
    query: Mapping[str, str]
    headers: Message
    body: bytes


class Answer(NamedTuple):
    """An HTTP status and what the body holds: an object, sent as JSON, or plain text."""

    status: int
    content: dict[str, Any] | str

    def encoded(self) -> tuple[str, bytes]:
        """Media type and body."""
        if isinstance(self.content, str):
            return "text/plain", self.content.encode()
        return "application/json", json.dumps(self.content).encode()


class Refused(Exception):
    """There are no labels, but this answer."""


class WireFormat(ABC):
    """One service. `errors` by kind: image, quota, 429, 500 and 503; expired where keys can.

    `variables` of its clients are for the endpoint and then for keys: any will do.
    """

    routes: ClassVar[tuple[str, ...]]
    errors: ClassVar[Mapping[str, Answer]]
    variables: ClassVar[tuple[str, ...]] = ()

    def claims(self, request: Request) -> bool:
        """Whether a request is for this service."""
        return request.route in self.routes

    def environment(self, url: str) -> dict[str, str]:
        """What points a client at `url`."""
        return {name: "local" for name in self.variables} | dict.fromkeys(self.variables[:1], url)

    def answer(self, request: Request, classify: Classify) -> Answer:
        """`classify` may raise Refused, ImageError or RefusedError; others are passed on."""
        try:
            return Answer(200, self._answer(request, classify))
        except Refused as refused:
            answer: Answer = refused.args[0]
            return answer
        except (ImageError, RefusedError):
            return self.errors["image"]

    def error(self, kind: str, request: Request) -> Answer:
        """A fault, whatever the request."""
        return self.errors[kind]

    @abstractmethod
    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]: ...


def decoded(encoded: Any) -> bytes:
    """What base64 stands for. Raises ImageError."""
    try:
        return base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError) as error:
        raise ImageError("the image is not base64") from error


def fields(request: Request) -> dict[str, str]:
    """The fields of a form; a byte is the letter of that number, as in Latin-1."""
    text = request.body.decode("latin-1")
    if request.headers.get_content_type() != "multipart/form-data":
        return dict(parse_qsl(text, encoding="latin-1"))
    values = {}
    for part in f"\r\n{text}".split(f"\r\n--{request.headers.get_boundary()}"):
        head, _, value = part.partition("\r\n\r\n")
        if name := re.search(r'\bname="?([^";\r\n]*)', head):
            values[name[1]] = value
    return values


def _aws(code: str, text: str, status: int = 400) -> Answer:
    return Answer(status, {"__type": code, "Message": text})


class Rekognition(WireFormat):
    """DetectLabels of Amazon Rekognition; signatures are not checked.

    Its credentials do not expire here: a client cannot renew them.
    """

    routes = ("POST /",)
    errors: ClassVar = {
        "image": _aws("InvalidImageFormatException", "Request has invalid image format"),
        "quota": _aws("ProvisionedThroughputExceededException", "Provisioned rate exceeded"),
        "429": _aws("ThrottlingException", "Rate exceeded"),
        "500": _aws("InternalServerError", "Internal server error", 500),
        "503": _aws("ServiceUnavailableException", "Service unavailable", 503),
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
            raise Refused(
                _aws("MissingAuthenticationTokenException", "Missing Authentication Token")
            )
        if request.headers["X-Amz-Target"] != "RekognitionService.DetectLabels":
            raise Refused(_aws("UnknownOperationException", "This server knows DetectLabels alone"))
        try:
            options = json.loads(request.body)
            encoded, most = options["Image"]["Bytes"], int(options.get("MaxLabels", 1000))
            least = float(options.get("MinConfidence", 55))
            if most < 0 or not 0 <= least <= 100:
                raise ValueError
        except MISSHAPEN as error:
            raise Refused(
                _aws("InvalidParameterException", "Request has invalid parameters")
            ) from error
        payload = decoded(encoded)
        if len(payload) > self.largest:
            raise Refused(_aws("ImageTooLargeException", "Image size is too large"))
        labels = [
            {"Name": name, "Confidence": 100 * score}
            for name, score in classify(payload)
            if 100 * score >= least
        ]
        return {"Labels": labels[:most], "LabelModelVersion": "3.0"}


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


def _facepp(status: int, text: str) -> Answer:
    return Answer(status, {"error_message": text})


class FacePP(WireFormat):
    """Scenes and objects of Face++."""

    routes = ("POST /imagepp/beta/detectsceneandobject",)
    errors: ClassVar = {
        "image": _facepp(400, "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file"),
        "quota": _facepp(403, "AUTHORIZATION_ERROR:Insufficient Account Balance"),
        "429": _facepp(403, "CONCURRENCY_LIMIT_EXCEEDED"),
        "500": _facepp(500, "INTERNAL_ERROR"),
        "503": Answer(503, "Service Unavailable"),
    }
    variables = ("FACEPP_ENDPOINT", "FACEPP_API_KEY", "FACEPP_API_SECRET")
    largest = 2 * 2**20  # bytes of a request

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if len(request.body) > self.largest:
            raise Refused(Answer(413, "Request Entity Too Large"))
        given = fields(request)
        if not (given.get("api_key") and given.get("api_secret")):
            raise Refused(_facepp(401, "AUTHENTICATION_ERROR"))
        if "image_file" in given:
            payload = given["image_file"].encode("latin-1")
        elif "image_base64" in given:
            payload = decoded(given["image_base64"])
        else:
            raise Refused(_facepp(400, "MISSING_ARGUMENTS: image_url, image_file, image_base64"))
        lists: dict[str, Any] = {"scenes": [], "objects": []}
        for name, score in classify(payload):
            # so that a client has to read both
            kind = "objects" if zlib.crc32(name.encode()) % 4 else "scenes"
            lists[kind].append({"value": name, "confidence": round(100 * score, 3)})
        request_id = str(uuid.uuid4())
        return {"image_id": request_id, "request_id": request_id, "time_used": 1, **lists}


def _google(status: int, code: str, text: str) -> Answer:
    return Answer(status, {"error": {"code": status, "message": text, "status": code}})


class GoogleVision(WireFormat):
    """Label detection of Google Cloud Vision; a request may hold several images."""

    routes = ("POST /v1/images:annotate",)
    errors: ClassVar = {
        "quota": _google(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per day."),
        "429": _google(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per minute."),
        "500": _google(500, "INTERNAL", "Internal error encountered."),
        "503": _google(503, "UNAVAILABLE", "The service is currently unavailable."),
    }
    variables = ("GOOGLE_VISION_ENDPOINT", "GOOGLE_API_KEY")

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if not (request.headers.get("X-Goog-Api-Key") or request.query.get("key")):
            raise Refused(_google(403, "PERMISSION_DENIED", "The request has no API key."))
        images = []
        try:
            for image in json.loads(request.body)["requests"]:
                features = {feature["type"]: feature for feature in image["features"]}
                most = int(features["LABEL_DETECTION"].get("maxResults", 10))
                images.append((image["image"]["content"], most))
        except MISSHAPEN as error:
            text = "Request contains an invalid argument."
            raise Refused(_google(400, "INVALID_ARGUMENT", text)) from error
        return {"responses": [_annotated(content, most, classify) for content, most in images]}


def _annotated(content: object, most: int, classify: Classify) -> dict[str, Any]:
    try:
        labels = classify(decoded(content))[:most]
    except (ImageError, RefusedError):
        return {"error": {"code": 3, "message": "Bad image data."}}
    annotations = [
        {
            "mid": f"/m/0{zlib.crc32(name.encode()):x}",
            "description": name,
            "score": score,
            "topicality": score,
        }
        for name, score in labels
    ]
    return {"labelAnnotations": annotations} if annotations else {}


def all_formats() -> tuple[WireFormat, ...]:
    """One of each, with no tokens given out yet."""
    tokens: set[str] = set()
    return Rekognition(), Baidu(tokens), BaiduTokens(tokens), FacePP(), GoogleVision()

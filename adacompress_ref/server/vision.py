"""Google Cloud Vision on the wire."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, ClassVar

from ..services import RefusedError
from ..storage.files import ImageError
from .wire import MISSHAPEN, Answer, Classify, Refused, Request, WireFormat, decoded


def google_error(status: int, code: str, text: str) -> Refused:
    """An error as Google has it."""
    return Refused(Answer(status, {"error": {"code": status, "message": text, "status": code}}))


class GoogleVision(WireFormat):
    """Label detection of Google Cloud Vision; a request may hold several images."""

    path = re.compile(r"POST /v1/(projects/[^/]+/)?(locations/[^/]+/)?images:annotate")
    routes = ("POST /v1/images:annotate",)
    errors: ClassVar = {
        "quota": google_error(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per day."),
        "429": google_error(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per minute."),
        "500": google_error(500, "INTERNAL", "Internal error encountered."),
        "503": google_error(503, "UNAVAILABLE", "The service is currently unavailable."),
    }
    variables = ("GOOGLE_VISION_ENDPOINT", "GOOGLE_API_KEY")

    def claims(self, request: Request) -> bool:
        """Under the path of a project too."""
        return bool(self.path.fullmatch(request.route))

    @staticmethod
    def kind(feature: Any) -> str:
        """What is asked for; Google's own client says it by number."""
        return "LABEL_DETECTION" if feature["type"] == 4 else str(feature["type"])

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if not (request.headers.get("X-Goog-Api-Key") or request.query.get("key")):
            raise google_error(403, "PERMISSION_DENIED", "The request has no API key.")
        images = []
        try:
            for image in json.loads(request.body)["requests"]:
                features = {self.kind(feature): feature for feature in image["features"]}
                most = int(features["LABEL_DETECTION"].get("maxResults", 10))
                images.append((image["image"]["content"], most))
        except MISSHAPEN as error:
            text = "Request contains an invalid argument."
            raise google_error(400, "INVALID_ARGUMENT", text) from error
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

"""Google Cloud Vision as it is on the wire."""

from __future__ import annotations

import json
import zlib
from typing import Any, ClassVar

from ..services import RefusedError
from ..storage.files import ImageError
from .wire_format import MISSHAPEN, Answer, Classify, Refused, Request, WireFormat, decoded


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

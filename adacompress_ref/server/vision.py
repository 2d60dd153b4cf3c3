"""Google Cloud Vision on the wire."""

from __future__ import annotations

import json
import zlib
from typing import Any, ClassVar

from ..services import RefusedError
from ..services.google import LABELS
from ..storage.files import ImageError
from .wire import MISSHAPEN, Answer, Classify, Refused, Request, WireFormat, decoded


def google(status: int, code: str, text: str) -> Refused:
    """An error as Google has it."""
    return Refused(Answer(status, {"error": {"code": status, "message": text, "status": code}}))


class GoogleVision(WireFormat):
    """Label detection of Google Cloud Vision; a request may hold several images."""

    routes = (r"POST /v1/(projects/[a-z0-9][a-z0-9.:-]*/(locations/[a-z0-9-]+/)?)?images:annotate",)
    errors: ClassVar = {
        "denied": google(403, "PERMISSION_DENIED", "Labels of bytes alone are allowed."),
        "misshapen": google(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
        "image": google(400, "INVALID_ARGUMENT", "Base64 decoding failed."),
        "quota": google(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per day."),
        "429": google(429, "RESOURCE_EXHAUSTED", "Quota exceeded: requests per minute."),
        "500": google(500, "INTERNAL", "Internal error encountered."),
        "503": google(503, "UNAVAILABLE", "The service is currently unavailable."),
    }
    variables = ("GOOGLE_VISION_ENDPOINT", "GOOGLE_API_KEY")
    largest = 7_500_000  # bytes: ten million in base64

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        if not (request.headers.get("X-Goog-Api-Key") or request.query.get("key")):
            raise google(403, "PERMISSION_DENIED", "The request has no API key.")
        images = []
        try:
            for image in json.loads(request.body)["requests"]:
                asked = [kind for kind in image["features"] if kind["type"] in LABELS]
                most = int(asked[-1].get("maxResults", 10))
                images.append((image["image"]["content"], most))
        except MISSHAPEN as error:
            raise self.errors["misshapen"] from error
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

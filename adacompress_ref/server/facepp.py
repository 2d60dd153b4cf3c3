"""Face++ as it is on the wire."""

from __future__ import annotations

import secrets
import uuid
import zlib
from typing import Any, ClassVar

from .wire_format import Answer, Classify, Refused, Request, WireFormat, decoded, fields


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

"""Face++ as it is on the wire."""

from __future__ import annotations

import uuid
import zlib
from typing import Any, ClassVar

from .formats import Answer, Classify, Refused, Request, WireFormat, decoded, fields


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

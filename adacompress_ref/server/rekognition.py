"""Amazon Rekognition as it is on the wire."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from .wire_format import MISSHAPEN, Answer, Classify, Refused, Request, WireFormat, decoded


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

"""Amazon Rekognition as it is on the wire."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from .formats import MISSHAPEN, Answer, Classify, Refused, Request, WireFormat, decoded


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

"""Damaged answers of services."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

from adacompress_ref.core.roles import Label

from .general import Case, Random, damaged, expect, pick

ANSWERS = {  # one a line
    "rekognition": """{"Labels": [{"Name": "Cat", "Confidence": 99.1}], "LabelModelVersion": "3.0"}
{"Labels": [{"Name": "A", "Confidence": 80, "Parents": []}, {"Name": "B", "Confidence": 70.5}]}
{"__type": "com.amazon#ThrottlingException", "message": "Rate exceeded"}
{"__type": "InvalidImageFormatException", "Message": "Request has invalid image format"}""",
    "baidu": """{"log_id": 1, "result_num": 1, "result": [{"keyword": "a", "score": 0.9}]}
{"result": [{"keyword": "a", "score": "0.5"}, {"keyword": "b", "root": "c", "score": 0.25}]}
{"error_code": 17, "error_msg": "Open api daily request limit reached", "log_id": 1}
{"error_code": 110, "error_msg": "Access token invalid or no longer valid"}""",
    "facepp": """{"objects": [{"value": "Cat", "confidence": 90.5}], "scenes": [], "time_used": 9}
{"objects": [{"value": "A", "confidence": 9}], "scenes": [{"value": "B", "confidence": 35.1}]}
{"error_message": "CONCURRENCY_LIMIT_EXCEEDED", "request_id": "1"}
{"error_message": "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file"}""",
    "google": """{"responses": [{"labelAnnotations": [{"description": "Cat", "score": 0.97}]}]}
{"responses": [{"labelAnnotations": [{"description": "A", "score": 0.9, "mid": "m"}]}, {}]}
{"responses": [{"error": {"code": 3, "message": "Bad image data."}}]}
{"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}""",
}
STATUSES = (*(0, 100, 204, 206, 301, 304), *range(400, 430), 500, 503, 529, 599, 999)
HEADERS = ("", "5", "-1", "1e999", "9" * 400, "٣", "NaN", "Wed, 21 Oct 2015 07:28:00 GMT")


def answer_case(kind: str, rng: Random, folder: Path, photo: Image.Image) -> Case:
    """An answer of a service, damaged and parsed."""
    how, body = damaged(rng, "answer", pick(rng, ANSWERS[kind].splitlines()).encode())
    status = pick(rng, (200, pick(rng, STATUSES)))
    names = ("retry-after", "x-amzn-errortype", "content-type")
    headers = {name: pick(rng, HEADERS) for name in names if rng.random() < 0.3}
    parse = import_module(f"adacompress_ref.services.{kind}").parse_response
    how += f", status {status}, {headers!r:.100}"
    return how, lambda: check_labels(parse(status, headers, body), best_first=True)


def check_labels(labels: Any, best_first: bool = False) -> None:
    expect(isinstance(labels, list), f"{labels!r:.60} is no list of labels")
    for label in labels:
        right = isinstance(label, Label) and isinstance(label.name, str) and 0 <= label.score <= 1
        expect(right, f"{label!r:.60}")
    scores = [label.score for label in labels]
    expect(not best_first or scores == sorted(scores, reverse=True), "the best is not first")

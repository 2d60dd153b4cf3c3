"""The client of Google Cloud Vision."""

import base64
import json

import pytest

from adacompress_ref.core.roles import Label
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    UnavailableError,
)
from adacompress_ref.services.google import (
    OPERATION,
    GoogleVision,
    build_request,
    parse_response,
    with_image,
)

LABELS = [
    {"mid": "/m/0838f", "description": "Water", "score": 0.9515, "topicality": 0.9515},
    {"mid": "/m/01bqvp", "description": "Sky", "score": 0.97, "topicality": 0.4},
]
EXPIRED = {
    "code": 400,
    "message": "API key expired. Please renew the API key.",
    "status": "INVALID_ARGUMENT",
    "details": [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "vision.googleapis.com"},
        }
    ],
}
BILLING = {
    "code": 403,
    "message": "This API method requires billing to be enabled.",
    "status": "PERMISSION_DENIED",
}


def parsed(value, status=200, **headers):
    return parse_response(status, headers, json.dumps(value).encode())


def test_request():
    features = [{"type": "LABEL_DETECTION", "maxResults": 10}]
    fields = with_image({"requests": [{"features": features}], "parent": "p"}, b"\xff\xd8image")
    endpoint = "https://vision.googleapis.com/"
    request = build_request(endpoint, "key", OPERATION, fields).prepare()
    assert request.method == "POST"
    assert request.url == "https://vision.googleapis.com/v1/images:annotate"
    assert request.headers["X-Goog-Api-Key"] == "key"
    assert json.loads(request.body)["parent"] == "p"
    (single,) = json.loads(request.body)["requests"]
    assert base64.b64decode(single["image"]["content"]) == b"\xff\xd8image"
    assert single["features"] == features


def test_largest_image_fits_into_the_request():
    fields = with_image({"requests": [{"features": [1] * 20}]}, bytes(GoogleVision.max_bytes))
    request = build_request("http://x", "key", OPERATION, fields)
    assert len(request.prepare().body) <= 10_000_000


def test_labels():
    assert parsed({"responses": [{"labelAnnotations": LABELS}]}) == [
        Label("Sky", 0.97),
        Label("Water", 0.9515),
    ]
    assert parsed({"responses": [{}]}) == []


@pytest.mark.parametrize(
    "responses", [[], [1], {}, [{"labelAnnotations": None}], [{"labelAnnotations": [{"score": 1}]}]]
)
def test_other_shapes(responses):
    with pytest.raises(ProtocolError):
        parsed({"responses": responses})


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (3, "Bad image data.", RefusedError),
        (3, "Image too large. Please limit to 75 megapixels.", RefusedError),
        (4, "Deadline exceeded.", UnavailableError),
        (7, "The caller does not have permission", AuthenticationError),
        (8, "Quota exceeded for requests per minute", UnavailableError),
        (8, "Quota exceeded for 'Requests per day'", QuotaError),
        (8, "Daily limit reached", QuotaError),
        (13, "Internal error.", UnavailableError),
        (14, "The service is currently unavailable.", UnavailableError),
        (16, "Request had invalid credentials", AuthenticationError),
        (12, "Not implemented", ProtocolError),
        (None, None, ProtocolError),
        ([3], {}, ProtocolError),
    ],
)
def test_errors_of_the_image(code, message, kind):
    with pytest.raises(kind) as error:
        parsed({"responses": [{"error": {"code": code, "message": message}}]})
    assert type(error.value) is kind
    assert str(error.value).startswith("google: ")
    assert error.value.retryable == (kind is UnavailableError)


@pytest.mark.parametrize(
    ("status", "error", "kind", "words"),
    [
        (400, EXPIRED, AuthenticationError, "GOOGLE_API_KEY"),
        (403, BILLING, AuthenticationError, "billing"),
        (401, {"code": 401, "status": "UNAUTHENTICATED"}, AuthenticationError, "GOOGLE_API_KEY"),
        (400, {"code": 400, "status": "INVALID_ARGUMENT"}, RefusedError, "another image"),
        (429, {"code": 429, "status": "RESOURCE_EXHAUSTED"}, UnavailableError, "later"),
        (
            429,
            {"status": "RESOURCE_EXHAUSTED", "message": "limit 'Requests per day'"},
            QuotaError,
            "next day",
        ),
        (500, {"code": 500, "status": "INTERNAL"}, UnavailableError, "later"),
        (503, {"code": 503, "status": "UNAVAILABLE"}, UnavailableError, "later"),
        (504, {"code": 504, "status": "DEADLINE_EXCEEDED"}, UnavailableError, "later"),
        (500, "oops", UnavailableError, "oops"),
        (404, {"code": 404, "status": "NOT_FOUND"}, ProtocolError, "NOT_FOUND"),
        (200, "oops", ProtocolError, "oops"),
    ],
)
def test_errors_of_the_request(status, error, kind, words):
    with pytest.raises(kind, match=words) as caught:
        parsed({"error": error}, status)
    assert type(caught.value) is kind
    assert str(caught.value).startswith("google: ")

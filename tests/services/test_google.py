"""The client of Google Cloud Vision."""

import base64
import json

import pytest
from hypothesis import given
from service_helpers import answers, as_json, check_outcome, serving

from adacompress_ref.core.controller import Label
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    UnavailableError,
    open_service,
)
from adacompress_ref.services.google import GoogleVision, build_request, parse_response

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
    request = build_request("https://vision.googleapis.com/", "key", b"\xff\xd8image")
    assert request.method == "POST"
    assert request.url == "https://vision.googleapis.com/v1/images:annotate"
    assert request.headers["X-Goog-Api-Key"] == "key"
    (single,) = json.loads(request.body)["requests"]
    assert base64.b64decode(single["image"]["content"]) == b"\xff\xd8image"
    assert single["features"] == [{"type": "LABEL_DETECTION", "maxResults": 10}]


def test_largest_image_fits_into_the_request():
    assert len(build_request("", "key", bytes(GoogleVision.max_bytes)).body) <= 10_000_000


def test_labels_best_first():
    assert parsed({"responses": [{"labelAnnotations": LABELS}]}) == [
        Label("Sky", 0.97),
        Label("Water", 0.9515),
    ]


def test_no_labels_are_an_answer():
    assert parsed({"responses": [{}]}) == []


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
    assert kind is not ProtocolError or not error.value.retryable


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


def test_waits_as_told():
    with pytest.raises(UnavailableError) as error:
        parsed({"error": {"status": "RESOURCE_EXHAUSTED"}}, 429, **{"retry-after": "7"})
    assert error.value.retry_after == 7


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, b"<html>Bad Gateway</html>", UnavailableError),
        (413, b"<html>Too large</html>", RefusedError),
        (200, b"<html>Sign in to this network</html>", ProtocolError),
        (200, b"", ProtocolError),
        (200, b"[]", ProtocolError),
        (200, b"{}", ProtocolError),
        (200, b'{"responses": []}', ProtocolError),
        (200, b'{"responses": [1]}', ProtocolError),
        (200, b'{"responses": {}}', ProtocolError),
        (200, b'{"responses": [{"labelAnnotations": null}]}', ProtocolError),
        (200, b'{"responses": [{"labelAnnotations": [{"score": 1}]}]}', ProtocolError),
        (
            200,
            b'{"responses": [{"labelAnnotations": [{"description": "a", "score": 2}]}]}',
            ProtocolError,
        ),
        (200, b'{"responses": [{"labelAnnotations": [{"descr', ProtocolError),
    ],
)
def test_other_shapes(status, body, kind):
    with pytest.raises(kind):
        parse_response(status, {}, body)


@given(answers("responses", "labelAnnotations", "description", "score", "error", "code", "status"))
def test_any_answer(answer):
    check_outcome("google", parse_response, *answer)


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("GOOGLE_API_KEY", "key-of-google\n")
    return "key-of-google"


def test_service(key, monkeypatch):
    answer = as_json({"responses": [{"labelAnnotations": LABELS}]})
    with serving(lambda request: answer) as (url, requests):
        monkeypatch.setenv("GOOGLE_VISION_ENDPOINT", url)
        service = open_service("google", tries=1)
        assert service.label(b"image")[0] == Label("Sky", 0.97)
    assert requests[0].path == "/v1/images:annotate"
    assert requests[0].headers["X-Goog-Api-Key"] == key


def test_key_is_in_no_message(key, monkeypatch):
    error = {"error": {"message": f"{key} is no key", "status": "UNAUTHENTICATED"}}
    with serving(lambda request: as_json(error, 401)) as (url, _):
        monkeypatch.setenv("GOOGLE_VISION_ENDPOINT", url)
        with pytest.raises(AuthenticationError) as caught:
            GoogleVision().label(b"image")
    assert key not in str(caught.value)


def test_missing_key(monkeypatch):
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with pytest.raises(AuthenticationError, match="set GOOGLE_API_KEY"):
        GoogleVision()


def test_unencrypted_endpoint(key, monkeypatch):
    monkeypatch.setenv("GOOGLE_VISION_ENDPOINT", "http://vision.example.com")
    with pytest.raises(AuthenticationError, match="https"):
        GoogleVision()

"""The client of Face++."""

import email
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.roles import Label
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    UnavailableError,
)
from adacompress_ref.services.facepp import FacePP, build_request, parse_response

ANSWER = {
    "image_id": "Dd2xUw9S/7yjr0oDHHSL/Q==",
    "request_id": "1470472868,dacf2ff1-ea45-4842-9c07-6e8418cea78b",
    "time_used": 752,
    "scenes": [{"value": "Beach", "confidence": 61.5}, {"value": "Dog", "confidence": 20}],
    "objects": [{"value": "Dog", "confidence": 97.125}, {"value": "Ball", "confidence": 40}],
}


def parsed(value, status=200):
    return parse_response(status, {}, json.dumps(value).encode())


@given(st.binary(max_size=300))
def test_request(payload):
    endpoint = "https://api-cn.faceplusplus.com/"
    request = build_request(
        endpoint, {"api_key": "key", "api_secret": "s%c=ret&"}, payload
    ).prepare()
    assert request.method == "POST"
    assert request.url == "https://api-cn.faceplusplus.com/imagepp/beta/detectsceneandobject"
    kind = request.headers["Content-Type"]
    # a reader that takes lines only: bytes other than line ends stay as they are
    boundary = kind.partition("boundary=")[2].encode()
    parts = request.body.split(b"--" + boundary)
    assert parts[0] == b"" and parts[-1] == b"--\r\n"
    assert parts[3].partition(b"\r\n\r\n")[2] == payload + b"\r\n"
    message = f"Content-Type: {kind}\r\n\r\n".encode() + request.body
    parts = email.message_from_bytes(message).get_payload()
    names = [part.get_param("name", header="Content-Disposition") for part in parts]
    assert names == ["api_key", "api_secret", "image_file"]
    assert [part.get_payload() for part in parts[:2]] == ["key", "s%c=ret&"]
    assert [part.get_filename() for part in parts] == [None, None, "image"]


def test_largest_image_fits_into_the_request():
    request = build_request(
        "http://x", {"api_key": "k" * 64, "api_secret": "s" * 64}, bytes(FacePP.max_bytes)
    )
    assert len(request.prepare().body) <= 2 * 2**20


def test_objects_and_scenes_best_first_each_once():
    assert parsed(ANSWER) == [Label("Dog", 0.97125), Label("Beach", 0.615), Label("Ball", 0.4)]


@pytest.mark.parametrize(
    "value", [{"scenes": [], "objects": []}, {"scenes": []}, {"objects": []}], ids=str
)
def test_no_labels_are_an_answer(value):
    assert parsed({"image_id": "a", **value}) == []


def test_another_list():
    with pytest.raises(ProtocolError):
        parsed({"objects": None, "scenes": []})


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (403, "CONCURRENCY_LIMIT_EXCEEDED", UnavailableError),
        (401, "AUTHENTICATION_ERROR", AuthenticationError),
        (403, "AUTHORIZATION_ERROR:Denied by Client", AuthenticationError),
        (403, "AUTHORIZATION_ERROR:Denied by Admin", AuthenticationError),
        (403, "AUTHORIZATION_ERROR:Insufficient Account Balance", QuotaError),
        (403, "INSUFFICIENT_PERMISSION: image_file", AuthenticationError),
        (400, "INVALID_IMAGE_SIZE: image_file", RefusedError),
        (400, "IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file", RefusedError),
        (400, "IMAGE_FILE_TOO_LARGE: image_file", RefusedError),
        (412, "IMAGE_DOWNLOAD_TIMEOUT", RefusedError),
        (400, "MISSING_ARGUMENTS: image_url, image_file, image_base64", ProtocolError),
        (400, "BAD_ARGUMENTS: image_file", ProtocolError),
        (400, "COEXISTENCE_ARGUMENTS", ProtocolError),
        (404, "API_NOT_FOUND", ProtocolError),
        (500, "INTERNAL_ERROR", UnavailableError),
        (503, "SOMETHING", UnavailableError),
        (403, "SOMETHING", AuthenticationError),
        (200, "SOMETHING", ProtocolError),
        (200, None, ProtocolError),
    ],
)
def test_errors(status, message, kind):
    with pytest.raises(kind) as error:
        parsed({"error_message": message, "request_id": "1", "time_used": 3}, status)
    assert type(error.value) is kind
    assert str(error.value).startswith("facepp: ")
    assert str(message) in str(error.value)
    assert error.value.retryable == (kind is UnavailableError)

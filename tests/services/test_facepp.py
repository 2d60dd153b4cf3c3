"""The client of Face++."""

import email
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
    request = build_request("https://api-cn.faceplusplus.com/", "key", "s%c=ret&", payload)
    assert request.method == "POST"
    assert request.url == "https://api-cn.faceplusplus.com/imagepp/beta/detectsceneandobject"
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    # a reader that takes lines only: bytes other than line ends stay as they are
    boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
    parts = request.body.split(b"--" + boundary)
    assert parts[0] == b"" and parts[-1] == b"--\r\n"
    assert parts[3].partition(b"\r\n\r\n")[2] == payload + b"\r\n"
    names = [
        part.get_param("name", header="Content-Disposition")
        for part in email.message_from_bytes(head + request.body).get_payload()
    ]
    assert names == ["api_key", "api_secret", "image_file"]


def test_parts_of_the_request():
    request = build_request("", "key", "secret", b"image")
    message = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode() + request.body
    parts = email.message_from_bytes(message).get_payload()
    assert [part.get_payload() for part in parts] == ["key", "secret", "image"]
    assert [part.get_filename() for part in parts] == [None, None, "image"]


def test_largest_image_fits_into_the_request():
    request = build_request("", "k" * 64, "s" * 64, bytes(FacePP.max_bytes))
    assert len(request.body) <= 2 * 2**20


def test_objects_and_scenes_best_first_each_once():
    assert parsed(ANSWER) == [Label("Dog", 0.97125), Label("Beach", 0.615), Label("Ball", 0.4)]


@pytest.mark.parametrize(
    "value", [{"scenes": [], "objects": []}, {"scenes": []}, {"objects": []}], ids=str
)
def test_no_labels_are_an_answer(value):
    assert parsed({"image_id": "a", **value}) == []


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
    assert kind is not ProtocolError or not error.value.retryable


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (413, b"Request Entity Too Large", RefusedError),
        (413, b"<html><h1>413 Request Entity Too Large</h1></html>", RefusedError),
        (502, b"<html>Bad Gateway</html>", UnavailableError),
        (200, b"<html>Sign in to this network</html>", ProtocolError),
        (200, b"", ProtocolError),
        (200, b"{}", ProtocolError),
        (200, b'{"objects": null, "scenes": []}', ProtocolError),
        (200, b'{"objects": [{"confidence": 1}], "scenes": []}', ProtocolError),
        (200, b'{"objects": [{"value": "a", "confidence": 101}]}', ProtocolError),
        (200, b'{"objects": [{"value": "a", "conf', ProtocolError),
    ],
)
def test_other_shapes(status, body, kind):
    with pytest.raises(kind):
        parse_response(status, {}, body)


@given(answers("objects", "scenes", "value", "confidence", "error_message"))
def test_any_answer(answer):
    check_outcome("facepp", parse_response, *answer)


@pytest.fixture
def credentials(monkeypatch):
    monkeypatch.setenv("FACEPP_API_KEY", "key-of-facepp")
    monkeypatch.setenv("FACEPP_API_SECRET", "secret-of-facepp\n")
    return "key-of-facepp", "secret-of-facepp"


def test_service(credentials, monkeypatch):
    with serving(lambda request: as_json(ANSWER)) as (url, requests):
        monkeypatch.setenv("FACEPP_ENDPOINT", url)
        assert open_service("facepp", tries=1).label(b"image")[0] == Label("Dog", 0.97125)
    assert requests[0].path == "/imagepp/beta/detectsceneandobject"
    assert all(each.encode() in requests[0].body for each in credentials)


def test_credentials_are_in_no_message(credentials, monkeypatch):
    error = {"error_message": "AUTHENTICATION_ERROR: {} {}".format(*credentials)}
    with serving(lambda request: as_json(error, 401)) as (url, _):
        monkeypatch.setenv("FACEPP_ENDPOINT", url)
        with pytest.raises(AuthenticationError, match="FACEPP_API_SECRET") as caught:
            FacePP().label(b"image")
    assert not any(each in str(caught.value) for each in credentials)


@pytest.mark.parametrize("missing", ["FACEPP_API_KEY", "FACEPP_API_SECRET"])
def test_missing_credentials(credentials, monkeypatch, missing):
    monkeypatch.delenv(missing)
    with pytest.raises(AuthenticationError, match="set FACEPP_API_KEY and FACEPP_API_SECRET"):
        FacePP()


def test_unencrypted_endpoint(credentials, monkeypatch):
    monkeypatch.setenv("FACEPP_ENDPOINT", "http://facepp.example.com")
    with pytest.raises(AuthenticationError, match="https"):
        FacePP()

"""What the clients of all online services promise, whatever their format."""

import io
import json
import os
import struct
import zlib
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from service_helpers import answers, as_json, check_outcome, serving

from adacompress_ref.core.roles import Label
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    UnavailableError,
    ask,
    baidu,
    facepp,
    google,
    open_service,
    openai,
    rekognition,
)

SAID = "says the server"


def aws(code):
    return 400, {"__type": code, "message": SAID}


def of_google(status, code, reason=""):
    return status, {"error": {"status": code, "message": f"{SAID} {reason}"}}


def of_baidu(code):
    return 200, {"error_code": code, "error_msg": SAID}


def of_facepp(status, code):
    return status, {"error_message": f"{code}: {SAID}"}


def of_openai(status, code, param=None):
    return status, {"error": {"message": SAID, "type": "error", "param": param, "code": code}}


def of_a_model(names):
    return {"choices": [{"message": {"content": json.dumps({"labels": names})}}]}


# For each service: its module, the variable of its endpoint, credentials, an answer with labels
# (of names and scores from 0 to 1), an answer for each kind of error, and names of fields.
SERVICES = {
    "rekognition": SimpleNamespace(
        module=rekognition,
        endpoint="AWS_ENDPOINT_URL_REKOGNITION",
        keys={"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-aws"},
        labelled=lambda pairs: {"Labels": [{"Name": n, "Confidence": 100 * s} for n, s in pairs]},
        errors={
            AuthenticationError: aws("UnrecognizedClientException"),
            QuotaError: (402, {"message": SAID}),
            RefusedError: aws("InvalidImageFormatException"),
            UnavailableError: aws("ThrottlingException"),
            ProtocolError: aws("UnknownOperationException"),
        },
        fields=("Labels", "Name", "Confidence", "__type", "message", "Message"),
    ),
    "baidu": SimpleNamespace(
        module=baidu,
        endpoint="BAIDU_ENDPOINT",
        keys={"BAIDU_API_KEY": "key-of-baidu", "BAIDU_SECRET_KEY": "secret-of-baidu"},
        labelled=lambda pairs: {"result": [{"keyword": n, "score": s} for n, s in pairs]},
        errors={
            AuthenticationError: of_baidu(6),
            QuotaError: of_baidu(17),
            RefusedError: of_baidu(216201),
            UnavailableError: of_baidu(18),
            ProtocolError: of_baidu(3),
        },
        fields=("result", "keyword", "score", "error_code", "error_msg"),
    ),
    "facepp": SimpleNamespace(
        module=facepp,
        endpoint="FACEPP_ENDPOINT",
        keys={"FACEPP_API_KEY": "key-of-facepp", "FACEPP_API_SECRET": "secret-of-facepp"},
        labelled=lambda pairs: {"objects": [{"value": n, "confidence": 100 * s} for n, s in pairs]},
        errors={
            AuthenticationError: of_facepp(401, "AUTHENTICATION_ERROR"),
            QuotaError: of_facepp(403, "AUTHORIZATION_ERROR:Insufficient Account Balance"),
            RefusedError: of_facepp(400, "IMAGE_ERROR_UNSUPPORTED_FORMAT"),
            UnavailableError: of_facepp(403, "CONCURRENCY_LIMIT_EXCEEDED"),
            ProtocolError: of_facepp(400, "BAD_ARGUMENTS"),
        },
        fields=("objects", "scenes", "value", "confidence", "error_message"),
    ),
    "google": SimpleNamespace(
        module=google,
        endpoint="GOOGLE_VISION_ENDPOINT",
        keys={"GOOGLE_API_KEY": "key-of-google"},
        labelled=lambda pairs: {
            "responses": [{"labelAnnotations": [{"description": n, "score": s} for n, s in pairs]}]
        },
        errors={
            AuthenticationError: of_google(401, "UNAUTHENTICATED"),
            QuotaError: of_google(429, "RESOURCE_EXHAUSTED", "Requests per day"),
            RefusedError: of_google(400, "INVALID_ARGUMENT"),
            UnavailableError: of_google(503, "UNAVAILABLE"),
            ProtocolError: of_google(404, "NOT_FOUND"),
        },
        fields=("responses", "labelAnnotations", "description", "score", "error", "code", "status"),
    ),
    "openai": SimpleNamespace(
        module=openai,
        endpoint="OPENAI_BASE_URL",
        keys={"OPENAI_API_KEY": "key-of-openai"},
        labelled=lambda pairs: of_a_model([n for n, _ in sorted(pairs, key=lambda p: -p[1])]),
        errors={
            AuthenticationError: of_openai(401, "invalid_api_key"),
            QuotaError: of_openai(429, "insufficient_quota"),
            RefusedError: of_openai(400, "invalid_image", "messages[0].content[1].image_url"),
            UnavailableError: of_openai(429, "rate_limit_exceeded"),
            ProtocolError: of_openai(404, None),
        },
        fields=("choices", "message", "content", "refusal", "finish_reason", "error", "code"),
        opened="openai:a/model:7b",
        labels=[Label("tabby", 1), Label("lynx", 0.9), Label("猫", 0.8)],  # by rank
    ),
}
KINDS = (AuthenticationError, QuotaError, RefusedError, UnavailableError, ProtocolError)
PAIRS = [("lynx", 0.25), ("tabby", 0.625), ("猫", 0.0)]
LABELS = [Label("tabby", 0.625), Label("lynx", 0.25), Label("猫", 0.0)]


@pytest.fixture(params=SERVICES)
def service(request, monkeypatch, tmp_path):
    """A service, whose credentials end in a line end, as in mounted files."""
    for variable in os.environ:
        if variable.startswith("AWS_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    service = SERVICES[request.param]
    for variable, value in service.keys.items():
        monkeypatch.setenv(variable, f"{value}\n")
    secrets = [*service.keys.values(), *(["token-of-baidu"] if request.param == "baidu" else [])]
    parse = service.module.parse_response
    service.opened = getattr(service, "opened", request.param)
    service.labels = getattr(service, "labels", LABELS)
    return SimpleNamespace(name=request.param, parse=parse, secrets=secrets, **vars(service))


@pytest.fixture
def client(service, monkeypatch):
    """The client and a server with a `script` of answers; pauses are noted, not slept."""
    script, requests = [], []

    def answer(request):
        if request.path == "/oauth/2.0/token":
            return as_json({"access_token": "token-of-baidu", "expires_in": 2592000})
        requests.append(request)
        return script.pop(0)

    with serving(answer) as (url, _):
        monkeypatch.setenv(service.endpoint, url)
        client = open_service(service.opened, tries=3)
        client.script, client.requests, client.pauses = script, requests, []
        client.transport._sleep = client.pauses.append
        yield client


def png(width, height):
    """The beginning of a picture of that size."""
    stream = io.BytesIO()
    Image.new("L", (1, 1)).save(stream, "PNG")
    header = b"IHDR" + struct.pack(">II", width, height)
    whole = bytearray(stream.getvalue())
    whole[12:24] = header
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    return bytes(whole)


def check_message(error, service):
    """One line, which says whose it is and holds no secret."""
    text = str(error.value)
    assert text.startswith(f"{service.name}: ") and text.isprintable() and len(text) < 500
    assert not any(secret in text for secret in service.secrets)


# Labels ----------------------------------------------------------------------------------------


def test_labels_best_first_with_scores_from_0_to_1(service, client):
    client.script += [as_json(service.labelled(PAIRS)), as_json(service.labelled([]))]
    assert client.label(b"image") == service.labels
    assert client.label(b"image") == []
    assert len(client.requests) == 2 and client.pauses == []


@pytest.mark.parametrize("score", [-0.5, 1.5, float("nan")])
def test_a_score_outside_is_a_damaged_answer(service, score):
    if service.labels != LABELS:
        pytest.skip("the service gives no scores")
    with pytest.raises(ProtocolError) as error:
        service.parse(200, {}, json.dumps(service.labelled([("a", 0.5), ("b", score)])).encode())
    check_message(error, service)


def test_a_score_just_above_1_is_rounding(service):
    # that of openai is 1 by its rank
    body = json.dumps(service.labelled([("a", 1.00000007)])).encode()
    assert service.parse(200, {}, body) == [("a", 1.0)]


# Errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_error_is_typed_and_holds_no_secret(service, client, kind):
    status, value = service.errors[kind]
    repeated = " ".join(service.secrets)
    body = json.dumps(value).replace(SAID, f"{repeated} \\n {SAID}")
    client.script += [(status, {"Retry-After": "99"}, body.encode())]
    with pytest.raises(kind) as error:
        client.label(b"image")
    assert type(error.value) is kind
    assert SAID in str(error.value)
    assert error.value.sent
    assert error.value.retryable == (kind is UnavailableError)
    check_message(error, service)


@pytest.mark.parametrize("kind", [AuthenticationError, QuotaError, RefusedError, ProtocolError])
def test_what_will_not_change_is_sent_once(service, client, kind):
    status, value = service.errors[kind]
    client.script += [as_json(value, status)]
    with pytest.raises(kind):
        client.label(b"image")
    assert len(client.requests) == 1 and client.pauses == []


def test_what_may_change_is_sent_again(service, client):
    status, value = service.errors[UnavailableError]
    cut = json.dumps(service.labelled(PAIRS)).encode()[:-9]
    client.script += [as_json(value, status), (200, {}, cut), as_json(service.labelled(PAIRS))]
    assert client.label(b"image") == service.labels
    assert len(client.requests) == 3 and len(client.pauses) == 2
    client.script += [as_json(value, status)] * 3
    with pytest.raises(UnavailableError):
        client.label(b"image")
    assert len(client.requests) == 6


def test_waits_as_told(service, client):
    status, value = service.errors[UnavailableError]
    told = {"Retry-After": "7"}
    client.script += [as_json(value, status, **told), as_json(service.labelled(PAIRS))]
    assert client.label(b"image") == service.labels
    assert client.pauses == pytest.approx([7], abs=0.1)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, b"<html>Bad Gateway</html>", UnavailableError),
        (503, b"{}", UnavailableError),
        (413, b"<html>Too large</html>", RefusedError),
        (403, b"{}", AuthenticationError),
        (302, b"<html>Moved</html>", AuthenticationError),
        (404, b'{"message": "no such path"}', ProtocolError),
        (200, b"<html>Sign in to this network</html>", ProtocolError),
        (200, b"", ProtocolError),
        (200, b"[]", ProtocolError),
        (200, b"{}", ProtocolError),
    ],
)
def test_answers_of_whatever_stands_between(service, status, body, kind):
    with pytest.raises(kind) as error:
        service.parse(status, {}, body)
    assert type(error.value) is kind
    check_message(error, service)


@pytest.mark.parametrize("name", SERVICES)
@given(data=st.data())
def test_any_answer(name, data):
    service = SERVICES[name]
    check_outcome(name, service.module.parse_response, *data.draw(answers(*service.fields)))


# Limits, credentials, endpoint ------------------------------------------------------------------


def test_limits_are_checked_before_anything_is_sent(service, client):
    beyond = {
        "max_bytes": lambda most: png(500, 500) + bytes(most),
        "max_pixels": lambda most: png(most // 5000 + 1, 5000),
        "max_side": lambda most: png(most + 1, 500),
        "min_side": lambda least: png(500, least - 1),
    }
    limits = {name: getattr(client, name) for name in beyond if hasattr(client, name)}
    assert len(limits) >= 2 or service.name == "openai"  # whose servers differ
    for name, limit in limits.items():
        with pytest.raises(RefusedError, match=f"^{service.name} takes ") as error:
            ask(client, beyond[name](limit))
        assert not error.value.sent
    assert client.requests == []
    client.script += [as_json(service.labelled(PAIRS))]
    assert ask(client, png(500, 500)) == service.labels


def test_takes_jpeg_and_two_uploads_at_once(client):
    assert "jpeg" in client.formats and client.side_by_side


def test_each_missing_credential_is_named(service, monkeypatch):
    for variable in service.keys:
        with monkeypatch.context() as without:
            without.delenv(variable)
            with pytest.raises(AuthenticationError) as error:
                open_service(service.opened)
        check_message(error, service)
        assert all(name in str(error.value) for name in service.keys)


def test_credentials_go_to_encrypted_endpoints_alone(service, monkeypatch):
    monkeypatch.setenv(service.endpoint, "http://service.example.com")
    with pytest.raises(AuthenticationError, match="https"):
        open_service(service.opened)


def test_credentials_that_cannot_be_sent(service, client, monkeypatch):
    for variable in service.keys:
        monkeypatch.setenv(variable, "quiet\udcff")
    with pytest.raises(AuthenticationError) as error:
        open_service(service.opened).label(b"image")
    assert "quiet" not in str(error.value)
    check_message(error, service)

"""The local service: wire formats, their errors, faults, quota, and the command."""

import base64
import contextlib
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from PIL import Image

from adacompress_ref.core.roles import Label
from adacompress_ref.server.formats import all_formats
from adacompress_ref.server.standin import BODY_LIMIT, FAULTS, Server
from adacompress_ref.services import QuotaError, RefusedError, UnavailableError, ask, open_service
from adacompress_ref.storage.files import ImageError

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ("rekognition", "baidu", "facepp", "google")
LABELS = [Label("tabby", 0.625), Label("boîte", 0.5), Label("lynx", 0.25), Label("猫", 0.0625)]
CLASSIFY = "/rest/2.0/image-classify/v2/advanced_general"
DETECT = "/imagepp/beta/detectsceneandobject"
ANNOTATE = "/v1/images:annotate"
AWS = {"X-Amz-Target": "RekognitionService.DetectLabels", "Authorization": "AWS4-HMAC-SHA256 x"}
KEYS = {"api_key": "k", "api_secret": "s"}


def jpeg(*sides):
    stream = io.BytesIO()
    Image.new("L", sides, 128).save(stream, "JPEG")
    return stream.getvalue()


PAYLOAD = jpeg(96, 96)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Fake:
    """Knows four labels, and payloads that begin as JPEG does; one call at a time, or it fails."""

    def __init__(self, labels=LABELS):
        self.labels, self.payloads, self.inside = labels, [], threading.Lock()

    def label(self, payload):
        assert self.inside.acquire(blocking=False)
        self.payloads.append(payload)
        self.inside.release()
        if not payload.startswith(b"\xff\xd8"):
            raise ImageError("no JPEG")
        return self.labels


def text(payload):
    return base64.b64encode(payload).decode()


def token(server):
    query = {"grant_type": "client_credentials", "client_id": "k", "client_secret": "s"}
    return requests.get(f"{server.url}/oauth/2.0/token", params=query).json()["access_token"]


def send(server, name, payload=PAYLOAD, session=requests, access=None):
    """One image by a plain HTTP client; `access` is the token, else one is fetched."""
    if name == "rekognition":
        asked = {"Image": {"Bytes": text(payload)}, "MinConfidence": 0}
        return session.post(f"{server.url}/", json=asked, headers=AWS)
    if name == "baidu":
        url = f"{server.url}{CLASSIFY}?access_token={access or token(server)}"
        return session.post(url, data={"image": text(payload)})
    if name == "facepp":
        files = {"image_file": ("x.jpg", payload)}
        return session.post(f"{server.url}{DETECT}", data=KEYS, files=files)
    image = {"image": {"content": text(payload)}, "features": [{"type": "LABEL_DETECTION"}]}
    url = f"{server.url}{ANNOTATE}?key=k"
    return session.post(url, json={"requests": [image]})


def read(name, answer):
    """(name, score) of each label in an answer, best first."""
    if name == "rekognition":
        return [(each["Name"], each["Confidence"] / 100) for each in answer["Labels"]]
    if name == "baidu":
        assert answer["result_num"] == len(answer["result"])
        return [(each["keyword"], each["score"]) for each in answer["result"]]
    if name == "facepp":
        assert answer["scenes"] and answer["objects"]
        both = answer["scenes"] + answer["objects"]
        found = [(each["value"], each["confidence"] / 100) for each in both]
        return sorted(found, key=lambda each: -each[1])
    found = answer["responses"][0]["labelAnnotations"]
    assert all(each["mid"].startswith("/m/") for each in found)
    return [(each["description"], each["score"]) for each in found]


# Answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_format_says_what_the_service_says(name):
    service = Fake()
    payload = PAYLOAD + b"\r\n--\0\xff\r\n"  # bytes that a form must not change
    with Server(service) as server:
        response = send(server, name, payload)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert read(name, response.json()) == LABELS
    assert service.payloads == [payload]
    assert server.answered == 1
    assert server.requests == 1 + (name == "baidu")


def test_rekognition_leaves_out_what_was_not_asked_for():
    def names(**asked):
        body = {"Image": {"Bytes": text(PAYLOAD)}, **asked}
        answer = requests.post(f"{server.url}/", json=body, headers=AWS).json()
        return [each["Name"] for each in answer["Labels"]]

    with Server(Fake()) as server:
        assert names() == ["tabby"]
        assert names(MinConfidence=20) == ["tabby", "boîte", "lynx"]
        assert names(MinConfidence=0, MaxLabels=2) == ["tabby", "boîte"]


def test_google_takes_several_images():
    feature = {"type": "LABEL_DETECTION", "maxResults": 1}
    body = {
        "requests": [
            {"image": {"content": text(payload)}, "features": [feature]}
            for payload in (PAYLOAD, b"no image", PAYLOAD)
        ]
    }
    service = Fake()
    with Server(service) as server:
        headers = {"X-Goog-Api-Key": "k"}
        url = server.url + ANNOTATE
        first, second, third = requests.post(url, json=body, headers=headers).json()["responses"]
        service.labels = []
        assert send(server, "google").json() == {"responses": [{}]}
    assert [each["description"] for each in first["labelAnnotations"]] == ["tabby"]
    assert second == {"error": {"code": 3, "message": "Bad image data."}}
    assert third == first


def test_facepp_takes_base64():
    with Server(Fake()) as server:
        for files in (None, {"other": b""}):  # a plain form, and one of parts
            data = {**KEYS, "image_base64": text(PAYLOAD)}
            answer = requests.post(server.url + DETECT, data=data, files=files).json()
            assert read("facepp", answer) == LABELS


def test_baidu_gives_tokens_for_a_query_or_a_form():
    fields = {"grant_type": "client_credentials", "client_id": "k", "client_secret": "s"}
    with Server(Fake()) as server:
        url = f"{server.url}/oauth/2.0/token"
        answers = [
            requests.get(url, params=fields).json(),
            requests.post(url, params=fields).json(),
            requests.post(url, data=fields).json(),
        ]
        for answer in answers:
            assert answer["expires_in"] == 2592000
            assert "result" in send(server, "baidu", access=answer["access_token"]).json()
        assert len({answer["access_token"] for answer in answers}) == 3
        wrong = requests.post(url, data={**fields, "grant_type": "password"})
        assert (wrong.status_code, wrong.json()["error"]) == (400, "unsupported_grant_type")
        wrong = requests.post(url, data={**fields, "client_id": ""})
        assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")


def test_many_clients_at_once():
    with Server(Fake(), quota=28) as server, ThreadPoolExecutor(6) as executor:
        statuses = list(executor.map(lambda _: send(server, "google").status_code, range(30)))
    assert sorted(statuses) == [200] * 28 + [429] * 2
    assert (server.requests, server.answered) == (30, 28)


# Errors ----------------------------------------------------------------------------------------


def aws(code):
    return lambda answer: answer["__type"] == code and answer["Message"]


def baidu(code):
    return lambda answer: answer["error_code"] == code and answer["error_msg"]


def facepp(code):
    return lambda answer: answer["error_message"].startswith(code)


def google(code):
    return lambda answer: answer["error"]["status"] == code and answer["error"]["message"]


def image(payload, **others):
    return {"json": {"Image": {"Bytes": text(payload)}, **others}}


UNSIGNED = {"X-Amz-Target": AWS["X-Amz-Target"]}
OTHER = {**AWS, "X-Amz-Target": "RekognitionService.DetectFaces"}
PARAMETER = aws("InvalidParameterException")
BAD_IMAGE = aws("InvalidImageFormatException")
UNSIGNED_ERROR = aws("MissingAuthenticationTokenException")
UNSUPPORTED = facepp("IMAGE_ERROR_UNSUPPORTED_FORMAT: image_file")
MISSING = facepp("MISSING_ARGUMENTS: image_url, image_file, image_base64")


@pytest.mark.parametrize(
    ("path", "options", "status", "check"),
    [
        ("/", {**image(PAYLOAD), "headers": UNSIGNED}, 400, UNSIGNED_ERROR),
        ("/", {**image(PAYLOAD), "headers": OTHER}, 400, aws("UnknownOperationException")),
        ("/", {**image(b"no image"), "headers": AWS}, 400, BAD_IMAGE),
        ("/", {**image(bytes(5242881)), "headers": AWS}, 400, aws("ImageTooLargeException")),
        ("/", {"json": {"Image": {"Bytes": "?"}}, "headers": AWS}, 400, BAD_IMAGE),
        ("/", {"json": {"Image": {}}, "headers": AWS}, 400, PARAMETER),
        ("/", {"json": [], "headers": AWS}, 400, PARAMETER),
        ("/", {"data": b"{", "headers": AWS}, 400, PARAMETER),
        ("/", {**image(PAYLOAD, MinConfidence=101), "headers": AWS}, 400, PARAMETER),
        ("/", {**image(PAYLOAD, MaxLabels=-1), "headers": AWS}, 400, PARAMETER),
        (CLASSIFY, {"data": {"image": text(PAYLOAD)}}, 200, baidu(110)),
        (f"{CLASSIFY}?access_token=x", {"data": {"image": text(PAYLOAD)}}, 200, baidu(110)),
        ("TOKEN", {"data": {"image": ""}}, 200, baidu(216200)),
        ("TOKEN", {"data": b""}, 200, baidu(216200)),
        ("TOKEN", {"data": {"image": text(b"no image")}}, 200, baidu(216201)),
        ("TOKEN", {"data": {"image": "?"}}, 200, baidu(216201)),
        ("TOKEN", {"data": {"image": "A" * (8 * 2**20 + 4)}}, 200, baidu(216202)),
        ("TOKEN", {"data": {"image": text(jpeg(14, 64))}}, 200, baidu(216202)),
        ("TOKEN", {"data": {"image": text(jpeg(64, 8193))}}, 200, baidu(216202)),
        (DETECT, {"data": {"image_base64": text(PAYLOAD)}}, 401, facepp("AUTHENTICATION_ERROR")),
        (DETECT, {"data": KEYS}, 400, MISSING),
        (DETECT, {"data": KEYS, "files": {"image_file": b"no image"}}, 400, UNSUPPORTED),
        (DETECT, {"data": {**KEYS, "image_base64": "?"}}, 400, UNSUPPORTED),
        (DETECT, {"headers": {"Content-Type": "multipart/form-data"}, "data": b"\xff"}, 401, None),
        (ANNOTATE, {"json": {"requests": []}}, 403, google("PERMISSION_DENIED")),
        (f"{ANNOTATE}?key=k", {"json": {"images": []}}, 400, google("INVALID_ARGUMENT")),
        (f"{ANNOTATE}?key=k", {"data": b"\xff"}, 400, google("INVALID_ARGUMENT")),
        ("/v2/other", {"json": {}}, 404, lambda answer: answer["error"]),
        ("/", {"json": {}}, 404, lambda answer: answer["error"]),
    ],
)  # fmt: skip
def test_errors(path, options, status, check):
    with Server(Fake()) as server:
        if path == "TOKEN":
            path = f"{CLASSIFY}?access_token={token(server)}"
        response = requests.post(server.url + path, **options)
    assert response.status_code == status
    assert check is None or check(response.json())
    assert server.answered == 0


def test_facepp_says_in_plain_text_that_a_request_is_too_large():
    with Server(Fake()) as server:
        response = send(server, "facepp", bytes(2 * 2**20))
    assert (response.status_code, response.text) == (413, "Request Entity Too Large")
    assert response.headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([], 411),
        (["Content-Length: x"], 411),
        (["Content-Length: -1"], 411),
        (["Transfer-Encoding: chunked"], 411),
        ([f"Content-Length: {BODY_LIMIT + 1}"], 413),
        (["Content-Length: " + "9" * 5000], 413),
        (["Content-Length: 5"], 400),
    ],
)
def test_bodies_of_no_known_length(lines, status):
    with Server(Fake()) as server, connected(server) as raw:
        raw.sendall("\r\n".join(["POST / HTTP/1.1", *lines, "", ""]).encode())
        raw.shutdown(socket.SHUT_WR)
        assert raw.makefile("rb").read().startswith(f"HTTP/1.1 {status} ".encode())
    assert (server.requests, server.answered) == (1, 0)


@pytest.mark.parametrize("wrong", [ValueError("the model\nis no use"), [Label("x", float("nan"))]])
@pytest.mark.parametrize("name", NAMES)
def test_a_service_that_fails_is_an_internal_error(name, wrong, capsys):
    class Broken:
        def label(self, payload):
            if isinstance(wrong, Exception):
                raise wrong
            return wrong

    with Server(Broken()) as server:
        response = send(server, name)
    assert response.status_code == (200 if name == "baidu" else 500)
    assert "nternal" in response.text or "INTERNAL" in response.text
    (line,) = capsys.readouterr().err.splitlines()
    assert line in ("adacompress: the model", "adacompress: service Broken: label() returned "
                    "Label(name='x', score=nan); it should return a list of Label(name, score), "
                    "scores from 0 to 1, best first")  # fmt: skip


QUOTAS = {
    "rekognition": (400, "ProvisionedThroughputExceededException"),
    "baidu": (200, "17"),
    "facepp": (403, "AUTHORIZATION_ERROR:"),
    "google": (429, "RESOURCE_EXHAUSTED"),
}


@pytest.mark.parametrize("name", NAMES)
def test_quota(name):
    with Server(Fake(), quota=1) as server:
        read(name, send(server, name).json())
        for _ in range(2):
            response = send(server, name)
            assert response.status_code == QUOTAS[name][0]
            assert QUOTAS[name][1] in response.text
    assert server.answered == 1


# Time ------------------------------------------------------------------------------------------


def test_latency_and_bandwidth():
    slept = []
    with Server(Fake(), latency=0.5, bandwidth=1e6) as server:
        server.sleep = slept.append
        requests.post(f"{server.url}/", data=bytes(1000))
        requests.get(f"{server.url}/oauth/2.0/token")
    assert slept == [pytest.approx(0.5 + 0.008), 0.5]


def test_connections_are_kept():
    with Server(Fake()) as server, requests.Session() as session:
        for _ in range(3):
            send(server, "google", session=session)
        assert len(server.connections) == 1


def test_the_end_ends_connections_that_are_kept():
    with requests.Session() as session:
        with Server(Fake()) as server:
            send(server, "google", session=session)
        with pytest.raises(requests.ConnectionError):
            send(server, "google", session=session)
    assert server.requests == 1


def test_the_end_waits_for_no_fault():
    with ThreadPoolExecutor(2) as executor:
        futures = []
        with Server(Fake(), error_rate=1, faults=["timeout", "slow"], seed=1) as server:
            for _ in range(2):
                futures.append(executor.submit(send, server, "google"))
                while sum(server.faults.values()) < len(futures):
                    time.sleep(0.01)
            assert set(server.faults) == {"timeout", "slow"}
            assert not any(future.done() for future in futures)
            started = time.monotonic()
        assert time.monotonic() - started < 5
        assert not wait(futures, 5).not_done


def test_only_this_machine_unless_told_otherwise():
    with Server(Fake()) as server:
        assert server.address == "127.0.0.1"
    with Server(Fake(), host="0.0.0.0") as server:
        assert server.url.startswith("http://127.0.0.1:")
        send(server, "google")
    with pytest.raises(OSError, match="in use"), Server(Fake()) as server:
        Server(Fake(), port=server.server_address[1])


# Faults ----------------------------------------------------------------------------------------


def connected(server):
    return socket.create_connection(("127.0.0.1", server.server_address[1]), 5)


def faulty(fault, **options):
    return Server(Fake(), error_rate=1, faults=[fault], **options)


def raw_request(server):
    """The answer of Google's format from its first byte to the end of the connection."""
    body = json.dumps({"requests": []}).encode()
    head = f"POST {ANNOTATE}?key=k HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    with connected(server) as raw:
        raw.sendall(head.encode() + body)
        return raw.makefile("rb").read()


def test_timeout_holds_a_request_and_never_answers():
    with faulty("timeout", hold=7) as server:
        slept = []
        server.sleep = slept.append
        assert raw_request(server) == b""
    assert slept == [0, 7]
    assert server.faults == {"timeout": 1}


def test_reset_is_no_orderly_end():
    with faulty("reset") as server, pytest.raises(ConnectionResetError):
        raw_request(server)


@pytest.mark.parametrize("name", NAMES)
def test_malformed_is_no_json(name):
    with faulty("malformed") as server:
        response = send(server, name, access="x")
    assert response.status_code == 200
    with pytest.raises(ValueError):
        response.json()


@pytest.mark.parametrize("name", NAMES)
def test_truncated_with_and_without_a_length_that_tells(name):
    with faulty("truncated") as server:
        server.formats[1].tokens.add("x")
        response = send(server, name, access="x")
        assert len(response.content) == int(response.headers["Content-Length"])
        with pytest.raises(ValueError):
            response.json()
        with contextlib.suppress(requests.exceptions.ChunkedEncodingError):
            response = send(server, name, access="x")  # older versions of requests do not mind
            assert len(response.content) < int(response.headers["Content-Length"])


def test_a_client_that_goes_away_is_no_error(capsys):
    with faulty("slow", hold=1) as server:
        with connected(server) as raw:
            raw.sendall(f"POST {DETECT} HTTP/1.1\r\nContent-Length: 0\r\n\r\n".encode())
            raw.recv(1)
        while server.connections:
            time.sleep(0.01)
    assert capsys.readouterr().err == ""


def test_slow_is_a_byte_at_a_time():
    with faulty("slow", hold=7) as server:
        slept = []
        server.sleep = slept.append
        response = send(server, "google")
    assert read("google", response.json()) == LABELS
    assert len(slept) == 1 + len(response.content)
    assert sum(slept) == pytest.approx(7)


ERRORS = {
    "429": {
        "rekognition": (400, aws("ThrottlingException")),
        "baidu": (200, baidu(18)),
        "facepp": (403, facepp("CONCURRENCY_LIMIT_EXCEEDED")),
        "google": (429, google("RESOURCE_EXHAUSTED")),
    },
    "500": {
        "rekognition": (500, aws("InternalServerError")),
        "baidu": (200, baidu(282000)),
        "facepp": (500, facepp("INTERNAL_ERROR")),
        "google": (500, google("INTERNAL")),
    },
    "503": {
        "rekognition": (503, aws("ServiceUnavailableException")),
        "baidu": (503, baidu(2)),
        "facepp": (503, None),
        "google": (503, google("UNAVAILABLE")),
    },
}


@pytest.mark.parametrize("fault", ERRORS)
@pytest.mark.parametrize("name", NAMES)
def test_errors_of_a_busy_server(name, fault):
    status, check = ERRORS[fault][name]
    with faulty(fault) as server:
        response = send(server, name, access="x")
        assert requests.get(f"{server.url}/oauth/2.0/token").status_code == int(fault)
    assert response.status_code == status
    assert check is None or check(response.json())
    assert response.headers.get("Retry-After") == {429: "0", 503: "1"}.get(status)
    assert server.faults == {fault: 2}


def test_expired_is_for_services_whose_credentials_expire():
    with faulty("expired") as server:
        found = token(server)
        assert baidu(111)(send(server, "baidu", access=found).json())
        assert found not in server.formats[1].tokens
        for name in ("rekognition", "facepp", "google"):
            assert read(name, send(server, name).json()) == LABELS
    assert server.faults == {"expired": 1}


def test_a_share_of_faults_of_all_kinds_the_same_with_the_same_seed():
    def drawn(seed):
        with Server(Fake(), error_rate=0.2, seed=seed) as server:
            return [server.draw(server.formats[1]) for _ in range(2000)], server.faults

    kinds, faults = drawn(0)
    assert drawn(0) == (kinds, faults)
    assert drawn(1)[0] != kinds
    assert set(faults) == set(FAULTS)
    assert 350 < faults.total() < 450
    assert min(faults.values()) > 25
    with pytest.raises(ValueError, match="'teapot'"):
        Server(Fake(), faults=["teapot"])


# The clients -----------------------------------------------------------------------------------


def point_at(server, monkeypatch):
    for wire in server.formats:
        for variable, value in wire.environment(server.url).items():
            monkeypatch.setenv(variable, value)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_gets_what_the_service_says(name, monkeypatch, photos):
    service = open_service("squeezenet")
    with Server(service) as server:
        point_at(server, monkeypatch)
        client = open_service(name)
        for photo in ("coffee.jpg", "rocket.jpg"):
            payload = (photos / photo).read_bytes()
            found, expected = dict(ask(client, payload)), dict(ask(service, payload))
            assert found == pytest.approx(expected, abs=6e-6)  # Face++: 0.001%
    assert server.answered == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_client_gets_through_faults(name, monkeypatch):
    with Server(Fake(), error_rate=0.3, hold=1.5, seed=2) as server:
        point_at(server, monkeypatch)
        client = open_service(name, deadline=0.5, tries=8)
        client.transport._sleep = lambda seconds: None
        for _ in range(30):
            assert ask(client, PAYLOAD) == LABELS
    assert server.answered >= 30
    assert server.faults.total() > 5


@pytest.mark.parametrize("name", NAMES)
def test_a_client_knows_quota_and_refusal(name, monkeypatch):
    with Server(Fake(), quota=0) as server:
        point_at(server, monkeypatch)
        client = open_service(name, tries=1)
        expected = UnavailableError if name == "rekognition" else QuotaError
        with pytest.raises(expected):
            client.label(PAYLOAD)
        server.quota = 1
        with pytest.raises(RefusedError):
            client.label(b"no image")


def test_the_client_of_amazon_gets_through(monkeypatch):
    boto3 = pytest.importorskip("boto3", reason="the outside judge of this format")
    with Server(Fake()) as server:
        point_at(server, monkeypatch)
        client = boto3.client("rekognition", region_name="us-east-1")
        answer = client.detect_labels(Image={"Bytes": PAYLOAD}, MinConfidence=0)
        assert read("rekognition", answer) == LABELS
        with pytest.raises(client.exceptions.InvalidImageFormatException):
            client.detect_labels(Image={"Bytes": b"no image"})


# The command -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ("--port PORT", "127.0.0.1:PORT: Address already in use; name others"),
        ("--host 256.0.0.1 --port 0", "256.0.0.1:0: "),
        ("--port 65536", "from 0 to 65535"),
        ("--error-rate 2", "from 0 to 1"),
        ("--service rekognition", "squeezenet or onnx:FILE, which run on this machine"),
        ("--service onnx:none.onnx", "none.onnx"),
    ],
)
def test_unusable_arguments(adacompress, arguments, match):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        status, out, err = adacompress("serve", *arguments.replace("PORT", port).split())
    assert (status, out) == (2, "")
    assert match.replace("PORT", port) in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("how", "options"), [(signal.SIGINT, ["--json"]), (signal.SIGTERM, ["--host", "0.0.0.0"])]
)
def test_from_start_to_signal(how, options, photos):
    with subprocess.Popen(
        [sys.executable, "-m", "adacompress_ref", "serve", "--port", "0", "--quota", "1", *options],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        for _ in range(2):
            send(SimpleNamespace(url=url), "google", (photos / "coffee.jpg").read_bytes())
        process.send_signal(how)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 128 + how
    assert "Traceback" not in err
    assert "not for production" in err
    assert ("open to other machines" in err) == ("--host" in options)
    assert err.splitlines()[-1] == "2 requests, 1 answered"
    if "--json" in options:
        assert (json.loads(line), out) == ({"url": url}, "")
        return
    exported = [line.split() for line in out.splitlines()]
    assert [words[0] for words in exported] == ["export"] * 5
    expected = [wire.environment(url) for wire in all_formats() if wire.environment(url)]
    assert [dict(each.split("=") for each in words[1:]) for words in exported] == expected

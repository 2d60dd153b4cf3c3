"""Between boto3 and a service: what leaves and comes back, who may, restarts, hostile requests."""

import ast
import base64
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from gateway_helpers import Fake, gateway, logged, system
from PIL import Image
from service_helpers import as_json, serving
from stream_helpers import everything

from adacompress_ref.running import runlog, traffic
from adacompress_ref.running.live import LiveImage
from adacompress_ref.running.state import StateError, StateFolder
from adacompress_ref.running.stream import Stream
from adacompress_ref.running.traffic import Traffic
from adacompress_ref.server.standin import Server
from adacompress_ref.services.rekognition import Rekognition

boto3 = pytest.importorskip("boto3", reason="the vendor's own client")
from botocore.config import Config  # noqa: E402
from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
LONG = 60.0  # seconds, which nothing here takes
TARGET = "X-Amz-Target: RekognitionService.DetectLabels"


pytestmark = pytest.mark.usefixtures("environment")


def amazon(gateway, secret="any", **options):
    """boto3 as it comes, with another endpoint."""
    settings = {"endpoint_url": gateway.url, "region_name": "us-east-1"}
    keys = {"aws_access_key_id": "client", "aws_secret_access_key": secret}
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=8, **options)
    return boto3.session.Session().client("rekognition", **settings, **keys, config=config)


def as_run_has_it(line):
    return {name: line[name] for name in runlog.FIELDS if name != "image"}


# What leaves and what comes back ---------------------------------------------------------------


def test_one_client_in_order_is_a_run(pilot, jpegs, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, file in enumerate(jpegs[:12]):
        (folder / f"{number:03}.jpg").write_bytes(file)
    ours, theirs = Fake(), Fake()
    with Server(theirs) as server, closing(StateFolder(tmp_path / "run", {})) as state:
        service = Rekognition(tries=1)
        service.endpoint = server.url
        stream = Stream(folder, system(pilot), service, state)
        expected = list(stream.send([f"{n:03}.jpg" for n in range(12)], lambda: False))
    with Server(ours) as server, gateway(pilot, server.url, tmp_path / "gateway") as opened:
        client = amazon(opened)
        for file in jpegs[:12]:
            client.detect_labels(Image={"Bytes": file}, MaxLabels=10, MinConfidence=0)
    lines = logged(tmp_path / "gateway")
    assert [*map(as_run_has_it, lines)] == [*map(as_run_has_it, expected)]
    assert sorted(ours.payloads) == sorted(theirs.payloads)
    assert [line["image"] for line in lines] == [
        f"{line['sha256'][:16]}-{number}" for number, line in enumerate(lines, 1)
    ]


def test_many_clients_at_once(pilot, jpegs, tmp_path):
    service, said = Fake(), {}
    with Server(service) as server, gateway(pilot, server.url, tmp_path / "s") as opened:
        client = amazon(opened)

        def ask(file):
            answer = client.detect_labels(Image={"Bytes": file}, MinConfidence=0)
            return [(label["Name"], label["Confidence"]) for label in answer["Labels"]]

        with ThreadPoolExecutor(8) as executor:
            said = dict(zip(jpegs, executor.map(ask, jpegs), strict=True))
    lines = logged(tmp_path / "s")
    assert [line["number"] for line in lines] == list(range(1, 61))
    by_image = {line["sha256"]: line for line in lines}
    assert len(by_image) == 60
    assert sum(line["bytes_sent"] for line in lines) == sum(map(len, service.payloads))
    for file, answer in said.items():
        line = by_image[hashlib.sha256(file).hexdigest()]
        size = line["reference_bytes" if line["answered_by"] == "reference" else "bytes"]
        assert answer[2] == (f"{size} bytes", 62.5)
        assert [name for name, _ in answer] == [name for name, _ in line["labels"]]


ODD = b'{ "Labels" : [ {"Name":"\\u00e9","Confidence":97.5,"Instances":[]} ] }\n'


def test_the_answer_is_the_services_own_byte_for_byte(pilot, jpegs, tmp_path):
    def answer(request):
        headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": "r-1"}
        return 200, {**headers, "Set-Cookie": "no", "X-Other": "no"}, ODD

    body = {"Image": {"Bytes": base64.b64encode(jpegs[0]).decode()}, "MaxLabels": 7,
            "Settings": {"GeneralLabels": {"LabelExclusionFilters": ["Cat"]}}}  # fmt: skip
    headers = {"X-Amz-Target": TARGET[14:], "Cookie": "mine", "Authorization": "mine", "X-Y": "z"}
    with serving(answer) as (url, asked), gateway(pilot, url, tmp_path / "s") as opened:
        got = requests.post(opened.url, json=body, headers=headers)
    assert (got.status_code, got.content) == (200, ODD)
    names = {name.lower() for name in got.headers} - {"server", "date", "content-length"}
    assert names == {"content-type", "x-amzn-requestid"}
    for request in asked:
        fields = json.loads(request.body)
        sent = base64.b64decode(fields.pop("Image")["Bytes"])
        assert sent != jpegs[0] and Image.open(io.BytesIO(sent)).size == (120, 96)
        assert fields == {"MaxLabels": 7, "Settings": body["Settings"]}
        assert "mine" not in str(request.headers) and "z" not in request.headers.values()
        assert "Credential=the-gateways-own/" in request.headers["Authorization"]


@pytest.mark.parametrize("features", [["IMAGE_PROPERTIES"], ["GENERAL_LABELS", "IMAGE_PROPERTIES"]])
def test_what_asks_for_more_than_labels_goes_unchanged_and_unlearned(
    pilot, jpegs, tmp_path, features
):
    with (
        serving(lambda request: as_json({"ImageProperties": {}})) as (url, asked),
        gateway(pilot, url, tmp_path / "s") as opened,
    ):
        amazon(opened).detect_labels(Image={"Bytes": jpegs[0]}, Features=features)
    (request,) = asked
    assert base64.b64decode(json.loads(request.body)["Image"]["Bytes"]) == jpegs[0]
    assert json.loads(request.body)["Features"] == features
    assert not (tmp_path / "s" / "log.jsonl").exists()


def test_what_we_cannot_read_the_service_judges_itself(pilot, tmp_path):
    with Server(Fake()) as server, gateway(pilot, server.url, tmp_path / "s") as opened:
        client = amazon(opened)
        with pytest.raises(client.exceptions.InvalidImageFormatException):
            client.detect_labels(Image={"Bytes": b"no image"})


def test_all_but_labels_of_bytes_is_refused(pilot, jpegs, tmp_path):
    with (
        serving(lambda request: as_json({})) as (url, asked),
        gateway(pilot, url, tmp_path / "s") as opened,
    ):
        client = amazon(opened)
        with pytest.raises(client.exceptions.AccessDeniedException):
            client.detect_faces(Image={"Bytes": jpegs[0]})
        with pytest.raises(client.exceptions.AccessDeniedException):
            client.detect_labels(Image={"S3Object": {"Bucket": "bucket", "Name": "n"}})
    assert asked == []


# Faults ----------------------------------------------------------------------------------------


def fault(code, status=400, **headers):
    return lambda request: as_json({"__type": code, "message": "said"}, status, **headers)


@pytest.mark.parametrize(
    ("answer", "code", "retry_after"),
    [
        (fault("ThrottlingException"), "ThrottlingException", "1"),
        (fault("InternalServerError", 500), "InternalServerError", "1"),
        (fault("ServiceUnavailableException", 503, **{"Retry-After": "7"}),
         "ServiceUnavailableException", "7"),
        (fault("InvalidParameterException"), "InvalidParameterException", None),
        (fault("NoSuchThingException"), "NoSuchThingException", None),
        # about the gateway's own account
        (fault("UnrecognizedClientException"), "InternalServerError", None),
        # damaged
        (lambda request: (200, {}, b"<html>"), "ServiceUnavailableException", "1"),
    ],
)  # fmt: skip
def test_faults_are_the_services_own(pilot, jpegs, tmp_path, answer, code, retry_after):
    with (
        serving(answer) as (url, _),
        gateway(pilot, url, tmp_path / "s") as opened,
        pytest.raises(ClientError) as failed,
    ):
        amazon(opened).detect_labels(Image={"Bytes": jpegs[0]})
    response = failed.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPHeaders"].get("retry-after") == retry_after
    assert not (tmp_path / "s" / "log.jsonl").exists()


def test_the_deadline_and_the_end_are_a_503(pilot, jpegs, tmp_path):
    hold, arrived = threading.Event(), threading.Semaphore(0)

    def answer(request):
        arrived.release()
        hold.wait(LONG)
        return as_json({"Labels": []})

    def code(opened):
        with pytest.raises(ClientError) as failed:
            amazon(opened).detect_labels(Image={"Bytes": jpegs[0]})
        return failed.value.response["Error"]["Code"]

    try:
        with serving(answer) as (url, _):
            with gateway(pilot, url, tmp_path / "a", deadline=0.5) as opened:
                assert code(opened) == "ServiceUnavailableException"
            with ThreadPoolExecutor(1) as executor:
                while arrived.acquire(blocking=False):
                    pass
                with gateway(pilot, url, tmp_path / "b", drain=0.1) as opened:
                    client = executor.submit(code, opened)
                    arrived.acquire(timeout=LONG)
                assert client.result(LONG) == "ServiceUnavailableException"
    finally:
        hold.set()


def test_nothing_is_sent_for_a_client_that_has_gone(pilot, jpegs, tmp_path, monkeypatch):
    begun, gone = threading.Event(), threading.Event()
    before = LiveImage.__init__

    def slow(self, *arguments):
        begun.set()
        gone.wait(LONG)
        before(self, *arguments)

    monkeypatch.setattr(LiveImage, "__init__", slow)
    with (
        serving(lambda request: as_json({"Labels": []})) as (url, asked),
        gateway(pilot, url, tmp_path / "s") as opened,
    ):
        with socket.create_connection(opened.server_address[:2]) as raw:
            raw.sendall(whole(jpegs[0], opened))
            begun.wait(LONG)
        gone.set()
    assert asked == [] and not (tmp_path / "s" / "log.jsonl").exists()


# Restarts --------------------------------------------------------------------------------------


def test_a_restart_learns_from_lines_after_the_last_save_without_images(pilot, jpegs, tmp_path):
    with Server(Fake()) as server, gateway(pilot, server.url, tmp_path / "s", drain=LONG) as opened:
        client = amazon(opened)

        def ask(file):
            client.detect_labels(Image={"Bytes": file}, MinConfidence=0)

        with ThreadPoolExecutor(8) as executor:
            list(executor.map(ask, jpegs[:40]))
        shutil.copytree(tmp_path / "s", tmp_path / "killed")  # as a kill leaves it
    with closing(StateFolder(tmp_path / "killed", {}, traffic.check)) as state:
        assert [line["number"] for line in state.missed] == list(range(26, 41))
        again = Traffic(system(pilot), state)
        for name in ("agent", "monitor", "state", "initial"):
            assert everything(getattr(again.pilot.controller, name)) == everything(
                getattr(opened.traffic.pilot.controller, name)
            )
    with closing(StateFolder(tmp_path / "killed", {}, traffic.check)) as state:
        assert not state.missed and state.lines == 40


@pytest.mark.parametrize("change", [{"vector": "?"}, {"vector": None}, {"action": "1"}])
def test_a_damaged_line_is_refused(pilot, jpegs, tmp_path, change):
    with Server(Fake()) as server, gateway(pilot, server.url, tmp_path / "s") as opened:
        amazon(opened).detect_labels(Image={"Bytes": jpegs[0]}, MinConfidence=0)
        shutil.copytree(tmp_path / "s", tmp_path / "killed")
    (line,) = logged(tmp_path / "killed")
    (tmp_path / "killed" / "log.jsonl").write_text(json.dumps(line | change) + "\n")
    with pytest.raises(StateError, match=r"log.jsonl: damaged.*has no|log.jsonl: damaged"):
        StateFolder(tmp_path / "killed", {}, traffic.check)


# Who may ---------------------------------------------------------------------------------------


def test_a_token_is_the_clients_secret_key(pilot, jpegs, tmp_path, monkeypatch):
    with (
        Server(Fake()) as server,
        gateway(pilot, server.url, tmp_path / "s", token="a token/+=") as opened,
    ):
        ask = {"Image": {"Bytes": jpegs[0]}, "MinConfidence": 0}
        assert amazon(opened, "a token/+=").detect_labels(**ask)["Labels"]
        with pytest.raises(ClientError, match="InvalidSignature"):
            amazon(opened, "another").detect_labels(**ask)
        unsigned = requests.post(opened.url, json={}, headers={"X-Amz-Target": TARGET[14:]})
        assert unsigned.json()["__type"] == "MissingAuthenticationTokenException"
        then = datetime.now(timezone.utc).replace(tzinfo=None) - timedelta(minutes=16)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: then)
        with pytest.raises(ClientError, match="Signature expired"):
            amazon(opened, "a token/+=").detect_labels(**ask)
    assert len(logged(tmp_path / "s")) == 1
    text = b"".join(path.read_bytes() for path in (tmp_path / "s").iterdir())
    assert b"a token/+=" not in text and b"only-the-gateway-knows" not in text


def test_other_machines_need_a_token(pilot, tmp_path):
    with (
        pytest.raises(ValueError, match="set ADACOMPRESS_GATEWAY_TOKEN"),
        gateway(pilot, "http://127.0.0.1:9", tmp_path / "a", host="0.0.0.0"),
    ):
        pass
    with gateway(
        pilot, "http://127.0.0.1:9", tmp_path / "b", token="t", host="0.0.0.0", names=["gw"]
    ):
        pass


def test_a_gateway_is_not_its_own_service(pilot, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    with (
        pytest.raises(ValueError, match="the gateway itself"),
        gateway(pilot, url, tmp_path / "s", port=port),
    ):
        pass


def test_a_request_in_a_circle_is_a_508(pilot, jpegs, tmp_path):
    with (
        Server(Fake()) as server,
        gateway(pilot, server.url, tmp_path / "a") as inner,
        gateway(pilot, inner.url, tmp_path / "b") as outer,
        pytest.raises(ClientError, match="508"),
    ):
        amazon(outer).detect_labels(Image={"Bytes": jpegs[0]})
    assert server.requests == 0


# Hostile requests ------------------------------------------------------------------------------


def whole(file, opened, *lines):
    """A request as bytes."""
    body = json.dumps({"Image": {"Bytes": base64.b64encode(file).decode()}}).encode()
    host = f"Host: 127.0.0.1:{opened.server_address[1]}"
    head = ["POST / HTTP/1.1", host, TARGET, f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def spoken(server, data):
    """The status of each answer, and whether the connection was closed."""
    with socket.create_connection(server.server_address[:2], LONG) as raw:
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        answers = raw.makefile("rb").read()
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


INNER = "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
BOTH = [  # framing, of the gateway and of serve
    ("POST / HTTP/1.1|HOST|Content-Length: 5|Transfer-Encoding: chunked||0\r\n\r\n" + INNER, 411),
    ("POST / HTTP/1.1|HOST|Transfer-Encoding: chunked||0\r\n\r\n" + INNER, 411),
    ("POST / HTTP/1.1|HOST|Transfer-Encoding: identity|Content-Length: 0||" + INNER, 411),
    ("POST / HTTP/1.1|HOST|Transfer-Encoding : chunked|Content-Length: 0||" + INNER, 400),
    ("POST / HTTP/1.1|HOST|Content-Length: 0|Content-Length: 9||" + INNER, 400),
    ("POST / HTTP/1.1|HOST|Content-Length: 0|Content-Length: 0||" + INNER, 400),
    ("POST / HTTP/1.1|HOST|Content-Length: +5||abcde" + INNER, 411),
    ("POST / HTTP/1.1|HOST|Content-Length: 5, 5||abcde" + INNER, 411),
    ("POST / HTTP/1.1|HOST|Content-Length: 0x5||abcde" + INNER, 411),
    ("POST / HTTP/1.1|HOST|Content-Length : 5||abcde" + INNER, 400),
    ("POST / HTTP/1.1|HOST|X: a|  b|Content-Length: 0||" + INNER, 400),
    ("POST / HTTP/1.1|HOST|X: a\0b|Content-Length: 0||" + INNER, 400),
    ("POST / HTTP/1.1|HOST|no header|Content-Length: 0||" + INNER, 400),
    ("GET / HTTP/1.1|HOST|Content-Length: 5||abcde" + INNER, 400),
    ("GET / HTTP/1.1|HOST|Transfer-Encoding: chunked||0\r\n\r\n" + INNER, 411),
    ("POST / HTTP/1.1|HOST|Content-Length: 99999999||", 413),
    ("POST / HTTP/1.1|HOST|Content-Length: 5||abc", 400),
    ("PUT / HTTP/1.1|HOST|Content-Length: 0||" + INNER, 501),
]
OURS = [
    ("POST / HTTP/1.1|HOST|Origin: http://127.0.0.1|Content-Length: 0||" + INNER, 403),
    ("POST / HTTP/1.1|Host: evil.example|Content-Length: 0||" + INNER, 421),
    ("POST / HTTP/1.1|Host: 127.0.0.1:1|Content-Length: 0||" + INNER, 421),
    ("POST / HTTP/1.1|Host: a@127.0.0.1|Content-Length: 0||" + INNER, 421),
    ("POST / HTTP/1.1|HOST|HOST|Content-Length: 0||" + INNER, 421),
    ("POST / HTTP/1.1|Content-Length: 0||" + INNER, 421),
    ("POST http://evil.example/ HTTP/1.1|HOST|Content-Length: 0||" + INNER, 421),
    ("POST / HTTP/1.1|HOST|Via: 1.1 adacompress|Content-Length: 0||" + INNER, 508),
]  # fmt: skip


def on_the_wire(text, server):
    host = f"Host: 127.0.0.1:{server.server_address[1]}"
    return text.replace("HOST", host).replace("|", "\r\n").encode("latin-1")


@pytest.mark.parametrize(("text", "status"), BOTH + OURS)
def test_a_hostile_request_has_one_answer_and_the_end(pilot, tmp_path, text, status):
    with gateway(pilot, "http://127.0.0.1:9", tmp_path / "s") as opened:
        assert spoken(opened, on_the_wire(text, opened)) == [status]


@pytest.mark.parametrize(("text", "status"), BOTH)
def test_the_stand_in_is_as_strict(text, status):
    with Server(Fake()) as server:
        assert spoken(server, on_the_wire(text, server)) == [status]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "InvalidParameterException"),
        (b"[]", "InvalidParameterException"),
        (b"[" * 100_000, "InvalidParameterException"),
        (b'{"Image": {}}', "InvalidImageFormatException"),
        (b'{"Image": {"Bytes": "?"}}', "InvalidImageFormatException"),
        (b'{"Image": {"Bytes": "", "S3Object": {}}}', "AccessDeniedException"),
        (b'{"Image": {"Bytes": "", "S3\\u004fbject": {}}}', "AccessDeniedException"),
    ],
)
def test_misshapen_bodies(pilot, tmp_path, body, code):
    with gateway(pilot, "http://127.0.0.1:9", tmp_path / "s") as opened:
        got = requests.post(opened.url, data=body, headers={"X-Amz-Target": TARGET[14:]})
    assert (got.status_code, got.json()["__type"]) == (400, code)


def test_slow_requests_are_closed(pilot, tmp_path, monkeypatch):
    monkeypatch.setattr("adacompress_ref.server.strict.WHOLE", 0.5)
    with (
        gateway(pilot, "http://127.0.0.1:9", tmp_path / "s") as opened,
        socket.create_connection(opened.server_address[:2], LONG) as raw,
        pytest.raises(OSError),
    ):
        for letter in b"POST / HTTP/1.1\r\n" * 1000:
            raw.sendall(bytes([letter]))
            threading.Event().wait(0.01)


def test_one_client_too_many_is_a_503(pilot, tmp_path):
    with gateway(pilot, "http://127.0.0.1:9", tmp_path / "s", clients=2) as opened:
        kept = [socket.create_connection(opened.server_address[:2], LONG) for _ in range(2)]
        while len(opened.connections) < 2:
            threading.Event().wait(0.01)
        with socket.create_connection(opened.server_address[:2], LONG) as raw:
            answer = raw.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 503 ") and b"\r\nretry-after: 1\r\n" in answer
        assert b"ServiceUnavailableException" in answer
        for raw in kept:
            raw.close()


# The command -----------------------------------------------------------------------------------


@contextmanager
def command(server, folder, *options):
    """The command as a process of its own, and its address; killed in the end."""
    own = {"AWS_ENDPOINT_URL_REKOGNITION": server.url, "PYTHONPATH": str(REPOSITORY)}
    arguments = ["gateway", "rekognition", "--state", str(folder), *options]
    with subprocess.Popen(
        [sys.executable, "-m", "adacompress_ref", *arguments],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline()
            yield process, SimpleNamespace(url=re.search(r"http://127\.0\.0\.1:\d+", line)[0])
        finally:
            process.kill()


def asking(over, *errors):
    """A free port, and a client of whatever listens there: it tries again after these errors."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    address = SimpleNamespace(url=f"http://127.0.0.1:{port}")

    def ask(file):
        while not over.is_set():
            try:
                answer = amazon(address).detect_labels(Image={"Bytes": file}, MinConfidence=0)
                return [label["Name"] for label in answer["Labels"]]
            except errors:
                threading.Event().wait(0.05)

    return port, ask


def test_a_kill_in_the_middle_loses_nothing(jpegs, tmp_path):
    service, over = Fake(), threading.Event()
    with (
        Server(service) as server,
        ThreadPoolExecutor(8) as executor,
        closing(SimpleNamespace(close=over.set)),  # where the test fails, too
    ):
        port, ask = asking(over, BotoCoreError)
        with command(server, tmp_path / "s", "--port", port) as (process, _):
            answers = [executor.submit(ask, file) for file in jpegs]
            while len(service.payloads) < 40:
                threading.Event().wait(0.01)
        before = logged(tmp_path / "s")
        with command(server, tmp_path / "s", "--port", port) as (process, _):
            said = [answer.result(4 * LONG) for answer in answers]
            process.send_signal(signal.SIGTERM)
            messages = process.communicate(timeout=LONG)[1]
    assert process.returncode == 128 + signal.SIGTERM and "Traceback" not in messages
    lines = logged(tmp_path / "s")
    assert before and lines[: len(before)] == before
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    times = Counter(line["sha256"] for line in lines)
    assert times.keys() == {hashlib.sha256(file).hexdigest() for file in jpegs}
    assert sum(times.values()) <= 60 + 8  # answered, but the client was not told
    assert 0 <= len(service.payloads) - sum(1 + (line["bytes_sent"] > line["bytes"]) for line in
                                            lines) <= 2 * 8  # fmt: skip
    by_image = {digest: [] for digest in times}
    for line in lines:
        by_image[line["sha256"]].append([name for name, _ in line["labels"]])
    for file, names in zip(jpegs, said, strict=True):
        assert names in by_image[hashlib.sha256(file).hexdigest()]
    with closing(StateFolder(tmp_path / "s", {}, traffic.check)) as state:
        assert state.lines == len(lines) and not state.missed
        assert state.controller.settled == 0 and state.controller.agent.images == len(lines)


@pytest.mark.slow
def test_500_photographs_with_faults_and_a_kill(jpegs, tmp_path):
    """Over 8 threads: each has its own answer and one line, but those in flight at the kill."""
    files = [b"".join((file, b"copy %d" % n)) for n in range(9) for file in jpegs][:500]
    service, over = Fake(), threading.Event()
    kinds = ("429", "500", "503", "reset", "truncated")
    with (
        Server(service, error_rate=0.2, faults=kinds) as server,
        ThreadPoolExecutor(8) as executor,
        closing(SimpleNamespace(close=over.set)),  # where the test fails, too
    ):
        port, ask = asking(over, BotoCoreError, ClientError)
        with command(server, tmp_path / "s", "--port", port):
            answers = [executor.submit(ask, file) for file in files]
            while sum(answer.done() for answer in answers) < 250:
                threading.Event().wait(0.01)
        with command(server, tmp_path / "s", "--port", port) as (process, _):
            said = [answer.result(10 * LONG) for answer in answers]
            process.send_signal(signal.SIGTERM)
            assert "Traceback" not in process.communicate(timeout=LONG)[1]
    assert server.faults.total() > 50
    lines = logged(tmp_path / "s")
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert 500 <= len(lines) <= 500 + 8
    by_image = {hashlib.sha256(file).hexdigest(): [] for file in files}
    for line in lines:
        by_image[line["sha256"]].append([name for name, _ in line["labels"]])
    for file, names in zip(files, said, strict=True):
        assert names in by_image[hashlib.sha256(file).hexdigest()]
    with closing(StateFolder(tmp_path / "s", {}, traffic.check)) as state:
        assert not state.missed and state.controller.agent.images == len(lines)


def test_numbers_for_prometheus(pilot, jpegs, tmp_path):
    options = ("--port", "0", "--metrics", str(tmp_path / "m.prom"))
    with (
        Server(Fake()) as server,
        command(server, tmp_path / "s", *options) as (process, address),
    ):
        for file in jpegs[:5]:
            amazon(address).detect_labels(Image={"Bytes": file}, MinConfidence=0)
        process.send_signal(signal.SIGTERM)
        assert "Traceback" not in process.communicate(timeout=LONG)[1]
    lines, path = logged(tmp_path / "s"), tmp_path / "m.prom"
    assert path.stat().st_mode & 0o777 == 0o644
    found = {}
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r'(adacompress_\w+)(?:\{status="200"\})? (\d+)', line):
            found[match[1]] = int(match[2])
        else:
            assert re.fullmatch(r"# (HELP adacompress_\w+ \S.*\.|TYPE \w+ (counter|gauge))", line)
    assert found["adacompress_images_total"] == found["adacompress_answers_total"] == 5
    assert found["adacompress_sent_bytes_total"] == sum(line["bytes_sent"] for line in lines)
    assert found["adacompress_references_total"] == sum(
        line["agreement"] is not None for line in lines
    )
    assert {name for name in found if not name.endswith("_total")} == {"adacompress_connections"}


def test_numbers_that_cannot_be_written_stop_nothing(jpegs, tmp_path):
    place = str(tmp_path / "gone" / "m.prom")
    os.mkdir(tmp_path / "gone")
    with (
        Server(Fake()) as server,
        command(server, tmp_path / "s", "--port", "0", "--metrics", place) as (process, address),
    ):
        last = time.monotonic() + LONG
        while not os.path.exists(place) and time.monotonic() < last:
            time.sleep(0.02)  # the first file: a folder cannot go while one comes into it
        shutil.rmtree(tmp_path / "gone")
        assert amazon(address).detect_labels(Image={"Bytes": jpegs[0]})["Labels"]
        process.send_signal(signal.SIGTERM)
        messages = process.communicate(timeout=LONG)[1]
    assert place in messages and "Traceback" not in messages


def test_the_example_of_the_page(jpegs, tmp_path, photos, monkeypatch, capsys):
    page = (REPOSITORY / "adacompress_ref" / "server" / "README.md").read_text("utf-8")
    shell, program = re.findall(r"```(?:sh|python)\n(.*?)```", page, re.DOTALL)[:2]
    assert shell.startswith("adacompress gateway rekognition --state state")
    monkeypatch.chdir(REPOSITORY)
    with Server(Fake()) as server, command(server, tmp_path / "s", "--port", "0") as (_, opened):
        exec(program.replace("http://127.0.0.1:8080", opened.url), {})
    assert ast.literal_eval(capsys.readouterr().out)[0] in ("cat", "dog")
    assert len(logged(tmp_path / "s")) == 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ("--listen 0.0.0.0", "set ADACOMPRESS_GATEWAY_TOKEN"),
        ("--upstream http://localhost:8080", "http://localhost:8080: the gateway itself"),
        ("--upstream http://aws.example", "takes an https URL"),
        ("--listen 256.0.0.1", "256.0.0.1"),
        ("--port PORT", "127.0.0.1:PORT: Address already in use; name another"),
    ],
)
def test_unusable_arguments(adacompress, monkeypatch, options, match):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        status, out, err = adacompress(
            "gateway", "rekognition", "--state", "s", *options.replace("PORT", port).split()
        )
    assert (status, out) == (2, "") and match.replace("PORT", port) in err.splitlines()[-1]


def test_a_folder_of_a_run_is_refused(adacompress, few):
    assert adacompress("run", "--images", few, "--service", "squeezenet", "--state", "s")[0] == 0
    status, _, err = adacompress("gateway", "rekognition", "--state", "s")
    assert status == 2 and "its run has" in err.splitlines()[-1]

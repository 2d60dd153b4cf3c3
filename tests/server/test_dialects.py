"""A gateway for clients of Google, Baidu and Face++; what passes; numbers; memory.

The vendors' own packages for Google and Baidu are used where they are installed; the requests here
are of the published REST interfaces, as these packages make them.
"""

import base64
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from gateway_helpers import LONG, Fake, gateway, logged
from PIL import Image
from service_helpers import as_json, serving

from adacompress_ref.server import metrics
from adacompress_ref.server.standin import Server
from adacompress_ref.server.wire import Request
from adacompress_ref.server.wire import fields as form_of

pytestmark = pytest.mark.usefixtures("environment")
TOKEN = "a token/+="
LABELS = [{"mid": "/m/1", "description": "Cat", "score": 0.97, "topicality": 0.9}]


def encoded(file):
    return base64.b64encode(file).decode()


def google(*files, features=({"type": "LABEL_DETECTION", "maxResults": 7},), **more):
    """A request as JSON."""
    return {
        "requests": [{"image": {"content": encoded(f)}, "features": [*features]} for f in files],
        **more,
    }


def size_of(payload):
    return Image.open(BytesIO(payload)).size


def form(request):
    """The fields of a form that a service was sent."""
    return form_of(Request("", {}, request.headers, request.body))


# Google ----------------------------------------------------------------------------------------

ODD = b'{ "responses" : [ {"labelAnnotations":[{"description":"\\u00e9","score":0.97}]} ] }\n'


def test_googles_answer_byte_for_byte_and_the_clients_parameters(pilot, jpegs, tmp_path):
    def answer(request):
        return 200, {"Content-Type": "application/json; charset=UTF-8", "X-Other": "no"}, ODD

    body = google(jpegs[0], parent="projects/p/locations/eu")
    body["requests"][0]["imageContext"] = {"languageHints": ["de"]}
    path = "/v1/projects/p/locations/eu/images:annotate"
    query = {"$alt": "json;enum-encoding=int", "key": TOKEN}
    with (
        serving(answer) as (url, asked),
        gateway(pilot, url, tmp_path / "s", name="google", token=TOKEN) as opened,
    ):
        got = requests.post(opened.url + path, json=body, params=query, headers={"Cookie": "mine"})
    assert (got.status_code, got.content) == (200, ODD)
    assert {*map(str.lower, got.headers)} - {"server", "date"} == {"content-type", "content-length"}
    for request in asked:
        fields = json.loads(request.body)
        sent = base64.b64decode(fields["requests"][0].pop("image")["content"])
        assert sent != jpegs[0] and size_of(sent) == (120, 96)
        assert fields["parent"] == body["parent"]
        assert fields["requests"] == [
            {name: body["requests"][0][name] for name in ("features", "imageContext")}
        ]
        parts = urlsplit(request.path)
        assert parts.path == path
        assert parse_qs(parts.query) == {"$alt": ["json;enum-encoding=int"]}
        assert request.headers["X-Goog-Api-Key"] == "the-gateways-own"
        assert TOKEN not in str(request.headers) and "mine" not in str(request.headers)
    (line,) = logged(tmp_path / "s")
    assert line["labels"] == [["é", 0.97]]


@pytest.mark.parametrize(
    "given",
    [
        {"params": {"key": TOKEN}},
        {"headers": {"X-Goog-Api-Key": TOKEN}},
        {"headers": {"Authorization": f"Bearer {TOKEN}"}},
    ],
)
def test_googles_key_is_the_token(pilot, jpegs, tmp_path, given):
    with (
        Server(Fake()) as server,
        gateway(pilot, server.url, tmp_path / "s", name="google", token=TOKEN) as opened,
    ):
        path = f"{opened.url}/v1/images:annotate"
        assert requests.post(path, json=google(jpegs[0]), **given).status_code == 200
        for wrong in ({}, {"params": {"key": TOKEN[:-1]}}, {"headers": {"Authorization": TOKEN}}):
            got = requests.post(path, json=google(jpegs[0]), **wrong)
            assert (got.status_code, got.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert len(logged(tmp_path / "s")) == 1


def test_several_images_of_google_are_each_decided_and_answered_in_order(pilot, jpegs, tmp_path):
    def answer(request):
        image = json.loads(request.body)["requests"][0]["image"]
        payload = base64.b64decode(image["content"])
        if payload == b"no image":
            return as_json({"responses": [{"error": {"code": 3, "message": "Bad image data."}}]})
        if size_of(payload) == (64, 64):
            error = {"code": 503, "message": "said", "status": "UNAVAILABLE"}
            return as_json({"error": error}, 503)
        words = f"{size_of(payload)[0]} wide"
        return as_json({"responses": [{"labelAnnotations": [LABELS[0] | {"description": words}]}]})

    files = []
    for width in (100, 110, 64):
        stream = BytesIO()
        Image.open(BytesIO(jpegs[0])).resize((width, 64)).save(stream, "JPEG", quality=95)
        files.append(stream.getvalue())
    files.insert(1, b"no image")
    with (
        serving(answer) as (url, asked),
        gateway(pilot, url, tmp_path / "s", name="google") as opened,
    ):
        got = requests.post(f"{opened.url}/v1/images:annotate", json=google(*files))
    first, second, third, fourth = got.json()["responses"]
    assert first["labelAnnotations"][0] == LABELS[0] | {"description": "100 wide"}
    assert second == {"error": {"code": 3, "message": "Bad image data."}}
    assert third["labelAnnotations"][0]["description"] == "110 wide"
    assert fourth == {"error": {"code": 14, "message": "said"}}
    assert all(len(json.loads(request.body)["requests"]) == 1 for request in asked)
    assert sorted(line["number"] for line in logged(tmp_path / "s")) == [1, 2]


@pytest.mark.parametrize(
    "features", [[{"type": "FACE_DETECTION"}], [{"type": 4}, {"type": 1}], [{"type": 11}]]
)
def test_what_asks_google_for_more_goes_unchanged_and_unlearned(pilot, jpegs, tmp_path, features):
    with (
        serving(lambda request: as_json({"responses": [{"faceAnnotations": []}]})) as (url, asked),
        gateway(pilot, url, tmp_path / "s", name="google") as opened,
    ):
        body = google(jpegs[0], features=features)
        got = requests.post(f"{opened.url}/v1/images:annotate", json=body)
    assert got.json() == {"responses": [{"faceAnnotations": []}]}
    (request,) = asked
    assert json.loads(request.body) == body
    assert not (tmp_path / "s" / "log.jsonl").exists()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("v1/images:annotate", b"", 400),
        ("v1/images:annotate", b"[]", 400),
        ("v1/images:annotate", b"[" * 100_000, 400),
        ("v1/images:annotate", b'{"requests": []}', 400),
        ("v1/images:annotate", b'{"requests": [{"image": {"content": "?"}}]}', 400),
        ("v1/images:annotate", b'{"requests": [{"image": {"content": ""}}]}', 400),
        ("v1/images:annotate", json.dumps(google(*[b""] * 17)).encode(), 400),
        ("v1/images:annotate", b'{"requests": [{"image": {"source": {"imageUri": "x"}}}]}', 403),
        ("v1/images:annotate", b'{"requests": [{"image": {"content": "", "source": 1}}]}', 403),
        ("v1/files:annotate", b'{"requests": []}', 403),
        ("v1/projects/../images:annotate", b'{"requests": []}', 403),
        ("v1/images:annotate/..", b'{"requests": []}', 403),
        ("", b"{}", 403),
    ],
)
def test_what_google_clients_are_refused(pilot, tmp_path, path, body, status):
    with (
        serving(lambda request: as_json({})) as (url, asked),
        gateway(pilot, url, tmp_path / "s", name="google") as opened,
    ):
        session = requests.Session()
        request = requests.Request("POST", f"{opened.url}/", data=body).prepare()
        request.url = f"{opened.url}/{path}"  # as it stands
        got = session.send(request)
    assert (got.status_code, got.json()["error"]["code"]) == (status, status)
    assert asked == []


# Baidu -----------------------------------------------------------------------------------------


def baidus_token(opened, secret=TOKEN, method="GET"):
    """As baidu-aip fetches it."""
    fields = {"grant_type": "client_credentials", "client_id": "any", "client_secret": secret}
    return requests.request(method, f"{opened.url}/oauth/2.0/token", params=fields)


BAIDU = "rest/2.0/image-classify/v2/advanced_general"


def test_baidus_secret_key_is_the_token(pilot, jpegs, tmp_path):
    result = [{"score": 0.9, "root": "r", "keyword": "猫"}]

    def answer(request):
        if request.path.startswith("/oauth"):
            assert form(request)["client_secret"] == "only-the-gateway-knows"
            return as_json({"access_token": "baidus-own", "expires_in": 1000})
        return as_json({"log_id": 1, "result_num": 1, "result": result})

    with (
        serving(answer) as (url, asked),
        gateway(pilot, url, tmp_path / "s", name="baidu", token=TOKEN) as opened,
    ):
        granted = baidus_token(opened).json()
        assert "brain_all_scope" in granted["scope"].split() and granted["expires_in"] > 0
        path, body = f"{opened.url}/{BAIDU}", {"image": encoded(jpegs[0]), "baike_num": "3"}
        query = {"access_token": granted["access_token"], "aipSdk": "python"}
        assert requests.post(path, params=query, data=body).json()["result"] == result
        for method in ("GET", "POST"):
            refused = baidus_token(opened, "another", method)
            assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        for query in ({}, {"access_token": "another"}, {"access_token": "baidus-own"}):
            assert requests.post(path, params=query, data=body).json()["error_code"] == 110
        query = {"access_token": granted["access_token"]}
        refused = requests.post(path, params=query, data={"url": "http://127.0.0.1/"})
        assert refused.json()["error_code"] == 6
        refused = requests.post(path, params=query, data={"image": "?"})
        assert refused.json()["error_code"] == 216201
    with gateway(pilot, url, tmp_path / "s", name="baidu", token=TOKEN) as opened:
        assert baidus_token(opened).json()["access_token"] == granted["access_token"]
    with gateway(pilot, url, tmp_path / "s", name="baidu", token="b") as opened:
        assert baidus_token(opened, "b").json()["access_token"] != granted["access_token"]
    uploads = [request for request in asked if not request.path.startswith("/oauth")]
    assert 1 <= len(uploads) <= 2
    for request in uploads:
        assert parse_qs(urlsplit(request.path).query) == {"access_token": ["baidus-own"]}
        fields = form(request)
        sent = base64.b64decode(fields.pop("image"))
        assert sent != jpegs[0] and size_of(sent) == (120, 96)
        assert fields == {"baike_num": "3"}
    (line,) = logged(tmp_path / "s")
    assert line["labels"] == [["猫", 0.9]]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "s").iterdir())
    assert not any(s.encode() in kept for s in (TOKEN, "only-the-gateway-knows", "baidus-own"))


# Face++ ----------------------------------------------------------------------------------------

FACEPP = "imagepp/beta/detectsceneandobject"


def test_facepps_secret_is_the_token(pilot, jpegs, tmp_path):
    def answer(request):
        return as_json({"objects": [{"value": "Cat", "confidence": 90.5}], "scenes": []})

    keys = {"api_key": "mine", "api_secret": TOKEN, "other": "é"}
    with (
        serving(answer) as (url, asked),
        gateway(pilot, url, tmp_path / "s", name="facepp", token=TOKEN) as opened,
    ):
        path = f"{opened.url}/{FACEPP}"
        got = requests.post(path, data=keys, files={"image_file": jpegs[0]})
        assert got.json()["objects"][0]["value"] == "Cat"
        requests.post(path, data={**keys, "image_base64": encoded(jpegs[1])})
        for wrong in ({}, {"api_secret": "another"}):
            refused = requests.post(path, data=wrong, files={"image_file": jpegs[0]})
            assert (refused.status_code, refused.json()["error_message"][:14]) == (
                401,
                "AUTHENTICATION",
            )
        refused = requests.post(path, data={**keys, "image_url": "http://127.0.0.1/"})
        assert refused.status_code == 403
        refused = requests.post(path, data={**keys, "image_base64": "?"})
        assert refused.json()["error_message"].startswith("IMAGE_ERROR")
    for request in asked:
        fields = form(request)
        sent = fields.pop("image_file").encode("latin-1")
        assert sent not in jpegs[:2] and size_of(sent) == (120, 96)
        assert fields.pop("other").encode("latin-1") == "é".encode()
        own = {"api_key": "the-gateways-own", "api_secret": "only-the-gateway-knows"}
        assert fields == own
    assert len(logged(tmp_path / "s")) == 2


# All -------------------------------------------------------------------------------------------

FACES = json.dumps({"Image": {"Bytes": encoded(b"face")}, "Attributes": ["ALL"]}).encode()
BUCKET = json.dumps({"Image": {"S3Object": {"Bucket": "b", "Name": "n"}}}).encode()
TARGETS = {"X-Amz-Target": "RekognitionService.DetectFaces"}
URL_ENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
PASSED = [
    ("rekognition", "DetectFaces", "", FACES, TARGETS),
    ("rekognition", "DetectLabels", "", BUCKET,
     {"X-Amz-Target": "RekognitionService.DetectLabels"}),
    ("google", "v1/files:annotate", "v1/files:annotate", b'{"requests": []}', {}),
    ("google", "v1/images:annotate", "v1/images:annotate",
     b'{"requests": [{"image": {"source": {"imageUri": "gs://b/n"}}}]}', {}),
    ("facepp", "facepp/v3/detect", "facepp/v3/detect",
     b"api_key=k&api_secret=s&return_landmark=1&image_url=x", URL_ENCODED),
    ("baidu", "rest/2.0/image-classify/v1/car", "rest/2.0/image-classify/v1/car",
     b"image=aW1hZ2U%3D&top_num=2", URL_ENCODED),
]  # fmt: skip


@pytest.mark.parametrize(("name", "operation", "path", "body", "headers"), PASSED)
def test_what_is_named_passes_as_it_is_with_our_own_keys(
    pilot, tmp_path, name, operation, path, body, headers
):
    def answer(request):
        if request.path.startswith("/oauth"):
            return as_json({"access_token": "baidus-own", "expires_in": 1000})
        return as_json({"anything": [1]})

    with serving(answer) as (url, asked):
        with gateway(pilot, url, tmp_path / "a", name=name) as opened:
            refused = requests.post(f"{opened.url}/{path}", data=body, headers=headers)
            assert asked == [] and ("error" in refused.text or "AccessDenied" in refused.text)
        with gateway(pilot, url, tmp_path / "b", name=name, passed=[operation]) as opened:
            got = requests.post(f"{opened.url}/{path}", data=body, headers=headers)
    assert (got.status_code, got.json()) == (200, {"anything": [1]})
    request = asked[-1]
    assert urlsplit(request.path).path == f"/{path}"
    if name in ("rekognition", "google"):
        assert json.loads(request.body) == json.loads(body)
        assert request.headers.get("X-Amz-Target") == headers.get("X-Amz-Target")
        assert "the-gateways-own" in str(request.headers)
    else:
        before, after = parse_qs(body.decode()), form(request)
        if name == "facepp":
            before |= {"api_key": ["the-gateways-own"], "api_secret": ["only-the-gateway-knows"]}
        assert after == {name: value for name, (value,) in before.items()}
    assert not (tmp_path / "b" / "log.jsonl").exists()


@pytest.mark.parametrize("name", ["google", "baidu", "facepp"])
def test_one_client_through_the_stand_in(pilot, jpegs, tmp_path, name):
    """What clients get is what the stand-in gives to the payload that was sent."""
    with (
        Server(Fake()) as server,
        gateway(pilot, server.url, tmp_path / "s", name=name) as opened,
    ):
        for file in jpegs[:4]:
            if name == "google":
                numbers = [{"type": 4, "maxResults": 10}]  # as its own client sends them
                path, sent = "v1/images:annotate", {"json": google(file, features=numbers)}
            elif name == "baidu":
                access = baidus_token(opened, "any").json()["access_token"]
                path = f"{BAIDU}?access_token={access}"
                sent = {"data": {"image": encoded(file)}}
            else:
                path, sent = FACEPP, {"files": {"image_file": file}}
            got = requests.post(f"{opened.url}/{path}", **sent)
            assert got.status_code == 200, got.text
            line = logged(tmp_path / "s")[-1]
            size = line["reference_bytes" if line["answered_by"] == "reference" else "bytes"]
            assert f"{size} bytes" in got.text
            assert line["original_bytes"] == len(file)


@pytest.mark.parametrize(
    ("name", "status"), [("rekognition", 503), ("google", 503), ("baidu", 503), ("facepp", 503)]
)
def test_bytes_in_memory_are_bounded(pilot, jpegs, tmp_path, monkeypatch, name, status):
    hold, arrived = threading.Event(), threading.Semaphore(0)

    def answer(request):
        arrived.release()
        hold.wait(LONG)
        return as_json({"responses": [{}], "Labels": [], "objects": [], "result": []})

    body = json.dumps(google(jpegs[0]) | {"Image": {"Bytes": encoded(jpegs[0])}}).encode()
    monkeypatch.setattr("adacompress_ref.server.gateway.HELD", len(body) + 100)
    headers = {"X-Amz-Target": "RekognitionService.DetectLabels"}
    path = {"google": "v1/images:annotate", "baidu": BAIDU, "facepp": FACEPP}.get(name, "")
    if name in ("baidu", "facepp"):
        body, headers = b"image=%s" % encoded(jpegs[0]).replace("+", "%2B").encode(), URL_ENCODED
        body = body.replace(b"image", b"image_base64") if name == "facepp" else body
        monkeypatch.setattr("adacompress_ref.server.gateway.HELD", len(body) + 100)
    with (
        serving(answer) as (url, _),
        gateway(pilot, url, tmp_path / "s", name=name) as opened,
        ThreadPoolExecutor(1) as executor,
    ):
        first = executor.submit(requests.post, f"{opened.url}/{path}", body, headers=headers)
        assert arrived.acquire(timeout=LONG)
        try:
            second = requests.post(f"{opened.url}/{path}", body, headers=headers)
            assert second.status_code == status and second.headers["Retry-After"] == "1"
        finally:
            hold.set()
        assert first.result(LONG).status_code != 503 or name == "baidu"  # its token was no token
        with opened.idle:  # a client has its answer a little before
            assert opened.idle.wait_for(lambda: not opened.held, LONG)
        again = requests.post(f"{opened.url}/{path}", body, headers=headers)
        assert again.status_code == first.result().status_code


# Numbers ---------------------------------------------------------------------------------------


def read(text):
    """Samples, types and help of Prometheus' text format, by hand; asserts that it is this."""
    samples, types, helps = {}, {}, set()
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helps.add(line.split(" ", 3)[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helps and name not in types and kind in ("counter", "gauge")
            types[name] = kind
        else:
            name, value = line.rsplit(" ", 1)
            family = name.partition("{")[0]
            assert family in types and name not in samples
            assert (types[family] == "counter") == family.endswith("_total")
            samples[name.removeprefix("adacompress_")] = float(value)
    return samples


def test_numbers_are_what_happened(pilot, jpegs, tmp_path):
    with Server(Fake()) as server, gateway(pilot, server.url, tmp_path / "s") as opened:
        body = {"Image": {"Bytes": encoded(jpegs[0])}, "MinConfidence": 0}
        headers = {"X-Amz-Target": "RekognitionService.DetectLabels", "Authorization": "AWS4-"}
        for _ in range(3):
            assert requests.post(opened.url, json=body, headers=headers).status_code == 200
        assert requests.post(opened.url, json=body).status_code == 400
        totals = opened.traffic.state.totals
        samples = read(metrics.text(totals, opened.answers, 5))
    lines = logged(tmp_path / "s")
    assert samples["images_total"] == 3
    for name, field in (("sent_bytes", "bytes_sent"), ("original_bytes", "original_bytes"),
                        ("reference_bytes", "reference_bytes")):  # fmt: skip
        assert samples[f"{name}_total"] == sum(line[field] for line in lines)
    measured = [line["agreement"] for line in lines if line["agreement"] is not None]
    assert samples["references_total"] == len(measured)
    assert samples["agreements_total"] == sum(measured)
    assert samples['answers_total{status="200"}'] == 3
    assert samples['answers_total{status="400"}'] == 1
    assert samples["connections"] == 5
    assert read(metrics.text({}, {}, 0))["images_total"] == 0


def test_the_file_of_numbers(adacompress, tmp_path, monkeypatch):
    status, _, err = adacompress(
        "gateway", "rekognition", "--state", "s", "--metrics", "no/such.prom"
    )
    assert status == 2 and "no/such.prom" in err.splitlines()[-1]
    status, _, err = adacompress("gateway", "rekognition", "--state", "s", "--metrics", "a.txt")
    assert status == 2 and ".prom" in err.splitlines()[-1]
    assert os.listdir(tmp_path) == [] or "s" not in os.listdir(tmp_path)

"""Clients of Google, Baidu and Face++ through the gateway: the vendors' own where there is one."""

import base64
import hashlib
import json
from types import SimpleNamespace

import pytest
import requests
from gateway_helpers import Fake, gateway, logged
from service_helpers import as_json, serving

from adacompress_ref.server import gateway as module
from adacompress_ref.server.clients import same
from adacompress_ref.server.standin import Server

CREDENTIALS = ("BAIDU_API_KEY", "BAIDU_SECRET_KEY", "FACEPP_API_KEY", "FACEPP_API_SECRET")
CREDENTIALS += ("GOOGLE_API_KEY",)
LABELS = {"features": [{"type": "LABEL_DETECTION", "maxResults": 10}]}
BAIDU = "/rest/2.0/image-classify/v2/advanced_general"
FACEPP = "/imagepp/beta/detectsceneandobject"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in CREDENTIALS:
        monkeypatch.setenv(name, "the-gateways-own")


def text(image):
    return base64.b64encode(image).decode()


def google(opened, *images, headers=None, **more):
    """A request of one's own."""
    one = [{"image": {"content": text(each)}, **LABELS, **more} for each in images]
    url = f"{opened.url}/v1/images:annotate"
    return requests.post(url, json={"requests": one}, headers=headers or {"X-Goog-Api-Key": "any"})


def baidu_token(opened, secret="any"):
    form = {"grant_type": "client_credentials", "client_id": "k", "client_secret": secret}
    return requests.post(f"{opened.url}/oauth/2.0/token", data=form)


def baidu(opened, image, access=None, **more):
    access = access or baidu_token(opened).json()["access_token"]
    form = {"image": text(image), **more}
    return requests.post(opened.url + BAIDU, params={"access_token": access}, data=form)


def facepp(opened, image, secret="any", **more):
    form = {"api_key": "k", "api_secret": secret, **more}
    return requests.post(opened.url + FACEPP, data=form, files={"image_file": ("x.jpg", image)})


ASK = {"google": google, "baidu": baidu, "facepp": facepp}


def names(service, answer):
    """Of the labels in an answer."""
    if service == "google":
        return [each["description"] for each in answer["responses"][0]["labelAnnotations"]]
    if service == "baidu":
        return [each["keyword"] for each in answer["result"]]
    return sorted(each["value"] for each in answer["objects"] + answer["scenes"])


# The vendors' own clients ------------------------------------------------------------------------


def googles_own(opened, secret="any"):
    vision = pytest.importorskip("google.cloud.vision", reason="the vendor's own client")
    options = {"api_endpoint": opened.url, "api_key": secret}
    return vision, vision.ImageAnnotatorClient(transport="rest", client_options=options)


def test_googles_own_client(pilot, jpegs, tmp_path):
    with (
        Server(Fake()) as server,
        gateway(pilot, server.url, tmp_path / "s", name="google") as opened,
    ):
        vision, client = googles_own(opened)
        for file in jpegs[:3]:
            answer = client.label_detection(image=vision.Image(content=file), max_results=3)
            assert {"mat"} < {each.description for each in answer.label_annotations}
    assert len(logged(tmp_path / "s")) == 3


def test_baidus_own_client(pilot, jpegs, tmp_path, monkeypatch):
    aip = pytest.importorskip("aip", reason="the vendor's own client")
    from aip.base import AipBase

    with (
        Server(Fake()) as server,
        gateway(pilot, server.url, tmp_path / "s", name="baidu", token="t0ken") as opened,
    ):
        monkeypatch.setattr(AipBase, "_AipBase__accessTokenUrl", f"{opened.url}/oauth/2.0/token")
        place = "_AipImageClassify__advancedGeneralUrl"
        monkeypatch.setattr(aip.AipImageClassify, place, opened.url + BAIDU)
        client = aip.AipImageClassify("app", "key", "t0ken")
        for file in jpegs[:3]:
            answer = client.advancedGeneral(file, {"baike_num": 1})
            assert "mat" in names("baidu", answer)
    assert len(logged(tmp_path / "s")) == 3


# Every service -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ASK)
def test_images_leave_smaller_and_the_services_answers_come_back(pilot, jpegs, tmp_path, name):
    service = Fake()
    with Server(service) as server, gateway(pilot, server.url, tmp_path / "s", name=name) as opened:
        answers = [ASK[name](opened, file).json() for file in jpegs[:4]]
    lines = logged(tmp_path / "s")
    assert sum(line["bytes_sent"] for line in lines) == sum(map(len, service.payloads))
    for answer, line in zip(answers, lines, strict=True):
        size = line["reference_bytes" if line["answered_by"] == "reference" else "bytes"]
        assert f"{size} bytes" in names(name, answer)


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("google", {"imageContext": {"languageHints": ["zh"]}}),
        ("baidu", {"baike_num": "5", "odd": "\u00e9\u4e2d"}),
        ("facepp", {"odd": "\u00e9\u4e2d"}),
    ],
)
def test_other_fields_go_along_and_our_credentials_do(pilot, jpegs, tmp_path, name, more):
    answers = {
        "google": {"responses": [{"labelAnnotations": [{"description": "cat", "score": 0.9}]}]},
        "baidu": {"result": [{"keyword": "cat", "score": 0.9}]},
        "facepp": {"objects": [{"value": "cat", "confidence": 90}], "scenes": []},
    }

    def answer(request):
        if "oauth" in request.path:
            return as_json({"access_token": "ours", "expires_in": 1000})
        return as_json(answers[name])

    with serving(answer) as (url, asked), gateway(pilot, url, tmp_path / "s", name=name) as opened:
        got = ASK[name](opened, jpegs[0], **more)
    assert (got.status_code, got.json()) == (200, answers[name])
    sent = asked[-1]
    if name == "google":
        (one,) = json.loads(sent.body)["requests"]
        assert one.pop("image")["content"] != text(jpegs[0])
        assert one == LABELS | more and sent.headers["X-Goog-Api-Key"] == "the-gateways-own"
    elif name == "baidu":
        assert b"odd=%C3%A9%E4%B8%AD" in sent.body and b"baike_num=5" in sent.body
        assert sent.path.endswith("access_token=ours")
    else:
        assert "\u00e9\u4e2d".encode() in sent.body
        assert sent.body.count(b"the-gateways-own") == 2 and b"any" not in sent.body


@pytest.mark.parametrize("name", ASK)
def test_who_does_not_know_the_token_gets_nothing(pilot, jpegs, tmp_path, name):
    service = Fake()
    with (
        Server(service) as server,
        gateway(pilot, server.url, tmp_path / "s", name=name, token="t0ken") as opened,
    ):
        if name == "google":
            asked = [google(opened, jpegs[0], headers=each) for each in ({"X-Y": "z"}, BEARER[0])]
            assert [each.status_code for each in asked] == [403, 403]
            assert asked[0].json()["error"]["status"] == "PERMISSION_DENIED"
            right = [google(opened, jpegs[0], headers=BEARER[1])]
            right += [google(opened, jpegs[0], headers={"X-Goog-Api-Key": "t0ken"})]
        elif name == "baidu":
            assert baidu_token(opened, "wrong").status_code == 401
            assert baidu(opened, jpegs[0], access="guessed").json()["error_code"] == 110
            access = baidu_token(opened, "t0ken").json()["access_token"]
            right = [baidu(opened, jpegs[0], access)]
        else:
            got = facepp(opened, jpegs[0])
            assert (got.status_code, got.json()) == (401, {"error_message": "AUTHENTICATION_ERROR"})
            right = [facepp(opened, jpegs[0], "t0ken")]
        assert service.payloads and len(service.payloads) <= 2 * len(right)
        assert all("mat" in names(name, each.json()) for each in right)


BEARER = [{"Authorization": f"Bearer {token}"} for token in ("wrong", "t0ken")]


def test_a_token_is_compared_as_a_whole():
    assert same("anything", "") and same("t0ken", "t0ken")
    assert not any(same(each, "t0ken") for each in (None, "", "t0ke", "t0kens", "\u00e9"))


@pytest.mark.parametrize(
    ("name", "path", "options", "status", "said"),
    [
        ("google", "/v1/files:annotate", {"json": {}}, 404, "NOT_FOUND"),
        ("google", "/v1/images:annotate", {"json": {"requests": []}}, 400, "INVALID_ARGUMENT"),
        (
            "google",
            "/v1/images:annotate",
            {"json": {"requests": [{"image": {"source": {"imageUri": "http://x"}}, **LABELS}]}},
            403,
            "bytes alone",
        ),
        (
            "google",
            "/v1/images:annotate",
            {"json": {"requests": [{"image": {"content": "a?"}, **LABELS}]}},
            400,
            "INVALID_ARGUMENT",
        ),
        ("baidu", "/rest/2.0/image-classify/v1/animal", {"data": {"image": "YQ=="}}, 200, '": 3'),
        ("facepp", FACEPP, {"data": {"image_url": "http://x"}}, 400, "BAD_ARGUMENTS"),
        ("facepp", FACEPP, {"data": {"image_base64": "a?"}}, 400, "IMAGE_ERROR"),
        ("facepp", "/facepp/v3/detect", {"data": {"image_base64": "YQ=="}}, 404, "API_NOT_FOUND"),
    ],
)
def test_all_but_labels_of_bytes_is_refused_in_its_words(
    pilot, tmp_path, name, path, options, status, said
):
    service = Fake()
    with Server(service) as server, gateway(pilot, server.url, tmp_path / "s", name=name) as opened:
        got = requests.post(opened.url + path, **options)
    assert got.status_code == status and said in got.text
    assert not service.payloads


def test_baidus_images_by_address_are_refused(pilot, jpegs, tmp_path):
    with serving(lambda request: as_json({})) as (url, asked):
        with gateway(pilot, url, tmp_path / "s", name="baidu") as opened:
            assert baidu(opened, jpegs[0], url="http://x").json()["error_code"] == 216200
        assert not asked


# Google's several --------------------------------------------------------------------------------


def test_several_images_are_each_decided_and_keep_their_order(pilot, jpegs, tmp_path):
    with (
        Server(Fake()) as server,
        gateway(pilot, server.url, tmp_path / "s", name="google") as opened,
    ):
        got = google(opened, jpegs[0], b"no image", jpegs[1]).json()["responses"]
    lines = {line["sha256"]: line for line in logged(tmp_path / "s")}
    assert len(lines) == 2 and got[1]["error"]["code"] == 3
    for answer, file in ((got[0], jpegs[0]), (got[2], jpegs[1])):
        line = lines[hashlib.sha256(file).hexdigest()]
        size = line["reference_bytes" if line["answered_by"] == "reference" else "bytes"]
        assert f"{size} bytes" in [each["description"] for each in answer["labelAnnotations"]]


def test_one_of_several_that_fails_has_its_error_in_its_place(pilot, jpegs, tmp_path):
    error = {"error": {"code": 503, "message": "later", "status": "UNAVAILABLE"}}

    def answer(request):
        number = json.loads(request.body)["requests"][0]["number"]
        if number == 1:
            return 503, {"Content-Type": "application/json"}, json.dumps(error).encode()
        return as_json({"responses": [{"labelAnnotations": []}]})

    asked = [
        {"image": {"content": text(f)}, **LABELS, "number": n} for n, f in enumerate(jpegs[:3])
    ]
    with serving(answer) as (url, _), gateway(pilot, url, tmp_path / "s", name="google") as opened:
        got = requests.post(f"{opened.url}/v1/images:annotate", json={"requests": asked})
        alone = requests.post(f"{opened.url}/v1/images:annotate", json={"requests": asked[1:2] * 2})
    assert [each.get("error", {}).get("code") for each in got.json()["responses"]] == [
        None,
        14,
        None,
    ]
    assert alone.status_code == 503 and alone.json() == error


@pytest.mark.parametrize("kinds", [["FACE_DETECTION"], [4, "TEXT_DETECTION"]])
def test_what_asks_for_more_than_labels_goes_unchanged(pilot, jpegs, tmp_path, kinds):
    features = [{"type": kind} for kind in kinds]
    with (
        serving(lambda request: as_json({"responses": [{}]})) as (url, asked),
        gateway(pilot, url, tmp_path / "s", name="google") as opened,
    ):
        google(opened, jpegs[0], features=features)
    (request,) = asked
    assert json.loads(request.body)["requests"] == [
        {"image": {"content": text(jpegs[0])}, "features": features}
    ]
    assert not (tmp_path / "s" / "log.jsonl").exists()


# Memory ------------------------------------------------------------------------------------------


def test_requests_beyond_the_bytes_that_are_held_get_503(pilot, jpegs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "HELD", len(jpegs[0]) // 2)
    with (
        Server(Fake()) as server,
        gateway(pilot, server.url, tmp_path / "s", name="facepp") as opened,
    ):
        got = facepp(opened, jpegs[0])
        assert got.status_code == 503 and got.headers["Retry-After"] == "1"
        with opened.idle:
            assert opened.idle.wait_for(lambda: not opened.held, 10)
        monkeypatch.setattr(module, "HELD", 2**20)
        assert facepp(opened, jpegs[0]).status_code == 200


def test_the_stand_in_takes_what_googles_own_client_sends(jpegs):
    with Server(Fake()) as server:
        vision, client = googles_own(SimpleNamespace(url=server.url))
        answer = client.label_detection(image=vision.Image(content=jpegs[0]))
        assert answer.label_annotations[1].description == "mat"

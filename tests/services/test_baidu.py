"""The client of Baidu: its answers, and the life of its access token."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from service_helpers import answers, as_json, check_outcome, serving

from adacompress_ref.core.roles import Label
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    UnavailableError,
    baidu,
    open_service,
)
from adacompress_ref.services.baidu import (
    Baidu,
    build_request,
    build_token_request,
    parse_response,
    parse_token,
)

ANSWER = {
    "log_id": 327863200205075661,
    "result_num": 3,
    "result": [
        {"score": 0.730442, "root": "植物-其它", "keyword": "姬娜果"},
        {"score": "0.94553", "root": "植物-蔷薇科", "keyword": "苹果"},
        {"score": 0, "root": "", "keyword": "红富士"},
    ],
}
BEST = Label("苹果", 0.94553)


def parsed(value, status=200, parse=parse_response):
    return parse(status, {}, json.dumps(value).encode())


def test_request():
    request = build_request(
        "https://aip.baidubce.com/", "24.a/b+c", b"\xfb\xff\xfeimage", {}
    ).prepare()
    parts = urlsplit(request.url)
    assert request.method == "POST"
    assert parts.path == "/rest/2.0/image-classify/v2/advanced_general"
    assert parse_qs(parts.query) == {"access_token": ["24.a/b+c"]}
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    (image,) = parse_qs(request.body)["image"]
    assert base64.b64decode(image) == b"\xfb\xff\xfeimage"


def test_token_request_has_credentials_in_its_body_alone():
    request = build_token_request("https://aip.baidubce.com", "k&y", "s=cret").prepare()
    assert request.url == "https://aip.baidubce.com/oauth/2.0/token"
    assert parse_qs(request.body) == {
        "grant_type": ["client_credentials"],
        "client_id": ["k&y"],
        "client_secret": ["s=cret"],
    }


def test_largest_image_fits_in_base64():
    assert len(base64.b64encode(bytes(Baidu.max_bytes))) == 8 * 2**20


def test_labels_best_first():
    assert parsed(ANSWER) == [BEST, Label("姬娜果", 0.730442), Label("红富士", 0.0)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, UnavailableError),
        (2, UnavailableError),
        (3, ProtocolError),
        (4, UnavailableError),
        (6, AuthenticationError),
        (13, AuthenticationError),
        (14, AuthenticationError),
        (15, AuthenticationError),
        (17, QuotaError),
        (18, UnavailableError),
        (19, QuotaError),
        (100, AuthenticationError),
        (110, baidu.TokenError),
        (111, baidu.TokenError),
        (216100, RefusedError),
        (999, ProtocolError),
        (216200, RefusedError),
        (216201, RefusedError),
        (216202, RefusedError),
        (282000, UnavailableError),
        ("18", UnavailableError),
        (None, ProtocolError),
        ([18], ProtocolError),
    ],
)
def test_errors(code, kind):
    with pytest.raises(kind, match="of the service") as error:
        parsed({"error_code": code, "error_msg": "what went wrong, of the service", "log_id": 1})
    assert type(error.value) is kind
    assert str(error.value).startswith("baidu: ")
    assert error.value.retryable == (kind is UnavailableError)


def test_token():
    answer = {"access_token": "24.6c5e", "expires_in": 2592000, "scope": "public"}
    assert parsed(answer, parse=parse_token) == ("24.6c5e", 2592000)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (
            401,
            b'{"error": "invalid_client", "error_description": "unknown client id"}',
            AuthenticationError,
        ),
        (200, b'{"error": "invalid_client"}', AuthenticationError),
        (400, b'{"error": "invalid_grant"}', AuthenticationError),
        (401, b"no JSON", AuthenticationError),
        (429, b'{"error": "busy"}', UnavailableError),
        (500, b'{"error": "internal"}', UnavailableError),
        (502, b"<html>", UnavailableError),
        (200, b"<html>", ProtocolError),
        (200, b"{}", ProtocolError),
        (200, b'{"access_token": "", "expires_in": 1}', ProtocolError),
        (200, b'{"access_token": 1, "expires_in": 1}', ProtocolError),
        (200, b'{"access_token": "a"}', ProtocolError),
        (200, b'{"access_token": "a", "expires_in": "1"}', ProtocolError),
        (200, b'{"access_token": "a", "expires_in": 0}', ProtocolError),
        (200, b'{"access_token": "a", "expires_in": NaN}', ProtocolError),
        (200, b'{"access_token": "a", "expires_in": 1%s}' % (b"0" * 400), ProtocolError),
    ],
)
def test_no_token(status, body, kind):
    with pytest.raises(kind) as error:
        parse_token(status, {}, body)
    assert type(error.value) is kind
    assert str(error.value).startswith("baidu: ")


@given(answers("access_token", "expires_in", "error", "error_description"))
def test_any_answer_for_a_token(answer):
    def parse(*parts):
        token, lifetime = parse_token(*parts)
        assert token and 0 < lifetime < 1e9
        return []

    check_outcome("baidu", parse, *answer)


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(baidu, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def cloud(monkeypatch):
    """A server that gives tokens `token-1`, `token-2`... and takes those that are `good`."""
    monkeypatch.setenv("BAIDU_API_KEY", "key-of-baidu")
    monkeypatch.setenv("BAIDU_SECRET_KEY", "secret-of-baidu\n")
    state = SimpleNamespace(given=[], good=set(), lifetime=2592000, code=110)

    def answer(request):
        if request.path == "/oauth/2.0/token":
            state.given.append(f"token-{len(state.given) + 1}")
            state.good = {state.given[-1]} if state.good is not None else None
            return as_json({"access_token": state.given[-1], "expires_in": state.lifetime})
        (token,) = parse_qs(urlsplit(request.path).query)["access_token"]
        if token in (state.good or ()):
            return as_json(ANSWER)
        message = f"Access token invalid or no longer valid: {token}, {request.path}"
        return as_json({"error_code": state.code, "error_msg": message})

    with serving(answer) as (url, state.requests):
        monkeypatch.setenv("BAIDU_ENDPOINT", url)
        yield state


def test_one_token_for_all_images(cloud):
    service = open_service("baidu", tries=1)
    assert [service.label(b"image")[0] for _ in range(3)] == [BEST] * 3
    assert cloud.given == ["token-1"]


@pytest.mark.parametrize(("lifetime", "renewed_at"), [(2592000, 2591940), (100, 90)])
def test_token_is_renewed_before_it_expires(cloud, clock, lifetime, renewed_at):
    cloud.lifetime = lifetime
    service = Baidu(tries=1)
    service.label(b"image")
    clock.now += renewed_at - 0.5
    service.label(b"image")
    assert cloud.given == ["token-1"]
    clock.now += 1
    service.label(b"image")
    assert cloud.given == ["token-1", "token-2"]
    assert len(cloud.requests) == 5  # nothing was refused


@pytest.mark.parametrize("code", [110, 111])
def test_refused_token_is_renewed_once(cloud, code):
    cloud.code = code
    service = Baidu()
    service.label(b"image")
    cloud.good = set()
    assert service.label(b"image")[0] == BEST
    assert cloud.given == ["token-1", "token-2"]


def test_refused_token_is_not_renewed_twice(cloud):
    cloud.good = None
    with pytest.raises(AuthenticationError, match="BAIDU_SECRET_KEY") as error:
        Baidu().label(b"image")
    assert cloud.given == ["token-1", "token-2"]
    assert len(cloud.requests) == 4
    assert "token-" not in str(error.value)


def test_threads_share_one_token_and_one_renewal(cloud):
    service, threads = Baidu(), 6
    barrier = Barrier(threads)

    def label(_):
        barrier.wait()
        return service.label(b"image")[0]

    with ThreadPoolExecutor(threads) as executor:
        assert list(executor.map(label, range(threads))) == [BEST] * threads
        assert cloud.given == ["token-1"]
        cloud.good = set()
        assert list(executor.map(label, range(threads))) == [BEST] * threads
        assert cloud.given == ["token-1", "token-2"]


def test_credentials_are_in_no_message(cloud, monkeypatch):
    said = {"error": "invalid_client", "error_description": "key-of-baidu, secret-of-baidu"}
    with serving(lambda request: as_json(said, 401)) as (url, requests):
        monkeypatch.setenv("BAIDU_ENDPOINT", url)
        with pytest.raises(AuthenticationError, match="check BAIDU_API_KEY") as error:
            Baidu().label(b"image")
    assert len(requests) == 1
    assert "-of-baidu" not in str(error.value)
    assert url not in str(error.value)

"""The transport: retries, pauses, pace, rests, deadline; secrets, redirects, TLS."""

import gzip
import logging
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest
from requests import Request
from service_helpers import raw_server

from adacompress_ref.services import http as transport_module
from adacompress_ref.services import in_background
from adacompress_ref.services.answers import Answer
from adacompress_ref.services.endpoint import check_endpoint
from adacompress_ref.services.errors import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    ServiceError,
    UnavailableError,
)
from adacompress_ref.services.http import Transport

ANYWHERE = Request("POST", "https://service.example/v1?token=quiet", data=b"payload")


class Scripted(Transport):
    """Each exchange gives, or raises, the next of `script`; pauses are noted, not slept."""

    def __init__(self, script, **options):
        self.pauses = []
        super().__init__("fake", sleep=self.pauses.append, **options)
        self.script, self.asked = list(script), []

    def exchange(self, request):
        self.asked.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(self) if callable(answer) else answer

    def ask(self):
        return self.call(lambda: ANYWHERE, lambda status, headers, body: (status, body))


def away(retry_after=None):
    return UnavailableError("away", retry_after)


OK = (200, {}, b"fine")


def test_what_is_transient_is_tried_again():
    transport = Scripted([away(), ProtocolError("cut off"), OK])
    assert transport.ask() == (200, b"fine")
    assert len(transport.pauses) == 2


@pytest.mark.parametrize(
    "error",
    [RefusedError("x"), QuotaError("x"), AuthenticationError("x"), ProtocolError("x", False)],
)
def test_what_will_not_change_is_not(error):
    transport = Scripted([error])
    with pytest.raises(type(error)):
        transport.ask()
    assert transport.pauses == []


def test_retries_end():
    transport = Scripted([away()] * 9, tries=4)
    with pytest.raises(UnavailableError, match="away"):
        transport.ask()
    assert len(transport.asked) == 4


def test_pauses_grow_and_are_never_the_same_for_all():
    longest = [0.0] * 4
    different = set()
    for _ in range(200):
        transport = Scripted([away()] * 4 + [OK])
        transport.ask()
        longest = [max(pair) for pair in zip(longest, transport.pauses, strict=True)]
        different.update(transport.pauses)
    assert len(different) == 800
    for pause, most in zip(longest, (0.5, 1, 2, 4), strict=True):
        assert 0.8 * most < pause <= most


def test_a_server_that_asks_for_time_gets_it():
    transport = Scripted([away(7.0), OK])
    transport.ask()
    assert transport.pauses == pytest.approx([7], abs=0.1)


def test_what_a_server_asks_for_binds_all_requests(clock):
    """Also the fallback's, and those of other images; a short while is waited for, a long not."""
    transport = Scripted([away(8.0), OK, away(15.0), OK, OK], tries=1)
    fail(transport)
    clock.now += 1
    assert transport.ask() == (200, b"fine")
    assert transport.pauses == [7]
    clock.now += 7
    fail(transport)
    for left in (15, 11):
        assert resting(transport) == left
        clock.now += 4
    assert transport.ask() == (200, b"fine")
    assert transport.pauses == [7, 7]


def test_a_server_that_asks_for_much_time_is_left_to_the_caller():
    transport = Scripted([away(3600.0), OK])
    with pytest.raises(UnavailableError) as caught:
        transport.ask()
    assert caught.value.retry_after == 3600
    assert transport.pauses == []


def test_a_request_is_built_for_each_try():
    numbers = iter(range(9))
    transport = Scripted([away(), away(), OK])
    transport.call(lambda: Request("POST", str(next(numbers))), lambda *answer: answer)
    assert [request.url for request in transport.asked] == ["0", "1", "2"]


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(transport_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def resting(transport):
    """For how many seconds nothing is sent."""
    before = len(transport.asked)
    with pytest.raises(UnavailableError) as caught:
        transport.ask()
    assert (caught.value.sent, len(transport.asked)) == (False, before)
    return caught.value.retry_after


def fail(transport, error=UnavailableError):
    with pytest.raises(error):
        transport.ask()


def test_from_the_eighth_failure_in_a_row_on_each_upload_has_one_try_and_waits_for_it(clock):
    transport = Scripted([away()] * 15 + [OK, away(), OK], tries=3)

    def sleep(seconds):
        transport.pauses.append(seconds)
        clock.now += seconds

    transport._sleep = sleep
    for _ in range(3):
        fail(transport)
    assert len(transport.asked) == 8
    transport.pauses.clear()
    for _ in range(7):
        fail(transport)
    assert len(transport.asked) == 15
    assert transport.pauses == pytest.approx([1, 2, 4, 8, 8, 8, 8])
    assert transport.ask() == (200, b"fine")
    assert transport.ask() == (200, b"fine")
    assert transport.pauses[-1] < 1  # it is as it was


def test_what_the_server_asks_for_is_kept_to(clock):
    transport = Scripted([away()] * 40 + [away(300.0)], tries=1)
    for _ in range(40):
        fail(transport)
        clock.now += 60
    fail(transport)
    assert resting(transport) == 300


@pytest.mark.parametrize("error", [RefusedError("x"), AuthenticationError("x"), QuotaError("x")])
def test_a_refusal_shows_that_the_service_is_there(error):
    transport = Scripted([away(), away(), away(), error] * 4 + [error] * 20 + [OK])
    for _ in range(24):
        with pytest.raises(type(error)):
            transport.ask()
    assert transport.ask() == (200, b"fine")


def test_pace():
    transport = Scripted([OK] * 5, rate=2)
    for _ in range(5):
        transport.ask()
    assert [round(pause, 1) for pause in transport.pauses] == [0.5, 1.0, 1.5, 2.0]


def test_secrets_are_in_no_message():
    transport = Scripted([RefusedError("key sesame and sesame2")], secrets=("sesame", ""))
    with pytest.raises(RefusedError, match=r"^key \*\*\* and \*\*\*2$"):
        transport.ask()
    transport = Transport("fake", secrets=("abcdefghijklmnop", "abcdefgh-other"))
    for text in ("abcdefghijklmnop", "abcdefghij", "ABCDEFGH-other"):  # the second one was cut
        assert transport.without_secrets(f"say {text} !") == "say *** !"


def test_credentials_that_cannot_be_sent():
    transport = Scripted([])
    with pytest.raises(AuthenticationError, match="letters that cannot be sent") as caught:
        transport.call(lambda: "\ud800secret".encode(), None)
    assert "secret" not in str(caught.value)


# on the wire -----------------------------------------------------------------------------------


def reply(status, body, headers=(), declared=None):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if declared is None else declared))
        handler.end_headers()
        handler.wfile.write(body)
        if declared is not None:
            handler.close_connection = True

    return answer


def send(url, deadline=5.0, **headers):
    transport = Transport("fake", deadline=deadline)
    return transport.exchange(Request("POST", f"{url}/x?token=quiet", headers, data=b"payload"))


def test_an_exchange():
    with raw_server(reply(200, b"fine", [("X-Odd", "1")])) as (url, seen):
        transport = Transport("fake")
        for _ in range(3):
            request = Request("POST", f"{url}/x?token=t", {"X-Own": "2"}, data=b"payload")
            status, headers, body = transport.exchange(request)
    assert (status, headers["x-odd"], body) == (200, "1", b"fine")
    first = seen[0]
    assert (first.path, first.headers["X-Own"], first.body) == ("/x?token=t", "2", b"payload")
    assert first.headers["Accept-Encoding"] == "identity"
    assert len({each.client for each in seen}) == 1  # one connection


def refused_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def silent(handler):
    time.sleep(1)


def dripping(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(20):
        handler.wfile.write(b"x")
        handler.wfile.flush()
        time.sleep(0.1)


def dripping_head(handler):
    for letter in b"HTTP/1.1 200 OK\r\n":
        handler.wfile.write(bytes([letter]))
        time.sleep(0.1)


def hang_up(handler):
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def nonsense(handler):
    handler.wfile.write(b"\xff\0 no HTTP\r\n\r\n")
    handler.close_connection = True


@pytest.mark.parametrize(
    "answer", [silent, dripping, dripping_head], ids=["silent", "dripping", "dripping head"]
)
def test_a_deadline_holds_whatever_the_server_does(answer):
    with raw_server(answer) as (url, _):
        started = time.monotonic()
        with pytest.raises(UnavailableError, match=r"^fake: .*(within|in time)"):
            send(url, deadline=0.3)
        assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    "answer",
    [hang_up, nonsense, reply(200, b"half of it", declared=1000)],
    ids=["hang up", "nonsense", "half"],
)
def test_broken_answers_may_be_tried_again(answer):
    with raw_server(answer) as (url, _), pytest.raises(ServiceError) as caught:
        send(url)
    assert caught.value.retryable
    assert "quiet" not in str(caught.value)


def zipped(handler):
    body = gzip.compress(b"fine " * 200)
    reply(200, body, [("Content-Encoding", "gzip")])(handler)


def test_an_answer_that_is_packed_against_our_wish():
    with raw_server(zipped) as (url, _):
        assert send(url)[2] == b"fine " * 200


def test_what_comes_too_late_is_not_read_to_its_end():
    with raw_server(dripping) as (url, _):
        before = threading.active_count()
        with pytest.raises(UnavailableError):
            send(url, deadline=0.2)
        time.sleep(2.5)  # the server drips for two seconds
        assert threading.active_count() <= before + 1


@pytest.mark.parametrize("value", ["two\nlines", "\u20ac"])
def test_a_header_that_cannot_be_sent(value):
    with raw_server(reply(200, b"")) as (url, _):
        with pytest.raises(AuthenticationError, match="letters that cannot be sent") as caught:
            send(url, Authorization=value)
        assert value not in str(caught.value)


def test_tokens_are_in_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    odd = b"HTTP/1.1 200 OK\r\nno header\r\nContent-Length: 0\r\n\r\n"

    def answer(handler):
        handler.wfile.write(odd)
        handler.close_connection = True

    with raw_server(answer) as (url, _):
        Transport("x").exchange(Request("POST", f"{url}/?access_token=quiet", data=b""))
    assert "access_token=***" in caplog.text
    assert "quiet" not in caplog.text


def test_nobody_there():
    with pytest.raises(
        UnavailableError, match=r"the connection to 127\.0\.0\.1:\d+ failed"
    ) as caught:
        send(refused_port())
    assert "quiet" not in str(caught.value)


def test_an_answer_without_end(monkeypatch):
    monkeypatch.setattr(transport_module, "ANSWER_LIMIT", 1000)
    endless = reply(200, b"x" * 100_000)
    with raw_server(endless) as (url, _), pytest.raises(ProtocolError, match="without end"):
        send(url)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status):
    with raw_server(reply(200, b"stolen")) as (other, stolen):
        there = reply(status, b"", [("Location", f"{other}/x")])
        with raw_server(there) as (url, _):
            answer = send(url, Authorization="secret")
    assert stolen == []
    with pytest.raises(AuthenticationError, match="redirected"):
        Answer("fake", *answer)


def test_netrc_does_not_replace_our_credentials(tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1\nlogin thief\npassword x\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with raw_server(reply(200, b"")) as (url, seen):
        send(url, Authorization="ours")
    assert seen[0].headers["Authorization"] == "ours"


def test_no_proxy_to_this_machine_itself(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, refused_port())
    with raw_server(reply(200, b"fine")) as (url, _):
        assert send(url)[2] == b"fine"


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PYTHONHTTPSVERIFY"])
def test_a_server_that_cannot_prove_who_it_is(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "" if "BUNDLE" in variable else "0")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", key, "-out", certificate, "-days", "1", "-subj", "/CN=x"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with raw_server(reply(200, b"stolen"), context) as (url, seen):
        with pytest.raises(AuthenticationError, match="cannot prove who it is"):
            send(url)
        assert seen == []


def test_credentials_travel_encrypted():
    for url in ("https://a.example/x", "http://127.0.0.1:1", "http://[::1]/", "http://localhost"):
        assert check_endpoint(url) == url
    for url in ("https://user:quiet@a.example", "http://user:quiet@a.example"):
        with pytest.raises(AuthenticationError, match="credentials") as caught:
            check_endpoint(url)
        assert "quiet" not in str(caught.value)
    for url in (
        "http://a.example",
        "http://10.0.0.1",
        "ftp://a",
        "a",
        "",
        "http://[",
        "https://a b",
        "https://a:x",
    ):
        with pytest.raises(AuthenticationError, match="https"):
            check_endpoint(url)


def test_the_deadline_grows_with_what_is_sent():
    """At 64 kbit/s, 8000 bytes take a second."""

    def slow(handler):
        time.sleep(1)
        reply(200, b"fine")(handler)

    with raw_server(slow) as (url, _):
        transport = Transport("fake", deadline=0.2)
        small, large = (Request("POST", url, data=b"x" * size) for size in (100, 16_000))
        with pytest.raises(UnavailableError, match=r"within 0 s|in time"):
            transport.exchange(small)
        assert transport.exchange(large)[0] == 200


def test_a_kept_connection_that_went_dead_costs_seconds(monkeypatch):
    monkeypatch.setattr(transport_module, "KEPT", 1.0)
    clients = []

    def answer(handler):
        clients.append(handler.client_address)
        if clients.count(handler.client_address) > 1:
            time.sleep(5)
            handler.close_connection = True
        else:
            reply(200, b"fine")(handler)

    with raw_server(answer) as (url, _):
        transport = Transport("fake", deadline=5, sleep=lambda seconds: None)
        started = time.monotonic()
        for _ in range(4):
            assert (
                transport.call(lambda: Request("POST", url, data=b"x"), lambda status, *_: status)
                == 200
            )
        assert time.monotonic() - started < 3
    assert len(clients) == 5  # one was asked again, and no connection is kept from then on


def test_a_connection_that_was_idle_long_is_not_used_again(monkeypatch):
    monkeypatch.setattr(transport_module, "IDLE", 0.05)
    with raw_server(reply(200, b"fine")) as (url, seen):
        transport = Transport("fake")
        for pause in (0, 0.2):
            time.sleep(pause)
            transport.exchange(Request("POST", url, data=b"x"))
    assert len({each.client for each in seen}) == 2


def refusing_proxy(handler):
    handler.send_response(407)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize(
    ("variable", "value", "kind", "match"),
    [
        ("HTTPS_PROXY", "http://u:quiet@127.0.0.1:1", UnavailableError, r"proxy 127\.0\.0\.1:1 do"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1", AuthenticationError, "proxy 127.*needs PySocks"),
        ("REQUESTS_CA_BUNDLE", "/no/such.pem", AuthenticationError, "no CA certificates.*BUNDLE"),
    ],
)
def test_proxies_and_bundles_are_named(monkeypatch, variable, value, kind, match):
    monkeypatch.setenv(variable, value)
    with pytest.raises(kind, match=match) as caught:
        send("https://service.example")
    assert "quiet" not in str(caught.value)


def test_a_proxy_that_wants_credentials_is_asked_once(monkeypatch):
    class Connecting(BaseHTTPRequestHandler):
        def do_CONNECT(self):
            asked.append(self.path)
            refusing_proxy(self)

        def log_message(self, *arguments):
            pass

    asked = []
    with HTTPServer(("127.0.0.1", 0), Connecting) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_port}")
        transport = Transport("fake")
        with pytest.raises(AuthenticationError, match=r"the proxy .* wants other credentials"):
            transport.call(lambda: Request("POST", "https://service.example", data=b"x"), None)
        server.shutdown()
    assert asked == ["service.example:443"]


def test_without_another_thread_it_is_done_in_this_one(monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert in_background(threading.get_ident).result() == threading.get_ident()

"""Signature Version 4, judged by botocore."""

import random
import string
from datetime import datetime, timedelta, timezone

import pytest

from adacompress_ref.services.signature import Credentials, sign

REQUESTS = 1500
ODD = string.ascii_letters + string.digits + "-_~%!$&'()*+,;=:@ éß水"


@pytest.fixture
def judge(monkeypatch):
    """A function that signs as botocore does."""
    auth = pytest.importorskip("botocore.auth", reason="botocore is the judge")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Theirs

    def signed(url, headers, body, credentials, region, service, when):
        monkeypatch.setattr(auth, "get_current_datetime", lambda: when)
        theirs = Theirs(credentials.key, credentials.secret, credentials.token or None)
        request = AWSRequest(method="POST", url=url, headers=headers, data=body)
        auth.SigV4Auth(theirs, service, region).add_auth(request)
        return dict(request.headers.items())

    return signed


def generated(source):
    def text(alphabet, most, least=0):
        return "".join(source.choices(alphabet, k=source.randint(least, most)))

    scheme = source.choice(["http", "https"])
    host = source.choice(["localhost", "127.0.0.1", "[::1]", "Rekognition.Example.COM", "a.b-c.de"])
    port = source.choice(["", "", ":80", ":443", ":5000", ":8443"])
    path = source.choice(["", "/", "/%20/", "/a/b", "/" + text(ODD, 20, 1)])
    values = string.ascii_letters + string.digits + "   \t,;=\"'/*é"
    headers = {
        source.choice(["X-Amz-", "x-", "X-My-"]) + text(string.ascii_letters, 6, 4) + str(number): (
            text(values, 20)
        )
        for number in range(source.randint(0, 4))
    }
    if source.random() < 0.5:
        headers["Content-Type"] = "application/x-amz-json-1.1"
    return (
        f"{scheme}://{host}{port}{path}",
        headers,
        source.randbytes(source.choice([0, 1, 100, 5000])),
        Credentials(
            text(string.ascii_uppercase + string.digits, 20, 16),
            text(string.ascii_letters + string.digits + "+/%", 40, 1),
            text(string.ascii_letters + "+/=", 60) if source.random() < 0.5 else "",
        ),
        source.choice(["us-east-1", "eu-central-1", "ap-northeast-3", "us-gov-west-1"]),
        source.choice(["rekognition", "s3x", "iam", "execute-api"]),
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
        + timedelta(seconds=source.randrange(2**31)),
    )


def test_as_botocore(judge):
    source = random.Random(20190)
    for number in range(REQUESTS):
        request = generated(source)
        assert sign(*request) == judge(*request), (number, request)


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://example.com/b"},
        {"url": "https://example.com:444/"},
        {"headers": {"X-Amz-Target": "Other"}},
        {"headers": {}},
        {"body": b"other"},
        {"credentials": Credentials("key", "other", "token")},
        {"credentials": Credentials("key", "secret", "other")},
        {"region": "us-east-2"},
        {"service": "other"},
        {"when": datetime(2026, 1, 1, 0, 0, 1, tzinfo=timezone.utc)},
    ],
)
def test_everything_is_signed(change):
    request = {
        "url": "https://example.com/",
        "headers": {"X-Amz-Target": "One"},
        "body": b"body",
        "credentials": Credentials("key", "secret", "token"),
        "region": "us-east-1",
        "service": "rekognition",
        "when": datetime(2026, 1, 1, tzinfo=timezone.utc),
    }
    before = sign(**request)["Authorization"].rpartition("=")[2]
    assert sign(**{**request, **change})["Authorization"].rpartition("=")[2] != before


def test_given_headers_stay_as_they_are():
    headers = {"X-Amz-Target": "One"}
    credentials = Credentials("key", "secret")
    when = datetime(2026, 1, 1, tzinfo=timezone.utc)
    signed = sign("https://example.com/", headers, b"", credentials, "r", "s", when)
    assert headers == {"X-Amz-Target": "One"}
    assert list(signed) == ["X-Amz-Target", "X-Amz-Date", "Authorization"]


def test_representation_holds_no_secret():
    assert "secret" not in repr(Credentials("key", "secret", "token"))

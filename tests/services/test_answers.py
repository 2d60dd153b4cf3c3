"""What answers mean: statuses, JSON, labels, and how long to wait."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.roles import Label
from adacompress_ref.services.answers import Answer, retry_after
from adacompress_ref.services.errors import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, AuthenticationError),
        (400, ProtocolError),
        (401, AuthenticationError),
        (402, QuotaError),
        (403, AuthenticationError),
        (404, ProtocolError),
        (408, UnavailableError),
        (413, RefusedError),
        (429, UnavailableError),
        (500, UnavailableError),
        (503, UnavailableError),
    ],
)
def test_statuses(status, error):
    with pytest.raises(error, match=rf"fake: HTTP status {status} \(why\)"):
        Answer("fake", status, {}, b"{}").check_status("why")
    with pytest.raises(error, match=rf"fake: HTTP status {status};"):
        Answer("fake", status, {}, b"no JSON")


def test_a_status_of_success():
    Answer("fake", 204, {}, b"{}").check_status("why")


def test_the_first_row_that_fits():
    meanings = [(QuotaError, "pay", "1 two"), (RefusedError, "go", "two 3")]
    for code, kind in (("1", QuotaError), ("two", QuotaError), ("3", RefusedError)):
        with pytest.raises(kind, match="fake: why; "):
            Answer("fake", 200, {}, b"{}").fail("why", meanings, "x", code)
    for code in ("", "1 two", "tw"):
        with pytest.raises(ProtocolError, match="fake: why; ") as error:
            Answer("fake", 200, {}, b"{}").fail("why", meanings, code)
        assert not error.value.retryable
        with pytest.raises(UnavailableError, match=r"503 \(why\)"):
            Answer("fake", 503, {}, b"{}").fail("why", meanings, code)


def test_retry_after():
    assert retry_after({"retry-after": "12"}) == 12
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    for far in ("Wed, 21 Oct 2065 07:28:00 GMT", "999999999"):
        assert retry_after({"retry-after": far}) == 3600
    # by the server's own clock, where it tells it; a date without a zone is UTC
    dates = {"date": "Wed, 21 Oct 2015 07:27:50 GMT"}
    for date in ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed Oct 21 07:28:00 2015"):
        assert retry_after({"retry-after": date} | dates) == 10
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "now"}) is None
    assert retry_after({}) is retry_after({"retry-after": "soon"}) is None


@given(st.text())
def test_any_retry_after(text):
    assert (retry_after({"retry-after": text}) or 0) >= 0


@given(
    st.binary()
    | st.recursive(st.none() | st.floats(), st.lists).map(lambda v: json.dumps(v).encode())
)
def test_any_json(body):
    try:
        assert isinstance(Answer("fake", 200, {}, body).fields, dict)
    except ProtocolError as error:
        assert "\n" not in str(error)


ANSWER = Answer("fake", 200, {}, b"{}")


def test_labels():
    items = [{"n": "cat", "s": "0.25"}, {"n": "dog", "s": 0.5, "more": 1}]
    assert ANSWER.labels(items, "n", "s") == [Label("dog", 0.5), Label("cat", 0.25)]
    assert ANSWER.labels([{"n": "cat", "s": 99.5}], "n", "s", 100) == [Label("cat", 0.995)]
    assert ANSWER.labels([], "n", "s") == []


WRONG = [None, {}, "", 3, [3], [None], [{}], [{"n": "cat"}], [{"s": 1}], [{"n": 1, "s": 1}]]
SCORES = [None, "", "x", True, [], -1, 1.5, "nan"]


@pytest.mark.parametrize("items", [*WRONG, *([{"n": "cat", "s": score}] for score in SCORES)])
def test_labels_of_another_shape(items):
    with pytest.raises(ProtocolError):
        ANSWER.labels(items, "n", "s")

"""What answers mean: statuses, JSON, labels, and how long to wait."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.controller import Label
from adacompress_ref.services.answers import check_status, read_answer, read_labels, retry_after
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
        check_status("fake", status, {}, "why")
    check_status("fake", 204, {})


def test_retry_after():
    assert retry_after({"retry-after": "12"}) == 12
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    for far in ("Wed, 21 Oct 2065 07:28:00 GMT", "999999999"):
        assert retry_after({"retry-after": far}) == 3600
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
        assert isinstance(read_answer("fake", 200, {}, body), dict)
    except ProtocolError as error:
        assert "\n" not in str(error)


def test_labels():
    items = [{"n": "cat", "s": "0.25"}, {"n": "dog", "s": 0.5, "more": 1}]
    assert read_labels("fake", items, "n", "s") == [Label("dog", 0.5), Label("cat", 0.25)]
    assert read_labels("fake", [{"n": "cat", "s": 99.5}], "n", "s", 100) == [Label("cat", 0.995)]
    assert read_labels("fake", [], "n", "s") == []


WRONG = [None, {}, "", 3, [3], [None], [{}], [{"n": "cat"}], [{"s": 1}], [{"n": 1, "s": 1}]]


@pytest.mark.parametrize(
    "items",
    [*WRONG, *([{"n": "cat", "s": score}] for score in (None, "", "x", True, [], -1, 1.5, "nan"))],
    ids=repr,
)
def test_labels_of_another_shape(items):
    with pytest.raises(ProtocolError):
        read_labels("fake", items, "n", "s")

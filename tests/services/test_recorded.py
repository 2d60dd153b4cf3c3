"""Answers recorded from a service, and a service made of them."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import adacompress_ref as ac
from adacompress_ref.core.roles import Label
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.codec import decode, encode
from adacompress_ref.imaging.encoding import Encoding
from adacompress_ref.services import RefusedError, ServiceError, UnavailableError, open_service
from adacompress_ref.services.recorded import Recorded, Recorder

ANSWERS = {
    b"cat": [Label("cat", 0.9), Label("dög\n", 0.1)],
    b"none": [],
    b"dark": RefusedError("fake: too dark"),
    b"away": UnavailableError("fake: away"),
}


class Fake:
    name, formats, max_side, side_by_side = "fake", ("jpeg", "png"), 900, True

    def __init__(self):
        self.asked = []

    def label(self, payload):
        self.asked.append(payload)
        found = ANSWERS[payload]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def recording(tmp_path):
    path, service = tmp_path / "answers.jsonl", Fake()
    for _ in range(2):
        recorder = Recorder(service, path)
        assert recorder.label(b"cat") == ANSWERS[b"cat"]
        assert recorder.label(b"none") == []
        for payload in (b"dark", b"away"):
            with pytest.raises(type(ANSWERS[payload])):
                recorder.label(payload)
    # what is known is not asked again; an upload that failed is
    assert service.asked == [b"cat", b"none", b"dark", b"away", b"away"]
    return path


def test_what_was_recorded_is_answered_again(recording):
    service = open_service(f"recorded:{recording}")
    assert service.label(b"cat") == ANSWERS[b"cat"]
    assert service.label(b"none") == []
    with pytest.raises(RefusedError, match="fake: too dark"):
        service.label(b"dark")
    for payload in (b"away", b"other"):
        with pytest.raises(RefusedError, match="has no answer for this payload"):
            service.label(payload)


def test_the_file(recording):
    takes, *entries = [json.loads(line) for line in recording.read_text().splitlines()]
    assert takes == {"formats": ["jpeg", "png"], "max_side": 900}
    assert [entry["sha256"] for entry in entries] == [
        hashlib.sha256(payload).hexdigest() for payload in (b"cat", b"none", b"dark")
    ]
    assert entries[0]["labels"] == [["cat", 0.9], ["dög\n", 0.1]]


class Colour:
    """Says how red the middle of an image is; counts what it was asked."""

    name = "colour"

    def __init__(self):
        self.asked = 0

    def label(self, payload):
        self.asked += 1
        picture = decode(payload)
        return [Label(f"{picture.getpixel((picture.width // 2, picture.height // 2))[0]}", 0.5)]


def of_coffee(photos, quality):
    """A file with the standard Huffman tables, and one with its own."""
    picture = images.read(photos / "coffee.jpg").picture
    level = Encoding("jpeg", None, quality)
    return [encode(picture, level, own_tables=own) for own in (False, True)]


@pytest.mark.parametrize("first", [0, 1])
def test_an_answer_is_that_of_the_same_pixels_with_other_huffman_tables(tmp_path, photos, first):
    path, service = tmp_path / "answers.jsonl", Colour()
    recorder, pair = Recorder(service, path), of_coffee(photos, 15)
    expected = recorder.label(pair[first])
    assert Recorded(path).label(pair[1 - first]) == expected
    assert recorder.label(pair[1 - first]) == expected
    assert service.asked == 1
    for payload in of_coffee(photos, 25):
        with pytest.raises(RefusedError, match="has no answer for this payload"):
            Recorded(path).label(payload)


def test_a_recording_of_before_learns_of_pixels_without_asking(tmp_path, photos):
    path, service = tmp_path / "answers.jsonl", Colour()
    standard, own = of_coffee(photos, 15)
    expected = Recorder(service, path).label(standard)
    takes, entry = map(json.loads, path.read_text().splitlines())
    entry.pop("pixels")
    path.write_text(f"{json.dumps(takes)}\n{json.dumps(entry)}\n")
    with pytest.raises(RefusedError, match="has no answer for this payload"):
        Recorded(path).label(own)
    for _ in range(2):
        assert Recorder(service, path).label(standard) == expected
    assert len(path.read_text().splitlines()) == 3
    assert Recorded(path).label(own) == expected
    assert service.asked == 1


def test_what_the_service_takes_is_kept(recording):
    service = Recorded(recording)
    assert (service.formats, service.max_side) == (["jpeg", "png"], 900)
    assert not hasattr(service, "max_bytes")
    assert Recorder(Fake(), recording).side_by_side


def test_a_line_cut_in_two_is_dropped(recording):
    whole = recording.read_bytes()
    recording.write_bytes(whole + b'{"sha256": "ab')
    assert len(Recorded(recording).entries) == 3
    Recorder(Fake(), recording)
    assert recording.read_bytes() == whole


@pytest.mark.parametrize(
    "text",
    [
        *("x\n", "3\n", "[]\n", "[" * 100_000 + "\n", '{"formats": 3}\n', '{"formats": [3]}\n'),
        *('{"max_bytes": "x"}\n', "{}\nnull\n", '{}\n{"labels": []}\n', '{}\n{"sha256": "a"}\n'),
        '{}\n{"sha256": "a", "labels": 3}\n',
        '{}\n{"sha256": "a", "labels": [["cat", 2]]}\n',
        '{}\n{"sha256": "a", "labels": [[1, 0.5]]}\n',
        '{}\n{"sha256": [], "labels": []}\n',
    ],
)
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "x").write_text(text)
    for open_file in (Recorded, lambda path: Recorder(Fake(), path)):
        with pytest.raises(ServiceError, match="not a recording of answers") as caught:
            open_file(tmp_path / "x")
        assert "\n" not in str(caught.value)
    assert (tmp_path / "x").read_text() == text


@given(st.binary())
def test_any_file(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("r") / "x"
    path.write_bytes(content)
    try:
        Recorded(path)
    except ServiceError as error:
        assert "\n" not in str(error)


def test_no_such_file(tmp_path):
    with pytest.raises(ServiceError, match="there is no such recording"):
        Recorded(tmp_path / "x")
    with pytest.raises(ServiceError, match="No such file"):
        Recorder(Fake(), tmp_path / "no" / "x")


def test_a_run_repeated_without_asking(adacompress, photos, tmp_path):
    options = ("run", "--images", photos, "--json", "--seed", "5")
    status, out, _ = adacompress(*options, "--service", "squeezenet", "--record", "answers.jsonl")
    again = adacompress(*options, "--service", "recorded:answers.jsonl")

    def without_times(text):
        *lines, totals = [json.loads(line) for line in text.splitlines()]
        totals["totals"].pop("seconds")
        return lines, totals

    assert (status, again[0]) == (0, 0)
    assert without_times(out) == without_times(again[1])
    status, out, err = adacompress(*options[:-1], "6", "--service", "recorded:answers.jsonl")
    assert (status, "has no answer for this payload" in err) == (1, True) or status == 0
    assert isinstance(ac.open_service("recorded:answers.jsonl"), Recorded)

"""References that are asked again: by hand, and with services that answer at random."""

import numpy as np
import pytest

import adacompress_ref as ac
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import Encoding
from adacompress_ref.running import runlog
from adacompress_ref.running.floor import asked_again
from adacompress_ref.running.state import StateFolder
from adacompress_ref.running.stream import Stream
from adacompress_ref.survival.config import TUNED


class Noisy:
    """Says what the picture is with this chance, each time it is asked; else what nobody says."""

    name = "noisy"

    def __init__(self, right=1.0):
        self.right, self.rng, self.payloads = right, np.random.default_rng(0), []

    def label(self, payload):
        self.payloads.append(payload)
        is_right = self.rng.random() < self.right
        return [ac.Label("it" if is_right else f"other {len(self.payloads)}", 0.9)]


def test_by_hand(photos):
    photo = images.read(photos / "chelsea.jpg")
    reference = codec.encode(photo.picture, Encoding.parse("jpeg-q75"))
    finest = codec.encode(photo.picture, Encoding.parse("jpeg-q95"))
    upload = ac.Upload(len(reference), [ac.Label("it", 0.9)])

    class Service:
        def label(self, payload):
            return [ac.Label("it" if payload == reference else "that", 0.9)]

    size = len(reference) + len(finest)
    assert asked_again(photo, upload, Service(), TUNED) == {"again": [1, 0], "again_bytes": size}


def test_without_an_answer_nothing_is_known(photos):
    photo = images.read(photos / "chelsea.jpg")

    class Service:
        def label(self, payload):
            raise ac.RefusedError("too large", sent=False)

    upload = ac.Upload(1, [ac.Label("it", 0.9)])
    assert asked_again(photo, upload, Service(), TUNED) == {"again": None, "again_bytes": 0}


def run(photos, path, service, floor, **options):
    pilot = ac.AdaCompress.load(threads=1)
    state = StateFolder(path, {})
    stream = Stream(photos, pilot, service, state, floor=floor, say=lambda _: None, **options)
    try:
        names = sorted(each.name for each in photos.glob("*.jpg"))
        return pilot, list(stream.send(names, lambda: False)), state
    finally:
        state.close()


def test_so_many_are_asked_again_and_paid_for(photos, tmp_path):
    service = Noisy()
    pilot, lines, state = run(photos, tmp_path / "state", service, 2)
    again = [line for line in lines if "again" in line]
    assert len(again) == min(2, sum(line["agreement"] is not None for line in lines)) > 0
    assert sum(map(len, service.payloads)) == sum(line["bytes_sent"] for line in lines)
    assert pilot.agent.again == len(again)
    figures = runlog.figures(state.totals, [], 0)["asked_again"]
    assert figures["references"] == len(again)
    assert figures["identical"]["share"] == 1
    for line in lines:
        runlog.check(line)


def test_what_was_heard_again_is_learned_from_the_log(photos, tmp_path):
    """A run killed after its last line goes on as if it had not been."""
    pilot, lines, _ = run(photos, tmp_path / "state", Noisy(0.5), 5)
    (tmp_path / "state" / "state.npz").unlink()  # that of before knows of no line
    again, none, _ = run(photos, tmp_path / "state", Noisy(0.5), 5)
    assert (len(lines) > 0, none) == (True, [])
    assert (again.agent.again, again.agent.again_kept) == (
        pilot.agent.again,
        pilot.agent.again_kept,
    )
    assert again.agent.again > 0
    np.testing.assert_array_equal(again.agent.u, pilot.agent.u)
    assert again.agent.alpha == pilot.agent.alpha


@pytest.mark.parametrize("line", [[2, 0], [1], "x", [0.5, 1]])
def test_other_lines_are_refused(photos, tmp_path, line):
    _, lines, _ = run(photos, tmp_path / "state", Noisy(), 1)
    with pytest.raises(ValueError, match="again is"):
        runlog.check(lines[0] | {"again": line})


@pytest.mark.parametrize("count", [50, 200])
def test_intervals_cover_the_truth(count):
    """95% intervals of a share that is known: in at least 92 of 100 seeds."""
    for truth in (0.7, 0.9, 0.97):
        kept = np.random.default_rng(count).binomial(count, truth, 100)
        bounds = [runlog.interval(k / count, count) for k in kept.tolist()]
        assert sum(low <= truth <= high for low, high in bounds) >= 92
